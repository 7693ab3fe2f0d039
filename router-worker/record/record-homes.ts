import type { TabRecord } from './record.ts';
import { RECORD_KEPT_MS } from './record-book.ts';
import { type RecordStore, worthOf } from './record-store.ts';

/** What one pool hands to another of an identity. */
export interface HandedRecords {
  /** How often they had moved when they were last kept there: of two copies the higher is the newer. */
  readonly serial: number;
  readonly records: readonly TabRecord[];
}

/** Identities without a record of which it is remembered where they are: a pool has fewer sockets. Nothing is stored for an identity that did nothing yet. */
const MAX_WITHOUT_RECORD = 4_096;

/**
 * Which identities have their records in this pool. Whoever hands over keeps its copy: a taker that died before it wrote asks again, and gets the same. Of
 * whom nothing is known, pool 0 is the home: it was the only one once.
 */
export class RecordHomes {
  readonly #sql: SqlStorage;
  readonly #store: RecordStore;
  readonly #number: number;
  readonly #now: () => number;
  readonly #withoutRecord = new Map<string, number>();

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
    const told = this.#told(tab);
    if (told !== null) return told;
    return this.#number === 0 || this.#store.ofTab(tab).length > 0 ? this.#number : null;
  }

  isHere(tab: string): boolean {
    return this.homeOf(tab) === this.#number;
  }

  /** Whether they were brought here, or would have been if there were any: no other pool need be asked. */
  isAdopted(tab: string): boolean {
    return this.#told(tab) === this.#number;
  }

  /** From now on pool `to` has the records. Gives the copy that is here. */
  handOver(tab: string, to: number): HandedRecords {
    const row = this.#row(tab);
    const serial = row?.serial ?? 0;
    const records = this.#store.ofTab(tab);
    if (row !== null || records.length > 0) this.#write(tab, to, serial);
    else this.#remember(tab, to);
    return { serial, records };
  }

  /** From now on the records are here: the newest copy counts, be it the own one. */
  adopt(tab: string, handed: readonly HandedRecords[]): void {
    const row = this.#row(tab);
    const own = row?.serial ?? 0;
    if (row === null && handed.every(({ records }) => records.length === 0)) {
      this.#remember(tab, this.#number);
      return;
    }
    const copies = [...handed, { serial: own, records: this.#store.ofTab(tab) }].filter(
      ({ records }) => records.length > 0,
    );
    const newest = Math.max(...copies.map(({ serial }) => serial));
    const of = copies.filter(({ serial }) => serial === newest).flatMap(({ records }) => records);
    // Of two pools that both began one, the graver counts: it is saved last.
    for (const record of of.toSorted((a, b) => worthOf(a) - worthOf(b) || a.at - b.at)) this.#store.save(record);
    const last = Math.max(own, ...handed.map(({ serial }) => serial));
    this.#write(tab, this.#number, last + 1);
  }

  /** Forgets where those are of whom nothing is left. */
  forget(): void {
    const before = this.#now() - RECORD_KEPT_MS;
    this.#sql.exec('DELETE FROM record_home WHERE at < ? AND tab NOT IN (SELECT tab FROM tab_record)', before);
  }

  #told(tab: string): number | null {
    return this.#row(tab)?.pool ?? this.#withoutRecord.get(tab) ?? null;
  }

  #remember(tab: string, pool: number): void {
    this.#withoutRecord.delete(tab);
    this.#withoutRecord.set(tab, pool);
    const [oldest] = this.#withoutRecord.keys();
    if (this.#withoutRecord.size > MAX_WITHOUT_RECORD && oldest !== undefined) this.#withoutRecord.delete(oldest);
  }

  #row(tab: string): { readonly pool: number; readonly serial: number } | null {
    const query = 'SELECT pool, serial FROM record_home WHERE tab = ?';
    return this.#sql.exec<{ pool: number; serial: number }>(query, tab).toArray()[0] ?? null;
  }

  #write(tab: string, pool: number, serial: number): void {
    const query = 'INSERT OR REPLACE INTO record_home (tab, pool, serial, at) VALUES (?, ?, ?, ?)';
    this.#sql.exec(query, tab, pool, serial, this.#now());
    this.#withoutRecord.delete(tab);
  }
}
