import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';
import type { SessionStore } from '../session/session-store.ts';
import type { Task } from '../task/task.ts';

/** A session store for tests without workerd. Sits the same exam as the SQL one. */
export class MemorySessionStore implements SessionStore {
  readonly #rows = new Map<TaskTail, { state: string; dueAt: number; ended: boolean; receipt: Signed | null }>();
  readonly #keptMs: number;

  constructor(keptMs: number) {
    this.#keptMs = keptMs;
  }

  load(tail: TaskTail): Task | null {
    const row = this.#rows.get(tail);
    return row === undefined ? null : (JSON.parse(row.state) as Task);
  }

  save(task: Task): void {
    const ended = task.phase === 'ended';
    this.#rows.set(task.task, {
      state: JSON.stringify(task),
      ended,
      dueAt: ended ? task.endedAt + this.#keptMs : task.deadlineAt,
      receipt: this.#rows.get(task.task)?.receipt ?? null,
    });
  }

  receipt(tail: TaskTail): Signed | null {
    return this.#rows.get(tail)?.receipt ?? null;
  }

  saveReceipt(tail: TaskTail, receipt: Signed): void {
    const row = this.#rows.get(tail);
    if (row !== undefined) row.receipt = receipt;
  }

  due(at: number): Task[] {
    return [...this.#rows.values()]
      .filter((row) => (row.ended ? row.receipt === null : row.dueAt <= at))
      .map((row) => JSON.parse(row.state) as Task);
  }

  nextDueAt(): number | null {
    const instants = [...this.#rows.values()].map((row) => row.dueAt);
    return instants.length === 0 ? null : Math.min(...instants);
  }

  forget(endedBefore: number): void {
    for (const [tail, row] of this.#rows) {
      if (row.ended && row.dueAt <= endedBefore + this.#keptMs) this.#rows.delete(tail);
    }
  }
}
