import type { LedgerStore, Posting } from './ledger-store.ts';
import type { Grant } from './transfer.ts';

/** What every ledger store must do. Both sit it: the one in memory in Node, the SQL one in workerd. */
export interface LedgerStoreExamCase {
  readonly title: string;
  run(store: LedgerStore): void;
}

function same(actual: unknown, expected: unknown): void {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) {
    throw new Error(`${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
  }
}

function throws(act: () => void): void {
  try {
    act();
  } catch {
    return;
  }
  throw new Error('it did not throw');
}

function posting(id: string, part: Partial<Posting> = {}): Posting {
  return {
    transfer: { id, kind: 'credit', task: null, content: '{}', result: 'null', at: 1000 },
    legs: [],
    lines: [],
    grant: null,
    keySpend: null,
    trust: null,
    meanPays: [],
    payee: null,
    tabs: [],
    ...part,
  };
}

const grant = (id: string, part: Partial<Grant> = {}): Grant => ({
  id,
  account: 'a',
  key: null,
  state: 'open',
  remaining: 5,
  expiresAt: 2000,
  ...part,
});

const gift = (id: string, amount: number) =>
  posting(id, {
    legs: [
      { account: 'network:faucet', amount: -amount },
      { account: 'user:a', amount },
    ],
    lines: [{ owner: 'a', amount }],
  });

const totals = (store: LedgerStore) => store.totals('network:faucet');

export const LEDGER_STORE_EXAM: readonly LedgerStoreExamCase[] = [
  {
    title: 'is empty at first',
    run(store) {
      same([store.transfer('t'), store.grant('g'), store.balance('user:a'), store.nextExpiry()], [null, null, 0, null]);
      same(
        [store.heldFor('a'), store.keySpent('k'), store.isTrusted('e'), store.statement('a', 0, 9)],
        [0, 0, false, []],
      );
      const none = { sum: 0, accounts: 0, transfers: 0, overdrawn: 0, openGrants: 0, granted: 0, held: 0 };
      same(totals(store), none);
    },
  },
  {
    title: 'writes all parts of a posting, and adds up what follows',
    run(store) {
      store.post(gift('t1', 10));
      store.post(
        posting('t2', {
          transfer: { id: 't2', kind: 'draw', task: 'task', content: '{"a":1}', result: '[2]', at: 1234 },
          legs: [
            { account: 'user:a', amount: -5 },
            { account: 'grant:g', amount: 5 },
          ],
          lines: [{ owner: 'a', amount: -3 }],
          grant: grant('g', { key: 'k' }),
          keySpend: { key: 'k', amount: 5 },
          trust: { escrow: 'e', isTrusted: true },
        }),
      );
      store.post(posting('t3', { keySpend: { key: 'k', amount: -2 }, trust: { escrow: 'f', isTrusted: false } }));
      same(store.transfer('t2'), {
        id: 't2',
        kind: 'draw',
        task: 'task',
        content: '{"a":1}',
        result: '[2]',
        at: 1234,
      });
      same([store.balance('user:a'), store.balance('grant:g'), store.balance('network:faucet')], [5, 5, -10]);
      same(store.grant('g'), grant('g', { key: 'k' }));
      same([store.heldFor('a'), store.heldFor('b'), store.keySpent('k'), store.isTrusted('e')], [5, 0, 3, true]);
      same(totals(store), { sum: 0, accounts: 3, transfers: 3, overdrawn: 0, openGrants: 1, granted: 5, held: 5 });
      const meanPays = [{ class: 'c', mean: 2.5, count: 2.25, at: 7 }];
      store.post(posting('t4', { trust: { escrow: 'e', isTrusted: false }, meanPays }));
      same(
        [store.isTrusted('e'), store.meanPay('c'), store.meanPay('d')],
        [false, { mean: 2.5, count: 2.25, at: 7 }, { mean: 0, count: 0, at: 0 }],
      );
    },
  },
  {
    title: 'writes nothing of a transfer that is there already',
    run(store) {
      store.post(gift('t', 10));
      throws(() => store.post({ ...gift('t', 7), grant: grant('g') }));
      same([store.balance('user:a'), store.grant('g'), store.statement('a', 0, 9).length], [10, null, 1]);
    },
  },
  {
    title: 'keeps a statement with its running balance, by owner',
    run(store) {
      store.post(gift('t1', 10));
      store.post(posting('x', { lines: [{ owner: 'b', amount: 1 }] }));
      store.post({
        ...gift('t2', -4),
        transfer: { id: 't2', kind: 'settle', task: 'task', content: '', result: '', at: 7 },
      });
      const [first, second] = store.statement('a', 0, 9);
      same(
        [first, second].map((line) => [line?.transfer, line?.kind, line?.task, line?.amount, line?.balance, line?.at]),
        [
          ['t1', 'credit', null, 10, 10, 1000],
          ['t2', 'settle', 'task', -4, 6, 7],
        ],
      );
      same([store.statement('a', first?.number ?? 0, 9), store.statement('a', 0, 1)], [[second], [first]]);
    },
  },
  {
    title: 'finds open grants whose time is over, the oldest first',
    run(store) {
      store.post(posting('1', { grant: grant('late', { expiresAt: 3000 }) }));
      store.post(posting('2', { grant: grant('b') }));
      store.post(posting('3', { grant: grant('a', { expiresAt: 1000 }) }));
      store.post(posting('4', { grant: grant('over', { state: 'closed', expiresAt: 500 }) }));
      const names = (at: number, limit: number) => store.expired(at, limit).map(({ id }) => id);
      same([store.nextExpiry(), names(2000, 9), names(2000, 1), names(999, 9)], [1000, ['a', 'b'], ['a'], []]);
      store.post(posting('5', { grant: grant('a', { state: 'expired', remaining: 0 }) }));
      same([store.nextExpiry(), names(2000, 9), store.grant('a')?.state], [2000, ['b'], 'expired']);
    },
  },
  {
    title: 'knows whom a tab earns for, what is held back of it, and what it earned on a day',
    run(store) {
      const DAY = 24 * 60 * 60 * 1000;
      const at = (day: number) => ({ transfer: { ...posting(`day ${day}`).transfer, at: day * DAY + 5 } });
      const none = { collected: 0, lost: 0, earnedToday: 0, step: 1 };
      same([store.payee('t'), store.heldBack('t'), store.tabSums('t', 0)], [null, 0, none]);
      store.post(posting('1', { payee: { tab: 't', payee: { account: 'a', order: 'one' } } }));
      store.post(posting('2', { payee: { tab: 't', payee: { account: 'b', order: 'two' } } }));
      store.post(posting('3', { payee: { tab: 'u', payee: { account: 'a', order: 'three' } } }));
      store.post(posting('4', { payee: { tab: 'u', payee: null } }));
      same([store.payee('t'), store.payee('u')], [{ account: 'b', order: 'two' }, null]);
      const held = (account: string, amount: number) => ({ account: `escrow:${account}`, amount });
      store.post(posting('5', { legs: [held('t/c', 3), held('t/d', 4), held('tt/c', 9), held('t', 1)] }));
      same([store.heldBack('t'), store.heldBack('tt'), store.heldBack('x')], [7, 9, 0]);
      same([store.classesOf('t'), store.classesOf('tt'), store.classesOf('x')], [['c', 'd'], ['c'], []]);
      store.post(posting('6', { ...at(3), tabs: [{ tab: 't', earned: 10, collected: 4, lost: 0, step: 8 }] }));
      store.post(
        posting('7', {
          transfer: { ...at(3).transfer, id: '7' },
          tabs: [
            { tab: 't', earned: 5, collected: 1, lost: 0, step: 4 },
            { tab: 't', earned: 1, collected: 0, lost: 2, step: null },
          ],
        }),
      );
      same(store.tabSums('t', 3 * DAY), { collected: 5, lost: 2, earnedToday: 16, step: 4 });
      same(store.tabSums('t', 4 * DAY), { collected: 5, lost: 2, earnedToday: 0, step: 4 });
      store.post(posting('8', { ...at(4), tabs: [{ tab: 't', earned: 2, collected: 0, lost: 0, step: 2 }] }));
      same(store.tabSums('t', 4 * DAY), { collected: 5, lost: 2, earnedToday: 2, step: 2 });
    },
  },
  {
    title: 'sees what does not add up, and what is below zero',
    run(store) {
      store.post(posting('1', { legs: [{ account: 'user:a', amount: -3 }] }));
      store.post(posting('2', { grant: grant('g') }));
      same(totals(store), { sum: -3, accounts: 1, transfers: 2, overdrawn: 1, openGrants: 1, granted: 5, held: 0 });
    },
  },
];
