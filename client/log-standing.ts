import * as v from 'valibot';
import { toBase64Url } from '../shared/bytes.ts';
import { ShoalError } from '../shared/errors.ts';
import { MAX_LOG_DELAY_MS } from '../shared/limits.ts';
import { checkInclusion } from '../shared/receipt-log/check-log.ts';
import { entryOf, inclusionResponse } from '../shared/receipt-log/log-api.ts';
import type { Signed } from '../shared/signing/signed-statement.ts';
import type { RouterCalls } from './router-calls.ts';

/** Where a receipt stands in its router's public log. */
export type LogStanding =
  | { readonly standing: 'logged'; readonly index: number; readonly size: number; readonly at: number }
  /** Its task ended so lately that it may still be on its way. */
  | { readonly standing: 'not_yet' }
  /** It should be there and is not, or the proof does not hold. */
  | { readonly standing: 'missing'; readonly problem: string };

/** Asks the router for a proof, and checks it. Throws {@link ShoalError} when the router cannot be asked. */
export async function standingInLog(
  receipt: Signed,
  endedAt: number,
  calls: Pick<RouterCalls, 'get'>,
  routerKey: string,
): Promise<LogStanding> {
  const entry = toBase64Url(await entryOf(receipt));
  try {
    const parsed = v.safeParse(inclusionResponse, await calls.get(`/v1/log/inclusion?entry=${entry}`));
    if (!parsed.success) throw new ShoalError('integrity_failed', 'The router sent something that is no proof.');
    const { index, head } = await checkInclusion(receipt, parsed.output, routerKey);
    return { standing: 'logged', index, size: head.size, at: head.at };
  } catch (cause) {
    if (!(cause instanceof ShoalError)) throw cause;
    if (cause.code === 'receipt_pending' && Date.now() - endedAt < MAX_LOG_DELAY_MS) return { standing: 'not_yet' };
    if (NO_PROOF.has(cause.code)) return { standing: 'missing', problem: cause.message };
    throw cause;
  }
}

/** What a router answers that has no proof, or a false one; anything else is trouble on the way. */
const NO_PROOF: ReadonlySet<string> = new Set(['receipt_pending', 'integrity_failed', 'route_not_found']);
