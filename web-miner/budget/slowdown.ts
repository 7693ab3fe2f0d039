/** Below this share of its own best speed a device is taken for throttled. A neighbour on the same core alone costs about half. */
const SLOW_SHARE = 0.45;
/** So long it must have been slow, ms: one answer beside a busy moment says nothing. */
const SLOW_FOR_MS = 60_000;
/** A rest after which a fanless device is near its full speed again, ms. */
const COOL_MS = 120_000;

/** Notices that a device has become much slower than it was, from the speeds of whole answers. */
export class Slowdown {
  #best = 0;
  #slowSince: number | null = null;
  #coolsUntil = 0;

  /** Until when it should rest, ms since the epoch; 0: it need not. */
  get coolsUntil(): number {
    return this.#coolsUntil;
  }

  /** Tokens per second of an answer that ended now. */
  measured(speed: number, now: number): void {
    if (!(speed > 0)) return;
    this.#best = Math.max(this.#best, speed);
    if (speed >= this.#best * SLOW_SHARE) {
      this.#slowSince = null;
      return;
    }
    this.#slowSince ??= now;
    if (now - this.#slowSince < SLOW_FOR_MS) return;
    this.#coolsUntil = now + COOL_MS;
    this.#slowSince = null;
  }

  /** What made it slow or fast is another now: the model, or whether the page can be seen. */
  reset(): void {
    this.#best = 0;
    this.#slowSince = null;
  }
}
