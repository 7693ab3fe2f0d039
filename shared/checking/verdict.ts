import * as v from 'valibot';
import { count } from '../protocol/fields.ts';
import { type AnswerChain, firstFalseBlock } from './digest-chain.ts';

/**
 * What the network says of an answer. `invalid` names the first false block. `unchecked` carries a reason; it is no judgement of the tab.
 */
export const uncheckedReason = v.picklist([
  /** The request asked for no check. */
  'not_asked',
  /** No other tab of the same class was there. */
  'nobody_fit',
  /** The client went away before it wrapped the key for the checker. */
  'client_gone',
  /** The checker went away, or was too slow. */
  'checker_lost',
  /** The check did not fit: its commitment or its opening was refused. */
  'checker_refused',
  /** The answer was stopped, or failed. */
  'no_answer',
]);
export type UncheckedReason = v.InferOutput<typeof uncheckedReason>;

export const verdict = v.union([
  v.object({
    value: v.literal('valid'),
    method: v.literal('exact-re-execution'),
    blocks: count,
    cosine: v.nullable(v.number()),
  }),
  v.object({
    value: v.literal('invalid'),
    method: v.literal('exact-re-execution'),
    /** Index of the first block of 64 bytes that differs. */
    falseBlock: count,
    cosine: v.nullable(v.number()),
  }),
  v.object({ value: v.literal('unchecked'), reason: uncheckedReason }),
]);
export type Verdict = v.InferOutput<typeof verdict>;

/** Two chains of one exact class, the same prompt and sampling: equal means the same answer to the byte. */
export function exactVerdict(claimed: AnswerChain, recomputed: AnswerChain, similarity: number | null): Verdict {
  const falseBlock = firstFalseBlock(claimed, recomputed);
  // Four digits: enough for a reader, and the same text on every machine although float32 sums may differ in the last bits.
  const cosine = similarity === null ? null : Math.round(similarity * 10_000) / 10_000;
  if (falseBlock === null) {
    return { value: 'valid', method: 'exact-re-execution', blocks: claimed.blocks.length + 1, cosine };
  }
  return { value: 'invalid', method: 'exact-re-execution', falseBlock, cosine };
}
