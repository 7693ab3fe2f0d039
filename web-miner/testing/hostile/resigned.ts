import type { Signed, Signer, StatementKind } from '../../../shared/signing/signed-statement.ts';

export type Payload = Readonly<Record<string, unknown>>;

/** A statement with another content, signed by its rightful key: what any tab can do with its own words. */
export function resigned(
  signer: Signer,
  kind: StatementKind,
  statement: Signed,
  change: (payload: Payload) => Payload,
): Promise<Signed> {
  return signer.sign(kind, JSON.stringify(change(JSON.parse(statement.payload) as Payload)));
}
