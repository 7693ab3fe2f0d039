import { toBase64Url } from '../../shared/bytes.ts';
import { entryOf } from '../../shared/receipt-log/log-api.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';
import type { SessionStore } from './session-store.ts';

/** Receipts that are handed to the log in one call. */
const BATCH = 100;

/**
 * Hands receipts that ended here to the public log, and remembers which it has. Throws what `append` throws: what was not handed over stays for the next time, and an
 * append that is made twice changes nothing.
 */
export async function drainToLog(
  store: Pick<SessionStore, 'unlogged' | 'logged'>,
  append: (entries: readonly string[], receipts: readonly Signed[]) => Promise<unknown>,
): Promise<void> {
  for (let batch = store.unlogged(BATCH); batch.length > 0; batch = store.unlogged(BATCH)) {
    const entries = await Promise.all(batch.map(({ receipt }) => entryOf(receipt)));
    await append(
      entries.map(toBase64Url),
      batch.map(({ receipt }) => receipt),
    );
    store.logged(batch.map(({ tail }) => tail));
  }
}
