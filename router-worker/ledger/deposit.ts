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

/**
 * The mean is of so many mean answers' worth of pay, not of so many answers: it follows prices and habits, and whoever wants it lower has to spend money as all others
 * together do, not send many tiny requests.
 */
const MEAN_OF = 1_000;

/** One answer counts for no more than so many mean ones: a few very large ones do not make everybody's deposit larger. */
const MOST_MEANS = 4;

/** The mean falls by half in so long, ms, and no faster, whatever is paid: no amount of money buys time. */
const FALLS_BY_HALF_MS = 7 * 24 * 60 * 60 * 1000;

/** Below so many mean answers' worth of pay it may fall at once: the first answers of a class say little of it. */
const SETTLED_FROM = 100;

/** Pay of the answers of a class so far. Stored: fields may be added, never repurposed. */
export interface MeanPay {
  /** Weighted by amount: what the answer has that a micro-credit was paid for. */
  readonly mean: number;
  /** Mean answers' worth of pay that it is the mean of, no more than are remembered. */
  readonly count: number;
  /** When the last of them was paid, epoch ms. */
  readonly at: number;
}

export const NO_PAY: MeanPay = { mean: 0, count: 0, at: 0 };

/** The mean with one answer's pay more, micro-credits, at this instant. */
export function withPay(before: MeanPay, amount: number, at: number): MeanPay {
  if (amount <= 0) return before;
  const { mean, count } = before;
  const counted = mean === 0 ? amount : Math.min(amount, MOST_MEANS * mean);
  const paid = mean * count + counted;
  const next = mean + ((counted - mean) * counted) / paid;
  const least = count < SETTLED_FROM ? 0 : mean * 0.5 ** (Math.max(0, at - before.at) / FALLS_BY_HALF_MS);
  const after = Math.max(next, least);
  return { mean: after, count: Math.min(MEAN_OF, paid / after), at: Math.max(at, before.at) };
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
