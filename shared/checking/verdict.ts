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

/** How many other tabs wrote the same answer, and how many another one. */
const tally = { agree: count, differ: count, cosine: v.nullable(v.number()) };
const method = v.literal('exact-re-execution');
/** Index of the first block of 64 bytes that differs. */
const falseBlock = count;

/**
 * What the network says of an answer. `valid` and `invalid` are the word of most executions; `disputed` means that as many say one thing as another,
 * and nobody was left to decide.
 */
export const verdict = v.union([
  v.object({ value: v.literal('valid'), method, blocks: count, ...tally }),
  v.object({ value: v.picklist(['invalid', 'disputed']), method, falseBlock, ...tally }),
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
