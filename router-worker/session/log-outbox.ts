import { toBase64Url } from '../../shared/bytes.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import { entryOf } from '../../shared/receipt-log/log-api.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';
import type { SessionStore } from './session-store.ts';

/** Receipts that are handed to the log in one call. */
const BATCH = 100;

/**
 * Hands receipts that ended here to the public log, and remembers which it has. Throws what `append` throws: what was not handed over stays for the next time, and an
 * append that is made twice changes nothing. `unsaid`: tasks whose receipts may still have to say something else; they wait.
 */
export async function drainToLog(
  store: Pick<SessionStore, 'unlogged' | 'logged'>,
  append: (entries: readonly string[], receipts: readonly Signed[]) => Promise<unknown>,
  unsaid: readonly TaskTail[] = [],
): Promise<void> {
  const waiting = new Set(unsaid);
  const next = () =>
    store
      .unlogged(BATCH + waiting.size)
      .filter(({ tail }) => !waiting.has(tail))
      .slice(0, BATCH);
  for (let batch = next(); batch.length > 0; batch = next()) {
    const entries = await Promise.all(batch.map(({ receipt }) => entryOf(receipt)));
    await append(
      entries.map(toBase64Url),
      batch.map(({ receipt }) => receipt),
    );
    store.logged(batch.map(({ tail }) => tail));
  }
}
