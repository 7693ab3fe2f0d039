import type { FinishedTask } from './finished-task.ts';
import { type Figures, figuresOf, NOTHING, sumOf } from './network-figures.ts';
import type { NetworkStore, Point, Span } from './network-store.ts';

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
const STEP_MS: Readonly<Record<Span, number>> = { minute: MINUTE_MS, hour: HOUR_MS };

/** Points that are kept: two hours by the minute, a week by the hour. */
export const KEPT_POINTS: Readonly<Record<Span, number>> = { minute: 120, hour: 168 };
/** Tasks that are remembered, so that one that is told twice counts once: more than sessions hand over in one call. */
const REMEMBERED = 512;

/** What one look at the pool saw. */
export interface PoolSample {
  readonly tabs: number;
  readonly free: number;
  readonly waiting: number;
}

/** The network's life in figures, bounded. Knows neither SQL nor the clock. */
export class NetworkHistory {
  readonly #store: NetworkStore;
  readonly #now: () => number;

  constructor(store: NetworkStore, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** Tasks that ended. One that was told before changes nothing. */
  ended(tasks: readonly FinishedTask[]): void {
    for (const task of tasks) if (this.#store.add(task)) this.#count(task.endedAt, figuresOf(task));
    this.#store.forgetRecent(REMEMBERED);
    this.#forget();
  }

  sampled({ tabs, free, waiting }: PoolSample): void {
    this.#count(this.#now(), { ...NOTHING, samples: 1, tabs, free, waiting });
    this.#forget();
  }

  /** Sum over the last hour, or the last day. */
  last(span: 'hour' | 'day'): Figures {
    const points =
      span === 'hour'
        ? this.#store.points('minute', this.#now() - HOUR_MS)
        : this.#store.points('hour', this.#now() - 24 * HOUR_MS);
    return points.reduce((sum, { figures }) => sumOf(sum, figures), NOTHING);
  }

  /** The oldest first. Where nothing was seen there is no point. */
  points(span: Span): Point[] {
    return this.#store.points(span, this.#oldest(span));
  }

  recent(limit: number): FinishedTask[] {
    return this.#store.recent(limit);
  }

  #count(at: number, figures: Figures): void {
    for (const span of ['minute', 'hour'] as const) {
      const begin = at - (at % STEP_MS[span]);
      if (begin < this.#oldest(span)) continue; // Told too late for this ring.
      this.#store.putPoint(span, begin, sumOf(this.#store.point(span, begin) ?? NOTHING, figures));
    }
  }

  #forget(): void {
    for (const span of ['minute', 'hour'] as const) this.#store.forgetPoints(span, this.#oldest(span));
  }

  #oldest(span: Span): number {
    const step = STEP_MS[span];
    const at = this.#now();
    return at - (at % step) - (KEPT_POINTS[span] - 1) * step;
  }
}
