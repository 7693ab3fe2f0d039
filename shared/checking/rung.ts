import { isExactClass } from '../classes/class-id.ts';
import type { Lease } from '../protocol/lease.ts';
import type { Rung } from '../protocol/rungs.ts';
import { isReadable, type PairLimits } from './forced-decode.ts';
import { CROSS_CLASS_LIMITS, STATISTICAL_LIMITS } from './limits-of-checking.ts';
import type { CheckMethod } from './verdict.ts';

/** What a receipt calls the rungs of the ladder. */
export const METHODS = {
  exact: 'exact-re-execution',
  statistical: 'forced-decode',
  'cross-class': 'cross-class-forced-decode',
  similarity: 'embedding-similarity',
} as const satisfies Readonly<Record<Rung, CheckMethod>>;

/** What a tab runs. */
export type Running = Pick<Lease, 'class' | 'model' | 'variant'>;

/**
 * The strongest rung by which a tab can check an answer.
 *
 * - `exact`: one exact class; the digest chains must be equal.
 * - `statistical`: the same weights read the same prompt, in another arithmetic; forced decodes and blind guesses. Where limits were measured for
 *   the model, and for samplings whose distribution can be computed again.
 * - `cross-class`: as before, but another quantization, under limits so much wider that it decides nothing.
 * - `similarity`: the same model, and no more; its own answer is compared by meaning. Finds answers to another question, and little else.
 * - `null`: a vector by another class, whose numbers are others; or the two have nothing in common that a check could stand on.
 */
export function rungOf(answering: Running & Pick<Lease, 'kind' | 'sampling'>, checking: Running): Rung | null {
  if (answering.model !== checking.model) return null;
  if (isExactPair(answering, checking)) return 'exact';
  if (answering.kind === 'embed') return null;
  const read = answering.variant === checking.variant ? 'statistical' : 'cross-class';
  return isReadable(answering.sampling) && limitsOf(read, answering.model) !== null ? read : 'similarity';
}

/** Whether the two write the same bytes. */
export function isExactPair(one: Omit<Running, 'model'>, other: Omit<Running, 'model'>): boolean {
  return one.class === other.class && one.variant === other.variant && isExactClass(one.class);
}

/** The limits of a forced decode; null where none were measured, and for rungs that read nothing. */
export function limitsOf(rung: Rung, model: string): PairLimits | null {
  const measured = rung === 'statistical' ? STATISTICAL_LIMITS : rung === 'cross-class' ? CROSS_CLASS_LIMITS : {};
  return measured[model] ?? null;
}

/** Whether the checker reads the answer, instead of writing it again. */
export function isRead(rung: Rung | null): boolean {
  return rung === 'statistical' || rung === 'cross-class';
}
