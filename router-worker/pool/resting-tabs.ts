/** First rest, ms; every further miss in a row doubles it. */
const FIRST_REST_MS = 30_000;
const LONGEST_REST_MS = 60 * 60 * 1000;
/** Identities remembered: more than a pool has sockets. */
const MAX_REMEMBERED = 2_048;

/** Tabs that missed a deadline. They are asked last, for longer each time, until they finish a task again. */
export class RestingTabs {
  readonly #now: () => number;
  readonly #misses = new Map<string, { readonly count: number; readonly until: number }>();

  constructor(now: () => number) {
    this.#now = now;
  }

  missed(identity: string): void {
    const count = (this.#misses.get(identity)?.count ?? 0) + 1;
    this.#misses.delete(identity);
    const [oldest] = this.#misses.keys();
    if (oldest !== undefined && this.#misses.size >= MAX_REMEMBERED) this.#misses.delete(oldest);
    const rest = Math.min(LONGEST_REST_MS, FIRST_REST_MS * 2 ** (count - 1));
    this.#misses.set(identity, { count, until: this.#now() + rest });
  }

  worked(identity: string): void {
    this.#misses.delete(identity);
  }

  has(identity: string): boolean {
    const miss = this.#misses.get(identity);
    return miss !== undefined && this.#now() < miss.until;
  }
}
