import type { FinishedTask } from './finished-task.ts';
import { NOTHING } from './network-figures.ts';
import type { NetworkStore } from './network-store.ts';

/** What every network store must do. Both sit it: the one in memory in Node, the SQL one in workerd. */
export interface NetworkStoreExamCase {
  readonly title: string;
  run(store: NetworkStore): void;
}

export const finished = (entry: string, part: Partial<FinishedTask> = {}): FinishedTask => ({
  entry,
  endedAt: 1_000,
  model: 'pup',
  variant: 'q8_0',
  answered: true,
  sure: 'verified',
  independence: 'key',
  relayBytes: 10,
  directBytes: 0,
  tokens: 5,
  ...part,
});

function same(actual: unknown, expected: unknown): void {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) {
    throw new Error(`${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
  }
}

export const NETWORK_STORE_EXAM: readonly NetworkStoreExamCase[] = [
  {
    title: 'is empty at first',
    run(store) {
      same([store.point('minute', 0), store.points('hour', 0), store.recent(9)], [null, [], []]);
    },
  },
  {
    title: 'keeps a point for each minute and each hour, the last word on it',
    run(store) {
      store.putPoint('minute', 60_000, { ...NOTHING, answers: 1 });
      store.putPoint('minute', 60_000, { ...NOTHING, answers: 2 });
      store.putPoint('hour', 60_000, { ...NOTHING, answers: 9 });
      same(store.point('minute', 60_000), { ...NOTHING, answers: 2 });
      same(store.point('hour', 60_000), { ...NOTHING, answers: 9 });
    },
  },
  {
    title: 'gives points in their order, and forgets the old ones of one span',
    run(store) {
      for (const at of [180_000, 60_000, 120_000]) store.putPoint('minute', at, NOTHING);
      store.putPoint('hour', 0, NOTHING);
      same(
        store.points('minute', 120_000).map(({ at }) => at),
        [120_000, 180_000],
      );
      store.forgetPoints('minute', 180_000);
      same(
        [...store.points('minute', 0), ...store.points('hour', 0)].map(({ at }) => at),
        [180_000, 0],
      );
    },
  },
  {
    title: 'takes a task once, and gives the newest first',
    run(store) {
      same([store.add(finished('a')), store.add(finished('b')), store.add(finished('a'))], [true, true, false]);
      same(store.recent(9), [finished('b'), finished('a')]);
      same(store.recent(1), [finished('b')]);
    },
  },
  {
    title: 'keeps the newest tasks when it forgets',
    run(store) {
      for (const entry of ['a', 'b', 'c']) store.add(finished(entry));
      store.forgetRecent(2);
      same(
        store.recent(9).map(({ entry }) => entry),
        ['c', 'b'],
      );
      same(store.add(finished('c')), false);
    },
  },
];
