import { describe, expect, it } from 'vitest';
import { MemoryRecordStore } from '../testing/memory-record-store.ts';
import { TRUST_POLICY } from './policy.ts';
import { RecordBook } from './record-book.ts';

describe('whoever pays tabs', () => {
  it('[M6] hears when a tab is trusted and when it was caught, once each, and nothing else', () => {
    const heard: string[] = [];
    const book = new RecordBook(
      new MemoryRecordStore(),
      () => 1_000,
      (tab, classId, standing) => heard.push(`${tab} ${classId} ${standing}`),
    );
    for (let i = 0; i < TRUST_POLICY.qualifyingPasses + 3; i++) {
      book.observe('tab', 'cls', { outcome: 'agreed' }, 'answer', 'network');
      book.observe('tab', 'other', { outcome: 'agreed' }, 'answer', 'user');
    }
    book.observe('tab', 'cls', { outcome: 'refuted', reason: 'known_answer' }, 'answer', 'user');
    book.observe('tab', 'cls', { outcome: 'refuted', reason: 'known_answer' }, 'answer', 'user');
    book.ban('another', 'cls');
    expect(heard).toEqual(['tab cls trusted', 'tab cls quarantined']);
  });
});
