import type { TabRecord } from './record.ts';
import { RECORD_KEPT_MS } from './record-book.ts';
import type { RecordStore } from './record-store.ts';

/** What one pool hands to another of an identity. */
export interface HandedRecords {
  /** How often they had moved when they were last kept there: of two copies the higher is the newer. */
  readonly serial: number;
  readonly records: readonly TabRecord[];
}

/**
 * Which identities have their records in this pool. Whoever hands over keeps its copy: a taker that died before it wrote asks again, and gets the same. Of
 * whom nothing is written down here, pool 0 is the home: it was the only one once.
 */
export class RecordHomes {
  readonly #sql: SqlStorage;
  readonly #store: RecordStore;
  readonly #number: number;
  readonly #now: () => number;

  /** `number`: of this pool. */
  constructor(sql: SqlStorage, store: RecordStore, number: number, now: () => number) {
    this.#sql = sql;
    this.#store = store;
    this.#number = number;
    this.#now = now;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS record_home (
        tab TEXT NOT NULL PRIMARY KEY,
        pool INTEGER NOT NULL,
        serial INTEGER NOT NULL,
        at INTEGER NOT NULL
      ) WITHOUT ROWID;
    `);
  }

  /** Number of the pool that has the records, as far as this one knows; null when it never had them. */
  homeOf(tab: string): number | null {
    return this.#row(tab)?.pool ?? (this.#number === 0 ? 0 : null);
  }

  isHere(tab: string): boolean {
    return this.homeOf(tab) === this.#number;
  }

  /** From now on pool `to` has the records. Gives the copy that is here. */
  handOver(tab: string, to: number): HandedRecords {
    const row = this.#row(tab);
    const serial = row?.serial ?? 0;
    if (row !== null || this.#number === 0) this.#write(tab, to, serial);
    return { serial, records: this.#store.ofTab(tab) };
  }

  /** From now on the records are here: the newest copy counts, be it the own one. */
  adopt(tab: string, handed: readonly HandedRecords[]): void {
    const own = this.#row(tab)?.serial ?? 0;
    const newest = handed.reduce<HandedRecords | null>(
      (best, copy) => (copy.records.length > 0 && copy.serial >= (best?.serial ?? own) ? copy : best),
      null,
    );
    for (const record of newest?.records ?? []) this.#store.save(record);
    const last = Math.max(own, ...handed.map(({ serial }) => serial));
    this.#write(tab, this.#number, last + 1);
  }

  /** Forgets where those are of whom nothing is left. */
  forget(): void {
    const before = this.#now() - RECORD_KEPT_MS;
    this.#sql.exec('DELETE FROM record_home WHERE at < ? AND tab NOT IN (SELECT tab FROM tab_record)', before);
  }

  #row(tab: string): { readonly pool: number; readonly serial: number } | null {
    const query = 'SELECT pool, serial FROM record_home WHERE tab = ?';
    return this.#sql.exec<{ pool: number; serial: number }>(query, tab).toArray()[0] ?? null;
  }

  #write(tab: string, pool: number, serial: number): void {
    const query = 'INSERT OR REPLACE INTO record_home (tab, pool, serial, at) VALUES (?, ?, ?, ?)';
    this.#sql.exec(query, tab, pool, serial, this.#now());
  }
}
