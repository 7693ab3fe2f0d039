import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';
import { dueAtOf, type SessionStore } from '../session/session-store.ts';
import type { Task } from '../task/task.ts';

/** A session store for tests without workerd. Sits the same exam as the SQL one. */
export class MemorySessionStore implements SessionStore {
  readonly #rows = new Map<TaskTail, { state: string; dueAt: number; ended: boolean; receipt: Signed | null }>();
  readonly #unlogged = new Set<TaskTail>();
  readonly #keptMs: number;

  constructor(keptMs: number) {
    this.#keptMs = keptMs;
  }

  load(tail: TaskTail): Task | null {
    const row = this.#rows.get(tail);
    return row === undefined ? null : (JSON.parse(row.state) as Task);
  }

  save(task: Task, receipt: Signed | null): void {
    const dueAt = dueAtOf(task, this.#keptMs);
    this.#rows.set(task.task, { state: JSON.stringify(task), ended: task.phase === 'ended', dueAt, receipt });
    if (receipt !== null) this.#unlogged.add(task.task);
  }

  receipt(tail: TaskTail): Signed | null {
    return this.#rows.get(tail)?.receipt ?? null;
  }

  unlogged(limit: number): { readonly tail: TaskTail; readonly receipt: Signed }[] {
    return [...this.#unlogged].slice(0, limit).flatMap((tail) => {
      const receipt = this.receipt(tail);
      return receipt === null ? [] : [{ tail, receipt }];
    });
  }

  logged(tails: readonly TaskTail[]): void {
    for (const tail of tails) this.#unlogged.delete(tail);
  }

  due(at: number): Task[] {
    const late = [...this.#rows.values()].filter((row) => !row.ended && row.dueAt <= at);
    return late.map((row) => JSON.parse(row.state) as Task);
  }

  nextDueAt(): number | null {
    const instants = [...this.#rows.values()].map((row) => row.dueAt);
    return instants.length === 0 ? null : Math.min(...instants);
  }

  forget(endedBefore: number): void {
    for (const [tail, row] of this.#rows) {
      if (row.ended && row.dueAt <= endedBefore + this.#keptMs && !this.#unlogged.has(tail)) this.#rows.delete(tail);
    }
  }
}
