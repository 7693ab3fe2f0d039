import { describe, it } from 'vitest';
import { READING_STORE_EXAM } from '../calibration/reading-store-exam.ts';
import { MemoryReadingStore } from './memory-reading-store.ts';

describe('the store of readings in memory', () => {
  it.each(READING_STORE_EXAM)('$title', (examCase) => examCase.run(new MemoryReadingStore()));
});
