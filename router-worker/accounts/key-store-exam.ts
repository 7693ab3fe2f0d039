import type { KeyRecord } from './key-record.ts';
import type { KeyStore } from './key-store.ts';

/** What every key store must do. Both sit it: the one in memory in Node, the SQL one in workerd. */
export interface KeyStoreExamCase {
  readonly title: string;
  run(store: KeyStore): void;
}

function same(actual: unknown, expected: unknown): void {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) {
    throw new Error(`${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
  }
}

const key = (id: string, revokedAt: number | null = null): KeyRecord => ({
  id,
  digest: `digest of ${id}`,
  name: 'a name',
  createdAt: 1,
  revokedAt,
  budget: 7,
  models: ['m'],
  origins: null,
  expiresAt: null,
  level: 'cross',
});

export const KEY_STORE_EXAM: readonly KeyStoreExamCase[] = [
  {
    title: 'knows no key at first',
    run(store) {
      same([store.byDigest('d'), store.byId('k'), store.all()], [null, null, []]);
    },
  },
  {
    title: 'finds keys by digest and id, and lists them in the order in which they came',
    run(store) {
      for (const id of ['b', 'a', 'c']) store.save(key(id));
      store.save(key('a', 9));
      same([store.byDigest('digest of a'), store.byId('b'), store.byId('x')], [key('a', 9), key('b'), null]);
      same(store.all(), [key('b'), key('a', 9), key('c')]);
    },
  },
];
