/** Share of the answers that may be asked for twice: what a straggler costs its user is bought back with no more than that of everybody's work. */
const SHARE = 0.05;
/** Hedges that may be saved up, for the moment in which many tabs stall at once. */
const MOST_SAVED = 8;

/** Of what was expected until the first token: later than this many times, and this long, it is late, ms. */
const LATE = { times: 2, ms: 1_000 };

/** When a first token is late. Both the tabs and the estimates are uneven: a hedge at the expected moment would be wasted on every second answer. */
export function lateAfterMs(expectedFirstTokenMs: number): number {
  return LATE.times * expectedFirstTokenMs + LATE.ms;
}

/** Bounds the extra work of hedging. */
export class HedgeBudget {
  #saved = 1;

  /** An answer was leased. */
  earn(): void {
    this.#saved = Math.min(MOST_SAVED, this.#saved + SHARE);
  }

  get allows(): boolean {
    return this.#saved >= 1;
  }

  spend(): void {
    this.#saved -= 1;
  }
}
