import type { Signed } from '../../shared/signing/signed-statement.ts';
import type { Env } from '../env.ts';
import { finishedTaskOf } from './finished-task.ts';
import { networkStub } from './network-address.ts';

/** Tells of tasks that ended, for the figures that everybody sees. Never throws: what cannot be told is missing there, and nowhere else. */
export async function tellNetwork(env: Env, receipts: readonly Signed[]): Promise<void> {
  try {
    await networkStub(env).ended(await Promise.all(receipts.map(finishedTaskOf)));
  } catch (cause) {
    console.error(JSON.stringify({ event: 'network_not_told', tasks: receipts.length, reason: String(cause) }));
  }
}
