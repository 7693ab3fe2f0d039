import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { homeOf, homesUpTo, MAX_POOLS } from './rendezvous.ts';

const KEYS = Array.from({ length: 20_000 }, (_, at) => `key ${at}`);
const key = fc.string({ minLength: 1, maxLength: 43 });
const pools = fc.integer({ min: 1, max: MAX_POOLS });

describe('the pool of a key', () => {
  it('[Q1] is the same wherever it is asked for, and one of those there are', () => {
    fc.assert(
      fc.property(key, pools, (name, count) => {
        const home = homeOf(name, count);
        expect(home).toBe(homeOf(name, count));
        expect(home >= 0 && home < count).toBe(true);
      }),
    );
  });

  it('[Q1] stays, or is the new one, when there is one pool more', () => {
    fc.assert(
      fc.property(key, fc.integer({ min: 1, max: MAX_POOLS - 1 }), (name, count) => {
        expect([homeOf(name, count), count]).toContain(homeOf(name, count + 1));
      }),
    );
  });

  it('is each pool’s as often, to within chance', () => {
    for (const count of [2, 3, 7, 13, 64]) {
      const counts = Array<number>(count).fill(0);
      for (const name of KEYS) counts[homeOf(name, count)]!++;
      const expected = KEYS.length / count;
      const chiSquare = counts.reduce((sum, seen) => sum + (seen - expected) ** 2 / expected, 0);
      // Mean count − 1, deviation √(2(count − 1)): five deviations.
      expect(chiSquare).toBeLessThan(count - 1 + 5 * Math.sqrt(2 * (count - 1)));
    }
  });

  it('names every pool where a key has been, the newest first, and few of them', () => {
    fc.assert(
      fc.property(key, pools, (name, count) => {
        const homes = homesUpTo(name, count);
        expect(homes[0]).toBe(homeOf(name, count));
        expect(homes.at(-1)).toBe(0);
        expect(homes).toEqual(homes.toSorted((a, b) => b - a));
      }),
    );
    const lengths = KEYS.slice(0, 2_000).map((name) => homesUpTo(name, MAX_POOLS).length);
    const mean = lengths.reduce((sum, length) => sum + length, 0) / lengths.length;
    expect(mean).toBeGreaterThan(4); // The harmonic number of 64 is 4.74.
    expect(mean).toBeLessThan(5.5);
  });
});
