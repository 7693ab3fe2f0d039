interface Pause {
  /** When the tab may be asked again. */
  readonly until: number;
  readonly ms: number;
}

/** After a task of the network a tab rests this many times as long as it took: a slow device is not kept hot for hours to be qualified. */
const REST_TIMES = 2;

/** A tab of which nothing could be learnt is left alone for so long, ms; twice as long each time that it happens again, up to the longest. */
const PAUSE_MS = 60_000;
const LONGEST_PAUSE_MS = 60 * 60 * 1000;

/** How long tabs are left alone between two questions of the network, by identity. */
export class QuestionPauses {
  readonly #now: () => number;
  readonly #pauses = new Map<string, Pause>();
  #forgotAt: number;

  constructor(now: () => number) {
    this.#now = now;
    this.#forgotAt = now();
  }

  /** When the tab may be asked again; 0: at any time. */
  until(identity: string): number {
    return this.#pauses.get(identity)?.until ?? 0;
  }

  /** Something was learnt of a question that took so long, ms: the device may cool down a little. */
  learnt(identity: string, tookMs: number): void {
    this.#pauses.set(identity, { until: this.#now() + REST_TIMES * tookMs, ms: 0 });
  }

  /** Nothing was learnt: two tabs that differ would be asked without end, one that nobody proves right too. */
  nothingLearnt(identity: string): void {
    const at = this.#now();
    if (this.#forgotAt + LONGEST_PAUSE_MS <= at) this.#forget(at);
    const before = this.#pauses.get(identity)?.ms ?? 0;
    const ms = Math.min(LONGEST_PAUSE_MS, Math.max(PAUSE_MS, 2 * before));
    this.#pauses.set(identity, { until: at + ms, ms });
  }

  #forget(at: number): void {
    this.#forgotAt = at;
    for (const [known, { until }] of this.#pauses) if (until + LONGEST_PAUSE_MS <= at) this.#pauses.delete(known);
  }
}
