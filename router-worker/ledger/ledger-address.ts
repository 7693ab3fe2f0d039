import type { Env } from '../env.ts';
import type { LedgerObject } from './ledger-object.ts';

/** The one ledger of this network. */
export function ledgerStub(env: Env): DurableObjectStub<LedgerObject> {
  return env.LEDGER.get(env.LEDGER.idFromName('ledger'));
}
