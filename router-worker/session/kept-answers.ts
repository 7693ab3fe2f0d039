import { type Bytes, toBytes } from '../../shared/bytes.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';

/** All that one session keeps, bytes of sealed answers: some forty of the longest, thousands of usual ones. Beyond, the oldest are dropped. */
export const MAX_KEPT_ANSWERS_BYTES = 8 * 1024 * 1024;

/** Largest answer that is kept, bytes: the longest one as JSON, whatever it has to escape. A row of SQLite holds 2 MB. */
export const MAX_KEPT_ANSWER_BYTES = 1280 * 1024;

/** How long an answer is kept at most, ms: a week. Its session may end before. */
export const ANSWER_KEPT_MS = 7 * 24 * 3600 * 1000;

/** Sealed answers of one session, by task. Synchronous. A session that keeps none has no table. */
export class KeptAnswers {
  readonly #sql: SqlStorage;
  readonly #now: () => number;
  readonly #most: number;
  #isMade: boolean;

  constructor(sql: SqlStorage, now: () => number, most = MAX_KEPT_ANSWERS_BYTES) {
    this.#sql = sql;
    this.#now = now;
    this.#most = most;
    this.#isMade = sql.exec("SELECT name FROM sqlite_master WHERE name = 'kept_answer'").toArray().length > 0;
  }

  /** False for one that is too large. The first answer of a task stays. Gives room by dropping the oldest of the others. */
  keep(tail: TaskTail, sealed: Bytes): boolean {
    if (sealed.byteLength > Math.min(MAX_KEPT_ANSWER_BYTES, this.#most)) return false;
    if (!this.#isMade) {
      this.#sql.exec(`
        CREATE TABLE IF NOT EXISTS kept_answer (
          number INTEGER PRIMARY KEY AUTOINCREMENT,
          tail TEXT NOT NULL UNIQUE,
          kept_at INTEGER NOT NULL,
          sealed BLOB NOT NULL
        );
      `);
      this.#isMade = true;
    }
    this.#sql.exec(
      'INSERT OR IGNORE INTO kept_answer (tail, kept_at, sealed) VALUES (?, ?, ?)',
      ...[tail, this.#now(), sealed],
    );
    this.#dropOldest();
    return true;
  }

  /** Null when none is kept. */
  read(tail: TaskTail): Bytes | null {
    if (!this.#isMade) return null;
    const query = 'SELECT sealed FROM kept_answer WHERE tail = ? AND kept_at > ?';
    const row = this.#sql.exec<{ sealed: ArrayBuffer }>(query, tail, this.#now() - ANSWER_KEPT_MS).toArray()[0];
    return row === undefined ? null : toBytes(row.sealed);
  }

  /** Says nothing of one that is not kept. */
  drop(tail: TaskTail): void {
    if (this.#isMade) this.#sql.exec('DELETE FROM kept_answer WHERE tail = ?', tail);
  }

  /** Nothing of them is left. */
  clear(): void {
    if (this.#isMade) this.#sql.exec('DELETE FROM kept_answer');
  }

  sweep(): void {
    if (this.#isMade) this.#sql.exec('DELETE FROM kept_answer WHERE kept_at <= ?', this.#now() - ANSWER_KEPT_MS);
  }

  /** The next instant at which {@link sweep} has something to do; null when nothing is kept. */
  nextDueAt(): number | null {
    if (!this.#isMade) return null;
    const { at } = this.#sql.exec<{ at: number | null }>('SELECT MIN(kept_at) AS at FROM kept_answer').one();
    return at === null ? null : at + ANSWER_KEPT_MS;
  }

  #dropOldest(): void {
    const query = 'SELECT number, LENGTH(sealed) AS bytes FROM kept_answer ORDER BY number DESC';
    let total = 0;
    for (const { number, bytes } of this.#sql.exec<{ number: number; bytes: number }>(query).toArray()) {
      total += bytes;
      if (total > this.#most) this.#sql.exec('DELETE FROM kept_answer WHERE number = ?', number);
    }
  }
}
