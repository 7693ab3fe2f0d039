import type { Batch } from './batch.ts';
import type { ListQuery } from './file-store.ts';

/** A line that is still to be run, or runs. Its request is read from the input file when it is wanted. */
export interface OpenLine {
  readonly batch: string;
  /** In the input file, from 1. */
  readonly number: number;
  readonly customId: string;
  readonly model: string;
  readonly offset: number;
  readonly length: number;
  /** How often it was begun, this time included. */
  readonly attempts: number;
}

interface LineRow extends Record<string, SqlStorageValue> {
  batch: string;
  number: number;
  custom_id: string;
  model: string;
  offset: number;
  length: number;
  attempts: number;
}

/** Batches of one owner and their lines. A line's state tells whether its outcome was written, so that none is counted twice. */
export class SqlBatchStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS batch (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        input TEXT NOT NULL,
        open INTEGER NOT NULL,
        due_at INTEGER NOT NULL,
        state TEXT NOT NULL
      );
      CREATE TABLE IF NOT EXISTS line (
        batch TEXT NOT NULL,
        number INTEGER NOT NULL,
        custom_id TEXT NOT NULL,
        model TEXT NOT NULL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        due_at INTEGER NOT NULL,
        offset INTEGER NOT NULL,
        length INTEGER NOT NULL,
        PRIMARY KEY (batch, number)
      ) WITHOUT ROWID;
      CREATE UNIQUE INDEX IF NOT EXISTS line_custom_id ON line (batch, custom_id);
      CREATE INDEX IF NOT EXISTS line_waiting ON line (batch, state, model, number);
      CREATE INDEX IF NOT EXISTS line_due ON line (batch, state, due_at);
      CREATE INDEX IF NOT EXISTS batch_due ON batch (open, due_at);
    `);
  }

  save(batch: Batch): void {
    this.#sql.exec(
      `INSERT INTO batch (id, input, open, due_at, state) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (id) DO UPDATE SET open = excluded.open, due_at = excluded.due_at, state = excluded.state`,
      ...[batch.id, batch.inputFile, batch.isOver ? 0 : 1, batch.dueAt, JSON.stringify(batch)],
    );
  }

  find(id: string): Batch | null {
    const row = this.#sql.exec<{ state: string }>('SELECT state FROM batch WHERE id = ?', id).toArray()[0];
    return row === undefined ? null : batchOf(row);
  }

  /** Those that are not over, oldest first. */
  open(): Batch[] {
    const query = 'SELECT state FROM batch WHERE open = 1 ORDER BY number';
    return this.#sql.exec<{ state: string }>(query).toArray().map(batchOf);
  }

  openWithInput(file: string): Batch[] {
    return this.open().filter((batch) => batch.inputFile === file);
  }

  count(): number {
    return this.#sql.exec<{ count: number }>('SELECT COUNT(*) AS count FROM batch').one().count;
  }

  /** Newest first. */
  list({ limit, after }: Omit<ListQuery, 'order'>): { readonly batches: Batch[]; readonly more: boolean } {
    const rows = this.#sql
      .exec<{ state: string }>(
        `SELECT state FROM batch WHERE ? IS NULL OR number < (SELECT number FROM batch WHERE id = ?)
          ORDER BY number DESC LIMIT ?`,
        ...[after, after, limit + 1],
      )
      .toArray();
    return { batches: rows.slice(0, limit).map(batchOf), more: rows.length > limit };
  }

  /** Forgets what was over long enough at this instant. */
  forget(at: number): void {
    this.#sql.exec('DELETE FROM batch WHERE open = 0 AND due_at <= ?', at);
  }

  nextDueAt(): number | null {
    return this.#sql.exec<{ at: number | null }>('SELECT MIN(due_at) AS at FROM batch').one().at;
  }

  // ---- lines -------------------------------------------------------------------------------------------------------

  /** `false` when the batch has a line of this `custom_id` already. */
  addLine(line: Omit<OpenLine, 'attempts'>): boolean {
    const { batch, number, customId, model, offset, length } = line;
    const written = this.#sql.exec(
      `INSERT INTO line (batch, number, custom_id, model, state, attempts, due_at, offset, length)
        VALUES (?, ?, ?, ?, 'waiting', 0, 0, ?, ?) ON CONFLICT DO NOTHING RETURNING number`,
      ...[batch, number, customId, model, offset, length],
    );
    return written.toArray().length > 0;
  }

  /** When the next line that rests may be run; null when none rests. */
  nextLineAt(batch: string): number | null {
    const query = `SELECT MIN(due_at) AS at FROM line WHERE batch = ? AND state = 'waiting'`;
    return this.#sql.exec<{ at: number | null }>(query, batch).one().at;
  }

  /** Marks the next lines of a model as running, first in the file first, and gives them. */
  take(batch: string, model: string, at: number, limit: number): OpenLine[] {
    const rows = this.#sql
      .exec<LineRow>(
        // The plus keeps SQLite to the index that is in the order of the file: it reads no more lines than it gives, but for those that rest.
        `SELECT * FROM line WHERE batch = ? AND state = 'waiting' AND model = ? AND +due_at <= ? ORDER BY number LIMIT ?`,
        ...[batch, model, at, limit],
      )
      .toArray();
    for (const { number } of rows) {
      const query = `UPDATE line SET state = 'running', attempts = attempts + 1 WHERE batch = ? AND number = ?`;
      this.#sql.exec(query, batch, number);
    }
    return rows.map((row) => ({ ...lineOf(row), attempts: row.attempts + 1 }));
  }

  /** A running line goes back to wait. `counts`: whether this was one of its attempts. */
  putBack(line: OpenLine, dueAt: number, counts: boolean): void {
    this.#sql.exec(
      `UPDATE line SET state = 'waiting', due_at = ?, attempts = attempts - ? WHERE batch = ? AND number = ? AND state = 'running'`,
      ...[dueAt, counts ? 0 : 1, line.batch, line.number],
    );
  }

  /** `false` when its outcome was written before, or is not wanted any more. */
  close(line: Pick<OpenLine, 'batch' | 'number'>): boolean {
    const query = `UPDATE line SET state = 'closed' WHERE batch = ? AND number = ? AND state != 'closed' RETURNING number`;
    return this.#sql.exec(query, line.batch, line.number).toArray().length > 0;
  }

  /** Lines without an outcome. */
  openLines(batch: string, limit: number): OpenLine[] {
    const query = `SELECT * FROM line WHERE batch = ? AND state IN ('waiting', 'running') ORDER BY number LIMIT ?`;
    return this.#sql.exec<LineRow>(query, batch, limit).toArray().map(lineOf);
  }

  /** The batch is over: its lines are told by its files from now on. */
  dropLines(batch: string): void {
    this.#sql.exec('DELETE FROM line WHERE batch = ?', batch);
  }

  /** After a restart nothing runs: what was in flight waits again, under the same name. */
  interruptAll(): number {
    return this.#sql.exec(`UPDATE line SET state = 'waiting' WHERE state = 'running' RETURNING number`).toArray()
      .length;
  }
}

function batchOf({ state }: { readonly state: string }): Batch {
  return JSON.parse(state) as Batch;
}

function lineOf(row: LineRow): OpenLine {
  const { batch, number, model, offset, length, attempts } = row;
  return { batch, number, customId: row.custom_id, model, offset, length, attempts };
}
