import type { Bill } from './bill.ts';
import type { Purse } from './grant.ts';

/** What a session keeps of money: synchronous. Purses are few: one for each who ever paid in it and is not settled with. */
export interface PurseStore {
  purse(name: string): Purse | null;
  purses(): { readonly name: string; readonly purse: Purse }[];
  /** Writes the purse, and the bill of a task that was settled with it, at once. */
  save(name: string, purse: Purse, bill: Bill | null): void;
  remove(name: string): void;
  bill(task: string): Bill | null;
  /** Removes bills of tasks that ended before this instant. */
  forgetBills(endedBefore: number): void;
}

export class SqlPurseStore implements PurseStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS purse (name TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS bill (task TEXT PRIMARY KEY, ended_at INTEGER NOT NULL, state TEXT NOT NULL) WITHOUT ROWID;
    `);
  }

  purse(name: string): Purse | null {
    const row = this.#sql.exec<{ state: string }>('SELECT state FROM purse WHERE name = ?', name).toArray()[0];
    return row === undefined ? null : (JSON.parse(row.state) as Purse);
  }

  purses(): { readonly name: string; readonly purse: Purse }[] {
    const rows = this.#sql.exec<{ name: string; state: string }>('SELECT name, state FROM purse ORDER BY name');
    return rows.toArray().map(({ name, state }) => ({ name, purse: JSON.parse(state) as Purse }));
  }

  /** No await between the two writes: the object's storage takes both or none. */
  save(name: string, purse: Purse, bill: Bill | null): void {
    this.#sql.exec('INSERT OR REPLACE INTO purse (name, state) VALUES (?, ?)', name, JSON.stringify(purse));
    if (bill === null) return;
    this.#sql.exec(
      'INSERT OR REPLACE INTO bill (task, ended_at, state) VALUES (?, ?, ?)',
      ...[bill.task, bill.endedAt, JSON.stringify(bill)],
    );
  }

  remove(name: string): void {
    this.#sql.exec('DELETE FROM purse WHERE name = ?', name);
  }

  bill(task: string): Bill | null {
    const row = this.#sql.exec<{ state: string }>('SELECT state FROM bill WHERE task = ?', task).toArray()[0];
    return row === undefined ? null : (JSON.parse(row.state) as Bill);
  }

  forgetBills(endedBefore: number): void {
    this.#sql.exec('DELETE FROM bill WHERE ended_at < ?', endedBefore);
  }
}
