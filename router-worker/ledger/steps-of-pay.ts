import type { MeanPay } from './deposit.ts';

/**
 * What a tab earned is told, and given to its account, in steps that are worth several tasks. Nothing is paid for questions of the network: by single payments a tab would
 * find out afterwards which of its tasks these were, and learn to tell them from a user's.
 */

/** Mean pays that a step is worth at least, and less than twice as many. */
const STEP_TASKS = 4;

/** A step of a class, micro-credits: a power of two, so that it stays the same while the mean moves a little. `amount`: of the pay, for the first of a class. */
export function stepOfPay({ mean }: Pick<MeanPay, 'mean'>, amount: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, STEP_TASKS * (mean > 0 ? mean : amount))));
}

/** As much of it as is whole steps. */
export function wholeSteps(amount: number, step: number): number {
  return amount - (amount % step);
}
