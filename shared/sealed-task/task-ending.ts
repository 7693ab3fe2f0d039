import * as v from 'valibot';
import { verdict } from '../checking/verdict.ts';
import { isErrorCode, ShoalError } from '../errors.ts';
import { type TaskTail, taskTail } from '../protocol/fields.ts';
import type { StreamEvent } from '../protocol/stream-records.ts';
import { type Signed, signed } from '../signing/signed-statement.ts';
import { openFor } from './open-lease.ts';

/** What a client reads of a receipt at once. The whole of it is verified by whoever wants to, with `receipt/verify.ts`. */
const endedReceipt = v.object({
  task: taskTail,
  outcome: v.object({ value: v.string(), code: v.optional(v.string()) }),
  commit: v.nullable(signed),
  verdict,
});

export interface TaskEnding {
  /** The tab's commit, as the receipt has it. */
  readonly commit: Signed | null;
  /** What to tell the client when there is no whole answer. */
  readonly failure: ShoalError;
}

/**
 * Holds the end that the router tells against the receipt that it signed. `routerKey` is null for the router itself. Throws `integrity_failed`
 * when the receipt is of another task or says something else, or when a verdict comes without one.
 */
export async function openEnding(
  event: Extract<StreamEvent, { t: 'ended' }>,
  task: TaskTail,
  routerKey: string | null,
): Promise<TaskEnding> {
  if (event.receipt === null) {
    if (event.verdict.value !== 'unchecked')
      throw new ShoalError('integrity_failed', 'A verdict came without a receipt.');
    return { commit: null, failure: failureOf('none', undefined) };
  }
  const receipt = await openFor({ routerKey }, 'receipt', endedReceipt, event.receipt, routerKey);
  if (receipt.task !== task) throw new ShoalError('integrity_failed', 'The receipt is for another task.');
  if (JSON.stringify(receipt.verdict) !== JSON.stringify(event.verdict)) {
    throw new ShoalError('integrity_failed', 'The router told another verdict than it signed.');
  }
  return { commit: receipt.commit, failure: failureOf(receipt.outcome.value, receipt.outcome.code) };
}

function failureOf(outcome: string, code: string | undefined): ShoalError {
  if (outcome === 'failed') return new ShoalError(isErrorCode(code) ? code : 'internal_error', 'The task failed.');
  if (outcome === 'cancelled') return new ShoalError('tab_lost', 'The tab was stopped before the answer was whole.');
  return new ShoalError('integrity_failed', 'The task ended without an answer.');
}
