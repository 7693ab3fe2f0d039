/**
 * Arithmetic of evidence that adds up observation by observation. Evidence is the logarithm of a likelihood ratio, in nats: how much more
 * probable what was seen is if the observed party cheats than if it is honest. 0 says nothing.
 *
 * Weights are Wald's (Sequential Tests of Statistical Hypotheses, 1945). The sum never falls below 0, which makes it Page's cumulative sum
 * (Continuous Inspection Schemes, 1954): honest work does not pile up into a reserve from which a late cheat could draw.
 */

/** How often an observation of one kind goes against the observed party, 0 … 1 exclusive: when it is honest, and when it cheats. */
export interface FailureRates {
  readonly honest: number;
  readonly cheat: number;
}

/** What a failure adds, nats: positive as long as cheats fail more often. */
export function failureWeight({ honest, cheat }: FailureRates): number {
  return Math.log(cheat / honest);
}

/** What a pass adds, nats: negative as long as cheats fail more often. */
export function passWeight({ honest, cheat }: FailureRates): number {
  return Math.log((1 - cheat) / (1 - honest));
}

/**
 * Evidence after one observation. `ceiling`: an observation of this kind lifts the sum no higher (nor lowers one that is higher already), however
 * often it is repeated.
 */
export function addEvidence(evidence: number, weight: number, ceiling = Number.POSITIVE_INFINITY): number {
  const sum = Math.max(0, evidence + weight);
  return weight > 0 ? Math.max(evidence, Math.min(sum, ceiling)) : sum;
}

/**
 * The sum, nats, at which to act. Started once and never lifted to 0 again, an honest party ever reaches it with probability `falseAlarm` at most
 * (Ville's inequality, 1939). With the floor at 0, it reaches it once in 1/`falseAlarm` observations at most, on average (Lorden, Procedures
 * for Reacting to a Change in Distribution, 1971).
 */
export function alarmBound(falseAlarm: number): number {
  return -Math.log(falseAlarm);
}

/** What is left of a sum or a count after some time. A clock that went back changes nothing. */
export function decayed(value: number, elapsedMs: number, halfLifeMs: number): number {
  return elapsedMs <= 0 ? value : value * 0.5 ** (elapsedMs / halfLifeMs);
}
