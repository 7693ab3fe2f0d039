import * as v from 'valibot';
import { count } from '../protocol/fields.ts';

/** Why nobody's word counts on an answer. No judgement of the tab. */
export const uncheckedReason = v.picklist([
  /** The request asked for no check. */
  'not_asked',
  /** Level `basic`: this answer was not among those that are checked afterwards. */
  'not_sampled',
  /** No other tab of the same class was there. */
  'nobody_fit',
  /** The client went away before it wrapped the key for the checker. */
  'client_gone',
  /** The checkers went away, or were too slow. */
  'checker_lost',
  /** The check did not fit: its commitment or its opening was refused. */
  'checker_refused',
  /** The answer was stopped, or failed. */
  'no_answer',
]);
export type UncheckedReason = v.InferOutput<typeof uncheckedReason>;

/** Methods of checking as receipts call them, strongest first. */
export const checkMethod = v.picklist([
  'exact-re-execution',
  'forced-decode',
  'cross-class-forced-decode',
  'embedding-similarity',
]);
export type CheckMethod = v.InferOutput<typeof checkMethod>;

/**
 * What the network says of an answer, and by which rung of the ladder. `valid` and `invalid` are the word of most executions; `disputed` means that
 * as many say one thing as another, and nobody was left to decide. Where nobody could run it again exactly, tabs with the same weights read it: `valid` then
 * means that it may well be the model's, `disputed` that it hardly is, and nothing makes it `invalid`. `inconclusive`: there was only another variant of the
 * model, or nothing could be read.
 */
export const verdict = v.union([
  v.object({
    value: v.picklist(['valid', 'invalid', 'disputed', 'inconclusive']),
    method: checkMethod,
    /** Blocks of 64 bytes in the answer, and the first one that differs; null when none was found. */
    blocks: count,
    falseBlock: v.nullable(count),
    /** Tabs that wrote the same, and tabs that wrote something else; of tabs that read it, those whom it passed and failed. */
    agree: count,
    differ: count,
    cosine: v.nullable(v.number()),
  }),
  v.object({ value: v.literal('unchecked'), reason: uncheckedReason }),
]);
export type Verdict = v.InferOutput<typeof verdict>;

/** How sure the network is of an answer, in one word. `likely`: a check that proves nothing found nothing against it. */
export type Sure = 'unverified' | 'likely' | 'verified' | 'disputed' | 'refuted';

const SURE: Readonly<Record<string, Sure>> = { valid: 'verified', invalid: 'refuted', disputed: 'disputed' };

/** Without a verdict, or with one of nobody: `unverified`. */
export function sureOf(verdict: { readonly value: string; readonly method?: CheckMethod } | null): Sure {
  const sure = SURE[verdict?.value ?? ''] ?? 'unverified';
  return sure === 'verified' && verdict?.method !== 'exact-re-execution' ? 'likely' : sure;
}
