import type { TabRecord } from './record.ts';
import { type RecordStore, worthOf } from './record-store.ts';

/** No index but the key: every save would write it too, and {@link RecordStore.forget} is rare. */
export class SqlRecordStore implements RecordStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS tab_record (
        tab TEXT NOT NULL,
        class TEXT NOT NULL,
        worth INTEGER NOT NULL,
        seen_at INTEGER NOT NULL,
        record TEXT NOT NULL,
        PRIMARY KEY (tab, class)
      ) WITHOUT ROWID;
    `);
  }

  load(tab: string, classId: string): TabRecord | null {
    const rows = this.#sql.exec<{ record: string }>(
      'SELECT record FROM tab_record WHERE tab = ? AND class = ?',
      tab,
      classId,
    );
    const row = rows.toArray()[0];
    return row === undefined ? null : (JSON.parse(row.record) as TabRecord);
  }

  save(record: TabRecord): void {
    this.#sql.exec(
      'INSERT OR REPLACE INTO tab_record (tab, class, worth, seen_at, record) VALUES (?, ?, ?, ?, ?)',
      record.tab,
      record.class,
      worthOf(record),
      record.at,
      JSON.stringify(record),
    );
  }

  ofTab(tab: string): TabRecord[] {
    const rows = this.#sql.exec<{ record: string }>('SELECT record FROM tab_record WHERE tab = ? ORDER BY class', tab);
    return rows.toArray().map((row) => JSON.parse(row.record) as TabRecord);
  }

  forget(seenBefore: number, most: number): void {
    this.#sql.exec('DELETE FROM tab_record WHERE worth < 2 AND seen_at < ?', seenBefore);
    this.#sql.exec(
      `DELETE FROM tab_record WHERE worth < 2 AND (tab, class) IN (
        SELECT tab, class FROM tab_record ORDER BY worth DESC, seen_at DESC, tab, class LIMIT -1 OFFSET ?
      )`,
      most,
    );
  }
}
