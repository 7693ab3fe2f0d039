import type { FinishedTask } from '../network/finished-task.ts';
import type { Figures } from '../network/network-figures.ts';
import type { NetworkStore, Point, Span } from '../network/network-store.ts';

/** A network store for tests without workerd. Sits the same exam as the SQL one. */
export class MemoryNetworkStore implements NetworkStore {
  readonly #points = { minute: new Map<number, Figures>(), hour: new Map<number, Figures>() };
  #recent: FinishedTask[] = [];

  point(span: Span, at: number): Figures | null {
    return this.#points[span].get(at) ?? null;
  }

  putPoint(span: Span, at: number, figures: Figures): void {
    this.#points[span].set(at, figures);
  }

  points(span: Span, from: number): Point[] {
    return [...this.#points[span]]
      .map(([at, figures]) => ({ at, figures }))
      .filter(({ at }) => at >= from)
      .sort((a, b) => a.at - b.at);
  }

  forgetPoints(span: Span, before: number): void {
    for (const at of [...this.#points[span].keys()]) if (at < before) this.#points[span].delete(at);
  }

  add(task: FinishedTask): boolean {
    if (this.#recent.some(({ entry }) => entry === task.entry)) return false;
    this.#recent.unshift(task);
    return true;
  }

  recent(limit: number): FinishedTask[] {
    return this.#recent.slice(0, limit);
  }

  forgetRecent(most: number): void {
    this.#recent = this.#recent.slice(0, most);
  }
}
