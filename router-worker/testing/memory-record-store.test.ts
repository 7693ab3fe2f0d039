import { describe, it } from 'vitest';
import { RECORD_STORE_EXAM } from '../record/record-store-exam.ts';
import { MemoryRecordStore } from './memory-record-store.ts';

describe('the record store in memory', () => {
  it.each(RECORD_STORE_EXAM)('$title', (examCase) => examCase.run(new MemoryRecordStore()));
});
