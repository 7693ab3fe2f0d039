import * as v from 'valibot';
import { ShoalError } from '../errors.ts';

/**
 * How an answer is checked, weakest first.
 *
 * - `none`: not at all; the tab's signature and the digest chain hold it together.
 * - `basic`: delivered at once, checked afterwards at a rate that the tab cannot know.
 * - `cross`: delivered at once, always checked; the verdict follows.
 * - `strict`: always checked, and delivered only when found valid.
 *
 * The answering tab is never told the level.
 */
export const LEVELS = ['none', 'basic', 'cross', 'strict'] as const;
export const level = v.picklist(LEVELS);
export type Level = v.InferOutput<typeof level>;

/** The strongest of several levels; `none` of none. Levels left out count for nothing. */
export function strongest(...levels: readonly (Level | null | undefined)[]): Level {
  return LEVELS[Math.max(0, ...levels.map((one) => (one == null ? 0 : LEVELS.indexOf(one))))] ?? 'none';
}

/** Least level of every request that carries it: what a client sets once, for all that it asks. */
export const LEVEL_HEADER = 'shoal-level';

/** The level in a request's header; null without one. Throws `invalid_value`. */
export function levelInHeader(value: string | null | undefined): Level | null {
  if (value == null) return null;
  if (v.is(level, value)) return value;
  throw new ShoalError('invalid_value', `It must be one of: ${LEVELS.join(', ')}.`, { param: LEVEL_HEADER });
}

/** Agreeing checks that a request may ask for: with the answer and one execution more to settle a dispute, five tabs read the prompt. */
export const checks = v.picklist([1, 2, 3]);
