import * as v from 'valibot';
import { RouterCalls } from '../../client/router-calls.ts';
import { fromBase64Url } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import { checkEntry } from '../../shared/receipt-log/check-log.ts';
import { inclusionResponse } from '../../shared/receipt-log/log-api.ts';

/** Has the router prove that the entry is in its public log, and verifies the proof here. Throws with a sentence for the page. */
export async function proveEntry(entry: string): Promise<{ readonly index: number; readonly size: number }> {
  const calls = new RouterCalls(location.origin, (...call) => fetch(...call));
  const [keys, answer] = await Promise.all([
    calls.routerKeys(),
    calls.get(`/v1/log/inclusion?entry=${encodeURIComponent(entry)}`),
  ]);
  const parsed = v.safeParse(inclusionResponse, answer);
  const [key] = keys;
  if (!parsed.success || key === undefined) throw new ShoalError('integrity_failed', 'That is no proof.');
  const { index, head } = await checkEntry(fromBase64Url(entry), parsed.output, key);
  return { index, size: head.size };
}
