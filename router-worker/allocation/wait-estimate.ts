/** Weight of the newest wait in the correction. */
const NEWEST = 0.1;
/** No wait tells more than that the estimate was so many times off. */
const MOST_OFF = 4;
/** Waits shorter than this say nothing of the estimate, ms. */
const SHORTEST_MS = 50;

/** Corrects estimates of waits by how they came true. */
export class WaitEstimate {
  #logCorrection = 0;

  /**
   * How long until it is the turn of a request with so many before it, ms. `freeInMs`: when each able tab is expected to be free. With as many places as
   * tabs the line goes round: `againMs` is what one answer takes.
   */
  startMs(freeInMs: readonly number[], ahead: number, againMs: number): number {
    if (freeInMs.length === 0) return againMs;
    const sorted = [...freeInMs].sort((a, b) => a - b);
    const rounds = Math.floor(ahead / sorted.length);
    const turn = (sorted[ahead % sorted.length] ?? 0) + rounds * againMs;
    return turn * Math.exp(this.#logCorrection);
  }

  /** A wait came to its end. `estimatedMs` is what was said of it, corrected as it was then. */
  came(estimatedMs: number, waitedMs: number): void {
    if (estimatedMs < SHORTEST_MS && waitedMs < SHORTEST_MS) return;
    const off = Math.log(Math.max(SHORTEST_MS, waitedMs) / Math.max(SHORTEST_MS, estimatedMs));
    const bounded = Math.min(Math.log(MOST_OFF), Math.max(-Math.log(MOST_OFF), off));
    this.#logCorrection += NEWEST * bounded;
    this.#logCorrection = Math.min(Math.log(MOST_OFF), Math.max(-Math.log(MOST_OFF), this.#logCorrection));
  }
}
