import { describe, expect, it } from 'vitest';
import { MemoryRecordStore } from '../testing/memory-record-store.ts';
import { TRUST_POLICY } from './policy.ts';
import { RECORD_KEPT_MS, RecordBook } from './record-book.ts';

const START = 1_800_000_000_000;
const HOUR = 60 * 60 * 1000;
const AGREED = { outcome: 'agreed' } as const;
const REFUTED = { outcome: 'refuted', reason: 'known_answer' } as const;

function opened() {
  const store = new MemoryRecordStore();
  const clock = { at: START };
  return { store, clock, book: new RecordBook(store, () => clock.at) };
}

function qualify(book: RecordBook, tab: string): void {
  for (let i = 0; i < TRUST_POLICY.qualifyingPasses; i++) book.observe(tab, 'cls', AGREED, 'answer', 'network');
}

describe('the book of records', () => {
  it('takes a tab that it never saw for new, and writes nothing of it', () => {
    const { book, store } = opened();
    expect(book.standing('a', 'cls')).toBe('new');
    expect(book.rate('a', 'cls', 0, 1)).toBe(1);
    expect(book.wantsNetworkTask('a', 'cls')).toBe(true);
    expect(store.ofTab('a')).toEqual([]);
    expect(book.view('a')).toEqual({ object: 'tab', id: 'a', records: [] });
  });

  it('remembers across a restart', () => {
    const { book, store } = opened();
    qualify(book, 'a');
    const again = new RecordBook(store, () => START);
    expect(again.standing('a', 'cls')).toBe('trusted');
    expect(again.rate('a', 'cls', 0, 1)).toBeCloseTo(0.08);
  });

  it('[U1] keeps classes and tabs apart', () => {
    const { book } = opened();
    qualify(book, 'a');
    expect(book.observe('a', 'other', REFUTED, 'answer', 'network')).toBe('quarantined');
    expect([book.standing('a', 'cls'), book.standing('a', 'other'), book.standing('b', 'cls')]).toEqual([
      'trusted',
      'quarantined',
      'new',
    ]);
  });

  it('shows what is known of a tab, class by class, and no rate', () => {
    const { book, clock } = opened();
    qualify(book, 'a');
    clock.at += HOUR;
    book.observe('a', 'cls', REFUTED, 'check', 'user');
    const view = book.view('a');
    expect(view).toEqual({
      object: 'tab',
      id: 'a',
      records: [
        {
          class: 'cls',
          standing: 'quarantined',
          since: START + HOUR,
          why: 'refuted',
          text: 'One of its answers, or of its checks, was shown to be false.',
          next: expect.stringContaining('trusted again'),
          progress: { passed: 0, needed: TRUST_POLICY.qualifyingPasses },
          waitsUntil: START + 2 * HOUR,
          counts: { agreed: TRUST_POLICY.qualifyingPasses, refuted: 1, disputed: 0, missed: 0, suspicious: 0 },
        },
      ],
    });
    expect(JSON.stringify(view)).not.toMatch(/rate|evidence/);
  });

  it('obeys the operator', () => {
    const { book } = opened();
    book.ban('a', 'cls');
    expect(book.standing('a', 'cls')).toBe('banned');
    book.pardon('a', 'cls');
    expect(book.standing('a', 'cls')).toBe('new');
  });

  it('forgets whom it has not seen for long', () => {
    const { book, store, clock } = opened();
    qualify(book, 'gone');
    clock.at += RECORD_KEPT_MS + 1;
    for (let i = 0; i < 1000; i++) book.observe('busy', 'cls', AGREED, 'answer', 'user');
    expect(store.load('gone', 'cls')).toBeNull();
    expect(store.load('busy', 'cls')).not.toBeNull();
  });
});
