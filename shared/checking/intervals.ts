/** An interval of a proportion, both ends 0 … 1. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

/** Probability that the interval does not hold the true proportion, both sides together. */
const ALPHA = 0.05;

/** Halvings of [0, 1] until the ends are known to the last bit that matters. */
const BISECTIONS = 60;

/**
 * The 95 % interval of a proportion of which `hits` of `trials` were seen (Clopper and Pearson, Biometrika 26, 1934): exact, so it errs on the wide side,
 * also for none of a few. Throws `RangeError` unless 0 ≤ hits ≤ trials and both are whole.
 */
export function proportionInterval(hits: number, trials: number): Interval {
  if (!Number.isSafeInteger(hits) || !Number.isSafeInteger(trials) || hits < 0 || hits > trials) {
    throw new RangeError(`${hits} of ${trials} is no proportion`);
  }
  return {
    low: hits === 0 ? 0 : bisect((p) => 1 - atMost(hits - 1, trials, p) >= ALPHA / 2),
    high: hits === trials ? 1 : bisect((p) => atMost(hits, trials, p) <= ALPHA / 2),
  };
}

/** Whether two intervals share a point: then the data do not tell the two proportions apart. A careful reading; a direct test would tell more. */
export function overlap(a: Interval, b: Interval): boolean {
  return a.low <= b.high && b.low <= a.high;
}

/** The smallest p in [0, 1] for which the condition holds, given that it holds from some point on. */
function bisect(holds: (p: number) => boolean): number {
  let low = 0;
  let high = 1;
  for (let i = 0; i < BISECTIONS; i++) {
    const middle = (low + high) / 2;
    if (holds(middle)) high = middle;
    else low = middle;
  }
  return high;
}

/** Probability of `hits` or fewer in `trials` draws of probability p, 0 < p < 1. Terms are built up as logarithms, so that none of them underflows early. */
function atMost(hits: number, trials: number, p: number): number {
  let logTerm = trials * Math.log1p(-p);
  let total = Math.exp(logTerm);
  for (let k = 1; k <= hits; k++) {
    logTerm += Math.log((trials - k + 1) / k) + Math.log(p) - Math.log1p(-p);
    total += Math.exp(logTerm);
  }
  return Math.min(1, total);
}
