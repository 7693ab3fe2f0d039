/** Tasks that run in the background, stored: what is marked and not in memory was lost with the object. A session that runs none has no table. */
export class BackgroundMarks {
  readonly #sql: SqlStorage;
  #isMade: boolean;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    this.#isMade = sql.exec("SELECT name FROM sqlite_master WHERE name = 'background_task'").toArray().length > 0;
  }

  add(task: string): void {
    if (!this.#isMade) this.#sql.exec('CREATE TABLE IF NOT EXISTS background_task (task TEXT PRIMARY KEY)');
    this.#isMade = true;
    this.#sql.exec('INSERT OR IGNORE INTO background_task (task) VALUES (?)', task);
  }

  remove(task: string): void {
    if (this.#isMade) this.#sql.exec('DELETE FROM background_task WHERE task = ?', task);
  }

  all(): string[] {
    if (!this.#isMade) return [];
    return this.#sql
      .exec<{ task: string }>('SELECT task FROM background_task')
      .toArray()
      .map(({ task }) => task);
  }
}
