import { describe, expect, it } from 'vitest';
import { RecordBook } from '../record/record-book.ts';
import { MemoryRecordStore } from '../testing/memory-record-store.ts';
import { TEST_CLASS } from '../testing/network.ts';
import { qualifiedRecord } from '../testing/qualified-record.ts';
import { tabFrom } from './tab.ts';
import { TabRecords } from './tab-records.ts';
import { TabRoster } from './tab-roster.ts';

const AT = Date.UTC(2026, 0, 1);

const TRUSTED = tabFrom(
  {
    state: 'ready',
    identity: 'trusted',
    network: 'home',
    standingKey: { payload: '', key: '', signature: '' },
    models: [],
    direct: false,
    checkOnly: false,
    guard: false,
  },
  [],
  { send: () => undefined, close: () => undefined, remember: () => undefined },
);

/** Records of one trusted tab, and a draw that picks it in one of twenty cases or oftener. */
function records(): TabRecords {
  const store = new MemoryRecordStore();
  store.save(qualifiedRecord('trusted', AT));
  const roster = new TabRoster(
    'router',
    () => AT,
    async () => false,
  );
  return new TabRecords(new RecordBook(store, () => AT), roster, () => 0.05);
}

describe('[U5] whether an answer is checked', () => {
  it('depends on its bytes, however few tokens are claimed', () => {
    const book = records();
    expect(book.samples(TRUSTED, TEST_CLASS, 400)).toBe(true);
    expect(book.samples(TRUSTED, TEST_CLASS, 100)).toBe(false);
  });

  it('cannot be prevented for all others by a few huge answers', () => {
    const book = records();
    for (let i = 0; i < 5; i++) book.samples(TRUSTED, TEST_CLASS, Number.MAX_SAFE_INTEGER);
    expect(book.samples(TRUSTED, TEST_CLASS, 400)).toBe(true);
  });
});

describe('a guard', () => {
  it('is trusted by its pass, unless the operator bans it', () => {
    const book = records();
    const guard = { ...TRUSTED, identity: 'guard', guard: true };
    expect(book.rank(guard, TEST_CLASS)).toBe(0);
    book.ban('guard', TEST_CLASS);
    expect(book.rank(guard, TEST_CLASS)).toBeNull();
  });
});
