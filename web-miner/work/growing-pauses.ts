/** What failed is tried again after a pause that doubles with each failure. */
export class GrowingPauses {
  readonly #firstMs: number;
  readonly #longestMs: number;
  readonly #failed = new Map<string, { readonly pauseMs: number; readonly againAt: number }>();

  constructor(firstMs: number, longestMs: number) {
    this.#firstMs = firstMs;
    this.#longestMs = longestMs;
  }

  /** When it may be tried again, ms since the epoch. */
  failed(what: string, now: number): number {
    const before = this.#failed.get(what);
    const pauseMs = before === undefined ? this.#firstMs : Math.min(before.pauseMs * 2, this.#longestMs);
    this.#failed.set(what, { pauseMs, againAt: now + pauseMs });
    return now + pauseMs;
  }

  /** It is not tried again. */
  failedForGood(what: string): void {
    this.#failed.set(what, { pauseMs: this.#longestMs, againAt: Number.POSITIVE_INFINITY });
  }

  isPaused(what: string, now: number): boolean {
    return now < (this.#failed.get(what)?.againAt ?? 0);
  }

  succeeded(what: string): void {
    this.#failed.delete(what);
  }
}
