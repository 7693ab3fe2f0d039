import type { LivePool } from '../pool/live-pool.ts';

/** A look at the pool is good for so long, ms: however many ask, the pool is asked this often at most. */
export const LOOK_KEPT_MS = 5_000;

export interface Look {
  readonly at: number;
  readonly pool: LivePool;
}

/** The last look at the pool, shared by all who want one. */
export class LiveView {
  readonly #ask: () => Promise<LivePool>;
  readonly #now: () => number;
  #last: Look | null = null;
  #asking: Promise<Look> | null = null;

  constructor(ask: () => Promise<LivePool>, now: () => number) {
    this.#ask = ask;
    this.#now = now;
  }

  /** Throws what asking throws; the next call asks again. */
  get(): Promise<Look> {
    if (this.#last !== null && this.#now() - this.#last.at < LOOK_KEPT_MS) return Promise.resolve(this.#last);
    this.#asking ??= this.#look().finally(() => {
      this.#asking = null;
    });
    return this.#asking;
  }

  async #look(): Promise<Look> {
    this.#last = { at: this.#now(), pool: await this.#ask() };
    return this.#last;
  }
}
