import { ban, newRecord, observe, type TabRecord } from './record.ts';
import type { RecordStore } from './record-store.ts';

/** What every record store must do. Both sit it: the one in memory in Node, the SQL one in workerd. */
export interface RecordStoreExamCase {
  readonly title: string;
  run(store: RecordStore): void;
}

const passed = (record: TabRecord, at: number) =>
  observe(record, { outcome: 'agreed', role: 'answer', source: 'user', at });
const refuted = (record: TabRecord, at: number) =>
  observe(record, { outcome: 'refuted', reason: 'known_answer', role: 'answer', source: 'network', at });

function same(actual: unknown, expected: unknown): void {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) {
    throw new Error(`${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
  }
}

function save(store: RecordStore, ...records: readonly TabRecord[]): void {
  for (const record of records) store.save(record);
}

function kept(store: RecordStore, tabs: readonly string[]): string[] {
  return tabs.filter((tab) => store.load(tab, 'c') !== null);
}

export const RECORD_STORE_EXAM: readonly RecordStoreExamCase[] = [
  {
    title: 'knows nobody at first',
    run(store) {
      store.forget(1e15, 0);
      same([store.load('a', 'c'), store.ofTab('a')], [null, []]);
    },
  },
  {
    title: 'gives back what was saved last, of this tab and this class',
    run(store) {
      const first = newRecord('a', 'c', 1000);
      save(store, first, newRecord('a', 'other', 1000), newRecord('b', 'c', 1000));
      const later = passed(first, 2000);
      store.save(later);
      same(store.load('a', 'c'), later);
      same(store.load('a', 'other'), newRecord('a', 'other', 1000));
      same(store.load('b', 'c'), newRecord('b', 'c', 1000));
    },
  },
  {
    title: 'lists the records of a tab by class',
    run(store) {
      save(store, newRecord('a', 'y', 1), newRecord('a', 'x', 2), newRecord('ab', 'z', 3));
      same(
        store.ofTab('a').map((record) => record.class),
        ['x', 'y'],
      );
    },
  },
  {
    title: 'forgets whom it has not seen for long, but nobody who is banned',
    run(store) {
      save(store, newRecord('old', 'c', 999), newRecord('young', 'c', 1000), ban(newRecord('banned', 'c', 1), 2));
      store.forget(1000, 100);
      same(kept(store, ['old', 'young', 'banned']), ['young', 'banned']);
    },
  },
  {
    title: 'forgets new identities before earned records when there are too many, the longest unseen first',
    run(store) {
      save(
        store,
        refuted(newRecord('quarantined', 'c', 1), 10),
        newRecord('new 1', 'c', 500),
        newRecord('new 2', 'c', 600),
        ban(newRecord('banned', 'c', 1), 2),
      );
      store.forget(0, 3);
      const tabs = ['quarantined', 'new 1', 'new 2', 'banned'];
      same(kept(store, tabs), ['quarantined', 'new 2', 'banned']);
      store.forget(0, 2);
      same(kept(store, tabs), ['quarantined', 'banned']);
      store.forget(0, 0);
      same(kept(store, tabs), ['banned']);
    },
  },
];
