/** How far one wait moves the correction (natural logarithm): a hundred that are all too long move it by a factor of e². */
const STEP = 0.02;
/** No correction goes further than this many times. */
const MOST_OFF = 4;
/** Shorter waits say nothing of the estimate, ms. */
const SHORTEST_MS = 200;

/** Corrects estimates of waits so that as many come true late as early: the correction follows the median of what the last ones were off. */
export class WaitEstimate {
  #logCorrection = 0;

  corrected(plannedMs: number): number {
    return plannedMs * Math.exp(this.#logCorrection);
  }

  /** A wait came to its end. `plannedMs`: what was planned when it began, not corrected. */
  came(plannedMs: number, waitedMs: number): void {
    if (plannedMs < SHORTEST_MS && waitedMs < SHORTEST_MS) return;
    const moved = this.#logCorrection + (waitedMs > this.corrected(plannedMs) ? STEP : -STEP);
    this.#logCorrection = Math.min(Math.log(MOST_OFF), Math.max(-Math.log(MOST_OFF), moved));
  }
}
