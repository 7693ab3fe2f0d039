import type { Interval } from '../../shared/checking/intervals.ts';

/** Two standard errors on either side hold the true value in 95 of 100 cases. */
const STANDARD_ERRORS = 1.96;

export interface Area {
  /** Probability that a dishonest answer looks worse than an honest one, ties counted half; 0.5 is blind. */
  readonly area: number;
  /** 95 %. */
  readonly interval: Interval;
}

/**
 * Area under the ROC curve of a figure that is low for bad answers, with its standard error after Hanley and McNeil (Radiology 143, 1982). The interval of a
 * perfect separation has no width there, which flatters small samples. `null` where one side is empty.
 */
export function areaUnderCurve(honest: readonly number[], dishonest: readonly number[]): Area | null {
  if (honest.length === 0 || dishonest.length === 0) return null;
  let wins = 0;
  for (const good of honest) {
    for (const bad of dishonest) wins += bad < good ? 1 : bad === good ? 0.5 : 0;
  }
  const area = wins / (honest.length * dishonest.length);
  const twoBad = area / (2 - area);
  const twoGood = (2 * area ** 2) / (1 + area);
  const variance =
    (area * (1 - area) + (dishonest.length - 1) * (twoBad - area ** 2) + (honest.length - 1) * (twoGood - area ** 2)) /
    (honest.length * dishonest.length);
  const reach = STANDARD_ERRORS * Math.sqrt(Math.max(0, variance));
  return { area, interval: { low: Math.max(0, area - reach), high: Math.min(1, area + reach) } };
}
