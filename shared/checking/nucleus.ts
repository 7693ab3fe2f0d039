/** How far a nucleus may differ between two arithmetics: tokens within this much of the edge, in cumulative probability, count as inside. */
export const NUCLEUS_TOLERANCE = 0.02;

/** How many of the likeliest tokens hold `topP`, the one that crosses the line included; all where the list does not hold as much. */
export function nucleusSize(probabilities: readonly number[], topP: number): number {
  let held = 0;
  for (const [i, p] of probabilities.entries()) {
    held += p;
    if (held >= topP) return i + 1;
  }
  return probabilities.length;
}
