import { type Lease, LIKELIEST } from '../../shared/protocol/lease.ts';
import { openTask, stepTask, type Task, type TaskTerms } from '../task/task.ts';
import type { SessionStore } from './session-store.ts';

/** What every session store must do. Both sit it: the one in memory in Node, the SQL one in workerd. */
export interface StoreExamCase {
  readonly title: string;
  run(store: SessionStore, keptMs: number): void;
}

const statement = { payload: '{}', key: 'K', signature: 'S' };

function running(tail: string, openedAt: number): Task {
  const terms: TaskTerms = {
    task: tail,
    network: 'http://localhost',
    model: 'm',
    variant: 'q8_0',
    private: false,
    level: 'none',
    wanted: 1,
    sampling: LIKELIEST,
    openedAt,
    readablePromptBytes: 0,
    leaseStatement: statement,
    lease: { tab: 'tab', attempt: 1 } as Lease,
    standing: 'new',
  };
  return openTask(terms);
}

const ended = (tail: string, at: number) =>
  stepTask(running(tail, at - 1), { type: 'failed', at, code: 'tab_lost', attempt: 1 });

function same(actual: unknown, expected: unknown): void {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) {
    throw new Error(`${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
  }
}

export const SESSION_STORE_EXAM: readonly StoreExamCase[] = [
  {
    title: 'knows nothing at first',
    run(store) {
      same([store.load('a'), store.receipt('a'), store.due(1e15), store.nextDueAt()], [null, null, [], null]);
    },
  },
  {
    title: 'gives back what was saved last, and nothing of other tasks',
    run(store) {
      store.save(running('a', 1000), null);
      store.save(running('b', 2000), null);
      const changed = ended('a', 3000);
      store.save(changed, null);
      same(store.load('a'), changed);
      same(store.load('b'), running('b', 2000));
    },
  },
  {
    title: 'keeps the receipt of a task that ended',
    run(store) {
      store.save(running('a', 1000), null);
      same(store.receipt('a'), null);
      store.save(ended('a', 1000), statement);
      same(store.receipt('a'), statement);
    },
  },
  {
    title: 'knows which receipts the log still lacks, and forgets none of them',
    run(store) {
      for (const [i, tail] of ['b', 'a', 'c'].entries()) {
        store.save(running(tail, 1000), null);
        store.save(ended(tail, 1000), { ...statement, payload: String(i) });
      }
      store.save(running('d', 1000), null);
      const tails = (limit: number) => store.unlogged(limit).map(({ tail, receipt }) => [tail, receipt.payload]);
      same(tails(2), [
        ['b', '0'],
        ['a', '1'],
      ]);
      store.logged(['b']);
      store.logged(['b', 'unknown']);
      same(tails(10), [
        ['a', '1'],
        ['c', '2'],
      ]);
      store.forget(1000);
      same([store.load('b') === null, store.load('a') === null], [true, false]);
      store.logged(['a', 'c']);
      store.forget(1000);
      same([tails(10), store.load('a')], [[], null]);
    },
  },
  {
    title: 'finds what is past its deadline, and nothing that has ended',
    run(store) {
      const early = running('early', 1000);
      store.save(early, null);
      store.save(running('late', 900_000_000), null);
      store.save(ended('over', 5000), statement);
      const deadlineAt = early.phase === 'ended' ? 0 : early.deadlineAt;
      same(
        store.due(deadlineAt).map((task) => task.task),
        ['early'],
      );
      same(store.due(deadlineAt - 1), []);
    },
  },
  {
    title: 'says when it has something to do next, and forgets what is old',
    run(store, keptMs) {
      store.save(ended('old', 1000), statement);
      store.save(ended('newer', 2000), statement);
      store.logged(['old', 'newer']);
      same(store.nextDueAt(), 1000 + keptMs);
      store.forget(1000);
      same([store.load('old'), store.load('newer')?.task, store.nextDueAt()], [null, 'newer', 2000 + keptMs]);
      store.forget(2000);
      same(store.nextDueAt(), null);
    },
  },
];
