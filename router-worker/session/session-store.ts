import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';
import type { Task } from '../task/task.ts';

/** What a session keeps, synchronous and transactional. */
export interface SessionStore {
  load(tail: TaskTail): Task | null;
  /** Writes the task and, when it has one, its receipt, in one transaction. */
  save(task: Task): void;
  receipt(tail: TaskTail): Signed | null;
  saveReceipt(tail: TaskTail, receipt: Signed): void;
  /** Tasks whose deadline has come, and ended ones that still lack a receipt. */
  due(at: number): Task[];
  /** The next instant at which {@link due} or {@link forget} has something to do; null when nothing is kept. */
  nextDueAt(): number | null;
  /** Removes tasks that ended before this instant. */
  forget(endedBefore: number): void;
}

/** How long after its end a task is kept is added by the caller: the store only knows instants. */
export class SqlSessionStore implements SessionStore {
  readonly #sql: SqlStorage;
  readonly #keptMs: number;

  constructor(sql: SqlStorage, keptMs: number) {
    this.#sql = sql;
    this.#keptMs = keptMs;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS task (
        tail TEXT PRIMARY KEY,
        ended INTEGER NOT NULL,
        due_at INTEGER NOT NULL,
        state TEXT NOT NULL,
        receipt TEXT
      ) WITHOUT ROWID;
    `);
  }

  load(tail: TaskTail): Task | null {
    const row = this.#sql.exec<{ state: string }>('SELECT state FROM task WHERE tail = ?', tail).toArray()[0];
    return row === undefined ? null : (JSON.parse(row.state) as Task);
  }

  save(task: Task): void {
    const ended = task.phase === 'ended';
    this.#sql.exec(
      `INSERT INTO task (tail, ended, due_at, state) VALUES (?, ?, ?, ?)
       ON CONFLICT (tail) DO UPDATE SET ended = excluded.ended, due_at = excluded.due_at, state = excluded.state`,
      task.task,
      ended ? 1 : 0,
      ended ? task.endedAt + this.#keptMs : task.deadlineAt,
      JSON.stringify(task),
    );
  }

  receipt(tail: TaskTail): Signed | null {
    const row = this.#sql
      .exec<{ receipt: string | null }>('SELECT receipt FROM task WHERE tail = ?', tail)
      .toArray()[0];
    return row?.receipt == null ? null : (JSON.parse(row.receipt) as Signed);
  }

  saveReceipt(tail: TaskTail, receipt: Signed): void {
    this.#sql.exec('UPDATE task SET receipt = ? WHERE tail = ?', JSON.stringify(receipt), tail);
  }

  due(at: number): Task[] {
    const rows = this.#sql.exec<{ state: string }>(
      'SELECT state FROM task WHERE (ended = 0 AND due_at <= ?) OR (ended = 1 AND receipt IS NULL)',
      at,
    );
    return rows.toArray().map((row) => JSON.parse(row.state) as Task);
  }

  nextDueAt(): number | null {
    const row = this.#sql.exec<{ at: number | null }>('SELECT MIN(due_at) AS at FROM task').toArray()[0];
    return row?.at ?? null;
  }

  forget(endedBefore: number): void {
    this.#sql.exec('DELETE FROM task WHERE ended = 1 AND due_at <= ?', endedBefore + this.#keptMs);
  }
}
