import { describe, expect, it } from 'vitest';
import { seededRandom } from '../../scripts/sim/seeded-random.ts';
import { TaskBook } from './task-book.ts';

const SINK = { write: async () => undefined, close: () => undefined };

/** The numbers that the leases of one answer bear. */
function numbersOf(book: TaskBook, task: string, leases: number): number[] {
  const { served } = book.open(task, SINK);
  return Array.from({ length: leases }, () => book.nextAttempt(served));
}

describe('the numbers of attempts', () => {
  it('[K16] rise within a task, fit a lease, and tell hardly anything of how often it was asked before', () => {
    const random = seededRandom(4);
    const book = new TaskBook(
      () => 0,
      random,
      () => undefined,
    );
    const firsts = new Set<number>();
    const seconds = new Set<number>();
    for (let i = 0; i < 2_000; i++) {
      const [first = 0, second = 0, ...rest] = numbersOf(book, `task ${i}`, 5);
      expect([second, ...rest]).toEqual([1, 2, 3, 4].map((more) => first + more));
      expect(first >= 1 && first + 4 <= 16).toBe(true);
      firsts.add(first);
      seconds.add(second);
    }
    expect([...seconds].filter((number) => !firsts.has(number))).toEqual([13]);
  });
});
