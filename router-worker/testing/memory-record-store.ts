import type { TabRecord } from '../record/record.ts';
import { type RecordStore, worthOf } from '../record/record-store.ts';

/** A record store for tests without workerd. Sits the same exam as the SQL one. */
export class MemoryRecordStore implements RecordStore {
  readonly #rows = new Map<string, string>();

  load(tab: string, classId: string): TabRecord | null {
    const row = this.#rows.get(keyOf(tab, classId));
    return row === undefined ? null : (JSON.parse(row) as TabRecord);
  }

  save(record: TabRecord): void {
    this.#rows.set(keyOf(record.tab, record.class), JSON.stringify(record));
  }

  ofTab(tab: string): TabRecord[] {
    const records = this.#all().filter((record) => record.tab === tab);
    return records.sort((a, b) => order(a.class, b.class));
  }

  forget(seenBefore: number, most: number): void {
    for (const record of this.#all()) if (record.at < seenBefore) this.#remove(record);
    const dearestFirst = this.#all().sort(
      (a, b) => worthOf(b) - worthOf(a) || b.at - a.at || order(a.tab, b.tab) || order(a.class, b.class),
    );
    for (const record of dearestFirst.slice(most)) this.#remove(record);
  }

  #all(): TabRecord[] {
    return [...this.#rows.values()].map((row) => JSON.parse(row) as TabRecord);
  }

  #remove(record: TabRecord): void {
    if (worthOf(record) < 2) this.#rows.delete(keyOf(record.tab, record.class));
  }
}

function keyOf(tab: string, classId: string): string {
  return JSON.stringify([tab, classId]);
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
