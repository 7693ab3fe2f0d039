import type { FinishedTask } from './finished-task.ts';
import type { Figures } from './network-figures.ts';

export type Span = 'minute' | 'hour';

export interface Point {
  /** Epoch ms at which the minute or hour begins. */
  readonly at: number;
  readonly figures: Figures;
}

/** What is kept of the network's life: synchronous. */
export interface NetworkStore {
  point(span: Span, at: number): Figures | null;
  putPoint(span: Span, at: number, figures: Figures): void;
  /** From this instant on, the oldest first. */
  points(span: Span, from: number): Point[];
  forgetPoints(span: Span, before: number): void;
  /** False, and nothing is written, when it was told before. */
  add(task: FinishedTask): boolean;
  /** The newest first. */
  recent(limit: number): FinishedTask[];
  /** Keeps so many, the newest. */
  forgetRecent(most: number): void;
}

export class SqlNetworkStore implements NetworkStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS point (
        span TEXT NOT NULL,
        at INTEGER NOT NULL,
        figures TEXT NOT NULL,
        PRIMARY KEY (span, at)
      ) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS recent (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        entry TEXT NOT NULL UNIQUE,
        task TEXT NOT NULL
      );
    `);
  }

  point(span: Span, at: number): Figures | null {
    const query = 'SELECT figures FROM point WHERE span = ? AND at = ?';
    const [row] = this.#sql.exec<{ figures: string }>(query, span, at).toArray();
    return row === undefined ? null : (JSON.parse(row.figures) as Figures);
  }

  putPoint(span: Span, at: number, figures: Figures): void {
    const query = 'INSERT OR REPLACE INTO point (span, at, figures) VALUES (?, ?, ?)';
    this.#sql.exec(query, span, at, JSON.stringify(figures));
  }

  points(span: Span, from: number): Point[] {
    const query = 'SELECT at, figures FROM point WHERE span = ? AND at >= ? ORDER BY at';
    return this.#sql
      .exec<{ at: number; figures: string }>(query, span, from)
      .toArray()
      .map(({ at, figures }) => ({ at, figures: JSON.parse(figures) as Figures }));
  }

  forgetPoints(span: Span, before: number): void {
    this.#sql.exec('DELETE FROM point WHERE span = ? AND at < ?', span, before);
  }

  add(task: FinishedTask): boolean {
    const known = this.#sql.exec('SELECT number FROM recent WHERE entry = ?', task.entry).toArray();
    if (known.length > 0) return false;
    this.#sql.exec('INSERT INTO recent (entry, task) VALUES (?, ?)', task.entry, JSON.stringify(task));
    return true;
  }

  recent(limit: number): FinishedTask[] {
    return this.#sql
      .exec<{ task: string }>('SELECT task FROM recent ORDER BY number DESC LIMIT ?', limit)
      .toArray()
      .map(({ task }) => JSON.parse(task) as FinishedTask);
  }

  forgetRecent(most: number): void {
    this.#sql.exec(
      'DELETE FROM recent WHERE number NOT IN (SELECT number FROM recent ORDER BY number DESC LIMIT ?)',
      most,
    );
  }
}
