import { HONEST } from '../../shared/checking/probe-row.ts';
import { MAX_READINGS_OF_A_PAIR, type ReadingStore } from './reading-store.ts';
import type { Reading } from './readings-of.ts';

/** What every store of readings must do. Both sit it: the one in memory in Node, the SQL one in workerd. */
export interface ReadingStoreExamCase {
  readonly title: string;
  run(store: ReadingStore): void;
}

export function readingOfTest(positions: number, part: Partial<Reading> = {}): Reading {
  return {
    model: 'm',
    answered: { tab: 'a', class: 'c' },
    checker: { tab: 'b', class: 'd' },
    row: {
      population: HONEST,
      temperature: 0,
      checker: 'idle',
      same: 1,
      positions,
      meanGap: 0.5,
      largestGap: 1,
      outside: 0,
      z: null,
      largestSurprise: null,
      undrawable: null,
      meanDistance: null,
      strayed: null,
      cuts: 2,
      first: 1,
      among: 2,
    },
    ...part,
  };
}

function same(actual: unknown, expected: unknown): void {
  if (JSON.stringify(actual) !== JSON.stringify(expected)) {
    throw new Error(`${JSON.stringify(actual)} instead of ${JSON.stringify(expected)}`);
  }
}

export const READING_STORE_EXAM: readonly ReadingStoreExamCase[] = [
  {
    title: 'gives the rows of a model in their order, numbered',
    run(store) {
      store.add(readingOfTest(10));
      store.add(readingOfTest(11, { model: 'other' }));
      store.add(readingOfTest(12));
      same(
        store.rows('m').map(({ prompt, positions }) => [prompt, positions]),
        [
          [1, 10],
          [3, 12],
        ],
      );
      same(store.rows('unknown'), []);
    },
  },
  {
    title: 'keeps the latest of a pair of tabs, and others beside them',
    run(store) {
      store.add(readingOfTest(1, { checker: { tab: 'other', class: 'd' } }));
      for (let i = 0; i < MAX_READINGS_OF_A_PAIR + 5; i++) store.add(readingOfTest(100 + i));
      const positions = store.rows('m').map((row) => row.positions);
      same([positions.length, positions[0], positions[1]], [MAX_READINGS_OF_A_PAIR + 1, 1, 105]);
    },
  },
];
