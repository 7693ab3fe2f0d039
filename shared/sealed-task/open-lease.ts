import type * as v from 'valibot';
import { ShoalError } from '../errors.ts';
import { type Lease, lease as leaseSchema, tabKey } from '../protocol/lease.ts';
import {
  openStatement,
  parsePayload,
  type Signed,
  type Signer,
  type StatementKind,
} from '../signing/signed-statement.ts';

/** Who asked, and whom they trust. */
export interface LeaseHolder {
  readonly signer: Pick<Signer, 'publicKey'>;
  readonly nonce: string;
  readonly private: boolean;
  /** The pinned key of the router; null for the router itself, which has signed or verified all that it passes on. */
  readonly routerKey: string | null;
}

/** A lease by the pinned router, for this client, sealing to a key that the leased tab signed. Throws `integrity_failed`. */
export async function openLease(statement: Signed, keyStatement: Signed, holder: LeaseHolder): Promise<Lease> {
  const lease = await openFor(holder, 'lease', leaseSchema, statement, holder.routerKey);
  if (lease.client !== holder.signer.publicKey || lease.nonce !== holder.nonce || lease.private !== holder.private) {
    throw new ShoalError('integrity_failed', 'The lease is for another client.');
  }
  const key = await openFor(holder, 'tab-key', tabKey, keyStatement, lease.tab);
  if (key.key !== lease.sealTo || key.oneTime !== lease.oneTime) {
    throw new ShoalError('integrity_failed', 'The key to seal to is not the one that the tab signed.');
  }
  return lease;
}

/** A statement by `by`, verified unless its reader is the router. Throws `integrity_failed`. */
export async function openFor<T>(
  { routerKey }: Pick<LeaseHolder, 'routerKey'>,
  kind: StatementKind,
  schema: v.GenericSchema<unknown, T>,
  statement: Signed,
  by: string | null,
): Promise<T> {
  return routerKey === null ? parsePayload(kind, schema, statement) : openStatement(kind, schema, statement, by);
}
