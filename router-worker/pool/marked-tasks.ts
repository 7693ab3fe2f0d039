import type { TaskTail } from '../../shared/protocol/fields.ts';

/** How long after its end a task may still be marked, ms: longer than a session takes to tell the pool again what it did not hear. */
const MARKED_WITHIN_MS = 5 * 60 * 1000;

/**
 * Tasks whose end went on the records. A session repeats its end to whoever asks, and a tab with an old lease of a pool that lost its memory can make it: each
 * end counts once.
 */
export class MarkedTasks {
  readonly #now: () => number;
  /** In the order in which they were marked. */
  readonly #markedAt = new Map<TaskTail, number>();

  constructor(now: () => number) {
    this.#now = now;
  }

  /** True the first time for each task, and only soon after its end. */
  take(task: TaskTail, endedAt: number): boolean {
    const at = this.#now();
    for (const [known, since] of this.#markedAt) {
      if (at - since <= MARKED_WITHIN_MS) break;
      this.#markedAt.delete(known);
    }
    if (at - endedAt > MARKED_WITHIN_MS || this.#markedAt.has(task)) return false;
    this.#markedAt.set(task, at);
    return true;
  }
}
