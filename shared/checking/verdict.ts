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

/**
 * What the network says of an answer, and by which rung of the ladder. `valid` and `invalid` are the word of most executions; `disputed` means that
 * as many say one thing as another, and nobody was left to decide; `inconclusive` that nobody could run it exactly: another variant of the model
 * answered too, and the cosine of the two answers tells no more than whether they are about the same.
 */
export const verdict = v.union([
  v.object({
    value: v.picklist(['valid', 'invalid', 'disputed', 'inconclusive']),
    method: v.picklist(['exact-re-execution', 'embedding-similarity']),
    /** Blocks of 64 bytes in the answer, and the first one that differs; null when none was found. */
    blocks: count,
    falseBlock: v.nullable(count),
    /** Tabs that wrote the same, and tabs that wrote something else, by exact execution. */
    agree: count,
    differ: count,
    cosine: v.nullable(v.number()),
  }),
  v.object({ value: v.literal('unchecked'), reason: uncheckedReason }),
]);
export type Verdict = v.InferOutput<typeof verdict>;

/** How sure the network is of an answer, in one word. */
export type Sure = 'unverified' | 'verified' | 'disputed' | 'refuted';

const SURE: Readonly<Record<string, Sure>> = { valid: 'verified', invalid: 'refuted', disputed: 'disputed' };

/** Without a verdict, or with one of nobody: `unverified`. */
export function sureOf(verdict: { readonly value: string } | null): Sure {
  return SURE[verdict?.value ?? ''] ?? 'unverified';
}
