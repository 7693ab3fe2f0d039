import { TRUST_POLICY } from '../record/policy.ts';

/**
 * What is held back of a tab's pay, by class. Half of it, until the tab is trusted and its deposit is together; the deposit stays, and is lost with the first confirmed
 * lie, never more. Without it a trusted tab that means to leave anyway would have nothing to lose: docs/trust.md has what that earns. The router and `npm run sim -- trust`
 * run this code.
 */

/** Mean tasks' pay that a deposit is: what an answer that nobody checks is worth between two checks at the lowest rate, twice. */
export const DEPOSIT_TASKS = 2 / TRUST_POLICY.rateFloor;

/** One part in so many of each pay goes into it. */
const HELD_SHARE = 2;

/** The mean pay is one of so many answers: it follows prices and habits. Whoever pays for some thousand tiny answers moves it down: docs/credits.md. */
const MEAN_OF = 1_000;

/** Pay of the answers of a class so far. */
export interface MeanPay {
  readonly mean: number;
  /** Answers that it is the mean of, no more than are remembered. */
  readonly count: number;
}

export const NO_PAY: MeanPay = { mean: 0, count: 0 };

/** The mean with one answer's pay more, micro-credits. */
export function withPay({ mean, count }: MeanPay, amount: number): MeanPay {
  const weight = Math.min(MEAN_OF, count + 1);
  return { mean: mean + (amount - mean) / weight, count: weight };
}

/** Micro-credits that stay held back of a tab's pay in a class. */
export function depositOf({ mean }: MeanPay, tasks: number = DEPOSIT_TASKS): number {
  return Math.ceil(mean * tasks);
}

/** How much of a pay is held back. `held`: what is already. */
export function heldBack(amount: number, tab: { readonly isTrusted: boolean; readonly held: number }, deposit: number) {
  if (!tab.isTrusted) return Math.ceil(amount / HELD_SHARE);
  return Math.min(Math.ceil(amount / HELD_SHARE), Math.max(0, deposit - tab.held));
}

/** What is the tab's own when it becomes trusted. */
export function releasedOf(held: number, deposit: number): number {
  return Math.max(0, held - deposit);
}
