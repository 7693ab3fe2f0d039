import type { ProbeRow } from '../../shared/checking/probe-row.ts';
import type { Reading } from './readings-of.ts';

/** Readings that are kept in all, and of one pair of tabs: no pair is to fill the data alone. */
export const MAX_READINGS = 5_000;
export const MAX_READINGS_OF_A_PAIR = 50;

/** What idle tabs were seen to read, for the operator to calibrate with: synchronous. The oldest give way. Nothing on a running network is decided by it. */
export interface ReadingStore {
  add(reading: Reading): void;
  /** Of one model, the oldest first; numbered, so that every third can be held out as in the committed data. */
  rows(model: string): ProbeRow[];
}

export function pairOf({ answered, checker }: Reading): string {
  return `${answered.tab} ${checker.tab}`;
}

export class SqlReadingStore implements ReadingStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS reading (
        number INTEGER PRIMARY KEY AUTOINCREMENT, model TEXT NOT NULL, pair TEXT NOT NULL, row TEXT NOT NULL
      );
      CREATE INDEX IF NOT EXISTS reading_of_pair ON reading (pair, number);
    `);
  }

  add(reading: Reading): void {
    const pair = pairOf(reading);
    this.#sql.exec(
      'INSERT INTO reading (model, pair, row) VALUES (?, ?, ?)',
      reading.model,
      pair,
      JSON.stringify(reading.row),
    );
    this.#sql.exec(
      'DELETE FROM reading WHERE number IN (SELECT number FROM reading WHERE pair = ? ORDER BY number DESC LIMIT -1 OFFSET ?)',
      ...[pair, MAX_READINGS_OF_A_PAIR],
    );
    this.#sql.exec(
      'DELETE FROM reading WHERE number IN (SELECT number FROM reading ORDER BY number DESC LIMIT -1 OFFSET ?)',
      MAX_READINGS,
    );
  }

  rows(model: string): ProbeRow[] {
    const query = 'SELECT number, row FROM reading WHERE model = ? ORDER BY number';
    const rows = this.#sql.exec<{ number: number; row: string }>(query, model).toArray();
    return rows.map(({ number, row }) => ({ ...(JSON.parse(row) as Reading['row']), prompt: number }));
  }
}
