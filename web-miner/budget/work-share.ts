/**
 * Keeps work under its share of time: after each piece the tab rests until work ÷ (work + rest) is the share. Time without work before a piece
 * does not count as rest, so no stretch that begins with a piece of work and ends with its rest is above the share.
 */
export class WorkShare {
  #running = 0;
  #beganAt = 0;
  #restsUntil = 0;

  get restsUntil(): number {
    return this.#restsUntil;
  }

  began(now: number): void {
    if (this.#running++ === 0) this.#beganAt = now;
  }

  /** `share`: of time, above 0 and at most 1. */
  ended(share: number, now: number): void {
    if (this.#running === 0 || --this.#running > 0) return;
    const workMs = Math.max(0, now - this.#beganAt);
    // Work that began while an earlier rest was not over (it had been leased before) adds to what is left of it.
    const owedMs = Math.max(0, this.#restsUntil - this.#beganAt);
    this.#restsUntil = now + owedMs + workMs * (1 / share - 1);
  }
}
