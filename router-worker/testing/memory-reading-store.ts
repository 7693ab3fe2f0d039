import { MAX_READINGS, MAX_READINGS_OF_A_PAIR, pairOf, type ReadingStore } from '../calibration/reading-store.ts';
import type { Reading } from '../calibration/readings-of.ts';

/** A store of readings for tests without workerd. Sits the same exam as the SQL one. */
export class MemoryReadingStore implements ReadingStore {
  #kept: { readonly number: number; readonly reading: Reading }[] = [];
  #numbers = 0;

  add(reading: Reading): void {
    this.#kept.push({ number: ++this.#numbers, reading });
    const pair = this.#kept.filter((one) => pairOf(one.reading) === pairOf(reading));
    const surplus = new Set(pair.slice(0, Math.max(0, pair.length - MAX_READINGS_OF_A_PAIR)));
    this.#kept = this.#kept.filter((one) => !surplus.has(one)).slice(-MAX_READINGS);
  }

  rows(model: string) {
    return this.#kept
      .filter(({ reading }) => reading.model === model)
      .map(({ number, reading }) => ({ ...reading.row, prompt: number }));
  }
}
