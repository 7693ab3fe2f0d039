import { LINK_DEADLINE_MS } from '../../shared/limits.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';

/** Offers that may wait at once: enough for every tab of a full pool to open one. */
const MAX_WAITING = 1024;

interface Waiting {
  readonly answerer: string;
  readonly until: number;
  readonly resolve: (signal: Signed | null) => void;
}

/** Offers on their way to a tab, until its answer comes or the time is over. */
export class LinkDesk {
  readonly #waiting = new Map<string, Waiting>();
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** The answer of `answerer` to the offer `link`; null when it declines, is too late, or too many offers wait. */
  wait(link: string, answerer: string): Promise<Signed | null> {
    if (this.#waiting.size >= MAX_WAITING || this.#waiting.has(link)) return Promise.resolve(null);
    return new Promise((resolve) => {
      this.#waiting.set(link, { answerer, until: this.#now() + LINK_DEADLINE_MS, resolve });
    });
  }

  answer(link: string, from: string, signal: Signed | null): void {
    const waiting = this.#waiting.get(link);
    if (waiting?.answerer !== from || (signal !== null && signal.key !== from)) return;
    this.#waiting.delete(link);
    waiting.resolve(signal);
  }

  tick(): void {
    for (const [link, waiting] of this.#waiting) {
      if (this.#now() < waiting.until) continue;
      this.#waiting.delete(link);
      waiting.resolve(null);
    }
  }
}
