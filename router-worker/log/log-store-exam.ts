import { toBase64Url } from '../../shared/bytes.ts';
import type { LogStore } from './log-store.ts';

/** What every log store must do. Both sit it: the one in memory in Node, the SQL one in workerd. */
export interface LogStoreExamCase {
  readonly title: string;
  run(store: LogStore): void;
}

const bytes = (fill: number) => new Uint8Array(32).fill(fill);

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

export const LOG_STORE_EXAM: readonly LogStoreExamCase[] = [
  {
    title: 'is empty at first',
    run(store) {
      same([store.size(), store.entries(0, 10), store.indexOf(bytes(1))], [0, [], null]);
      throws(() => store.node(0, 0));
    },
  },
  {
    title: 'keeps entries in their order, and nodes by their place',
    run(store) {
      store.append(
        [bytes(1), bytes(2)],
        [
          { level: 0, index: 0, hash: bytes(7) },
          { level: 1, index: 0, hash: bytes(8) },
        ],
      );
      store.append([bytes(3)], [{ level: 0, index: 2, hash: bytes(9) }]);
      same([store.size(), store.indexOf(bytes(1)), store.indexOf(bytes(3)), store.indexOf(bytes(4))], [3, 0, 2, null]);
      same(store.entries(1, 10).map(toBase64Url), [bytes(2), bytes(3)].map(toBase64Url));
      same(store.entries(0, 1).map(toBase64Url), [bytes(1)].map(toBase64Url));
      same([store.node(1, 0), store.node(0, 2)].map(toBase64Url), [bytes(8), bytes(9)].map(toBase64Url));
    },
  },
  {
    title: 'writes nothing of an append that has an entry twice',
    run(store) {
      store.append([bytes(1)], [{ level: 0, index: 0, hash: bytes(7) }]);
      throws(() => store.append([bytes(2), bytes(1)], [{ level: 0, index: 1, hash: bytes(8) }]));
      same([store.size(), store.indexOf(bytes(2))], [1, null]);
      throws(() => store.node(0, 1));
    },
  },
];
