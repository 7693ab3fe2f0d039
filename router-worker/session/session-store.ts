import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';
import type { Task } from '../task/task.ts';

/** What a session keeps, synchronous and transactional. */
export interface SessionStore {
  load(tail: TaskTail): Task | null;
  /** Writes the task, and its receipt when it has ended, at once. */
  save(task: Task, receipt: Signed | null): void;
  receipt(tail: TaskTail): Signed | null;
  /** Receipts that are not known to be in the public log yet, oldest first. */
  unlogged(limit: number): { readonly tail: TaskTail; readonly receipt: Signed }[];
  /** These are in the log. */
  logged(tails: readonly TaskTail[]): void;
  /** Running tasks whose deadline has come. */
  due(at: number): Task[];
  /** The next instant at which {@link due} or {@link forget} has something to do; null when nothing is kept. */
  nextDueAt(): number | null;
  /** Removes tasks that ended before this instant, but none whose receipt is still to be logged. */
  forget(endedBefore: number): void;
}

/** Receipts wait so long to be logged, ms: tasks of one conversation that end together go in one call, and no answer waits for it. */
export const LOG_AFTER_MS = 1_000;

/** When a task wants to be looked at next: at its deadline, or when its receipt may be forgotten. */
export function dueAtOf(task: Task, keptMs: number): number {
  return task.phase === 'ended' ? task.endedAt + keptMs : task.deadlineAt;
}

export class SqlSessionStore implements SessionStore {
  readonly #sql: SqlStorage;
  readonly #keptMs: number;
  readonly #onDue: (at: number) => void;
  readonly #onSaved: SessionStore['save'];

  /** `onDue` hears of every instant at which a saved task wants to be looked at, `onSaved` of every task that was saved. */
  constructor(
    sql: SqlStorage,
    keptMs: number,
    onDue: (at: number) => void = () => undefined,
    onSaved: SessionStore['save'] = () => undefined,
  ) {
    this.#sql = sql;
    this.#keptMs = keptMs;
    this.#onDue = onDue;
    this.#onSaved = onSaved;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS task (
        tail TEXT PRIMARY KEY,
        ended INTEGER NOT NULL,
        due_at INTEGER NOT NULL,
        state TEXT NOT NULL,
        receipt TEXT
      ) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS unlogged (tail TEXT PRIMARY KEY);
    `);
  }

  load(tail: TaskTail): Task | null {
    const row = this.#sql.exec<{ state: string }>('SELECT state FROM task WHERE tail = ?', tail).toArray()[0];
    return row === undefined ? null : (JSON.parse(row.state) as Task);
  }

  save(task: Task, receipt: Signed | null): void {
    const dueAt = dueAtOf(task, this.#keptMs);
    this.#sql.exec(
      'INSERT OR REPLACE INTO task (tail, ended, due_at, state, receipt) VALUES (?, ?, ?, ?, ?)',
      task.task,
      task.phase === 'ended' ? 1 : 0,
      dueAt,
      JSON.stringify(task),
      receipt === null ? null : JSON.stringify(receipt),
    );
    this.#onDue(dueAt);
    this.#onSaved(task, receipt);
    if (task.phase !== 'ended' || receipt === null) return;
    this.#sql.exec('INSERT OR IGNORE INTO unlogged (tail) VALUES (?)', task.task);
    this.#onDue(task.endedAt + LOG_AFTER_MS);
  }

  receipt(tail: TaskTail): Signed | null {
    const row = this.#sql
      .exec<{ receipt: string | null }>('SELECT receipt FROM task WHERE tail = ?', tail)
      .toArray()[0];
    return row?.receipt == null ? null : (JSON.parse(row.receipt) as Signed);
  }

  unlogged(limit: number): { readonly tail: TaskTail; readonly receipt: Signed }[] {
    const query =
      'SELECT tail, receipt FROM unlogged JOIN task USING (tail) WHERE receipt IS NOT NULL ORDER BY unlogged.rowid LIMIT ?';
    const rows = this.#sql.exec<{ tail: string; receipt: string }>(query, limit).toArray();
    return rows.map(({ tail, receipt }) => ({ tail, receipt: JSON.parse(receipt) as Signed }));
  }

  logged(tails: readonly TaskTail[]): void {
    for (const tail of tails) this.#sql.exec('DELETE FROM unlogged WHERE tail = ?', tail);
  }

  due(at: number): Task[] {
    const rows = this.#sql.exec<{ state: string }>('SELECT state FROM task WHERE ended = 0 AND due_at <= ?', at);
    return rows.toArray().map((row) => JSON.parse(row.state) as Task);
  }

  nextDueAt(): number | null {
    const row = this.#sql.exec<{ at: number | null }>('SELECT MIN(due_at) AS at FROM task').toArray()[0];
    return row?.at ?? null;
  }

  forget(endedBefore: number): void {
    const query = 'DELETE FROM task WHERE ended = 1 AND due_at <= ? AND tail NOT IN (SELECT tail FROM unlogged)';
    this.#sql.exec(query, endedBefore + this.#keptMs);
  }
}
