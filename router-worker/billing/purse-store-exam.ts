import type { Bill } from './bill.ts';
import { newPurse } from './grant.ts';
import type { PurseStore } from './purse-store.ts';

/** What every purse store must do. Both sit it: the one in memory in Node, the SQL one in workerd. */
export interface PurseStoreExamCase {
  readonly title: string;
  run(store: PurseStore): void;
}

function same(actual: unknown, expected: unknown): void {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) {
    throw new Error(`${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
  }
}

const purse = (session: string) =>
  newPurse(session, { account: 'ann', key: null, budget: null, allowance: null }, 1000);

const bill = (task: string, endedAt = 1000): Bill => ({
  task,
  endedAt,
  tokens: { prompt: 1, completion: 2 },
  perToken: 3,
  percent: { level: 100, sla: 100 },
  held: 10,
  charged: 9,
  pays: [],
});

export const PURSE_STORE_EXAM: readonly PurseStoreExamCase[] = [
  {
    title: 'is empty at first',
    run(store) {
      store.remove('a');
      store.forgetBills(1e15);
      same([store.purse('a'), store.purses(), store.bill('t')], [null, [], null]);
    },
  },
  {
    title: 'gives back what was saved last, by name',
    run(store) {
      store.save('b', purse('old'), null);
      store.save('b', purse('new'), null);
      store.save('a', purse('other'), bill('t'));
      same([store.purse('b'), store.bill('t'), store.bill('u')], [purse('new'), bill('t'), null]);
      same(store.purses(), [
        { name: 'a', purse: purse('other') },
        { name: 'b', purse: purse('new') },
      ]);
      store.remove('b');
      same([store.purse('b'), store.purses().length], [null, 1]);
    },
  },
  {
    title: 'forgets bills of tasks that ended long ago',
    run(store) {
      for (const [task, at] of [
        ['t', 1],
        ['u', 2],
        ['w', 3],
      ] as const) {
        store.save('a', purse('s'), bill(task, at));
      }
      store.forgetBills(3);
      same([store.bill('t'), store.bill('u'), store.bill('w')], [null, null, bill('w', 3)]);
    },
  },
];
