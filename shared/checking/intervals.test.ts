import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { overlap, proportionInterval } from './intervals.ts';

describe('the interval of a proportion', () => {
  it.each([
    [0, 10, 0, 0.3084971078],
    [5, 10, 0.1870860284, 0.8129139716],
    [10, 100, 0.0490046892, 0.1762225977],
    [156, 156, 0.9766307284, 1],
    [3, 338, 0.0018341444, 0.0257182044],
  ])('of %i in %i is that of Clopper and Pearson', (hits, trials, low, high) => {
    const interval = proportionInterval(hits, trials);
    expect(interval.low).toBeCloseTo(low, 9);
    expect(interval.high).toBeCloseTo(high, 9);
  });

  it('holds what was seen, and is the mirror of the interval of the misses', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2000 }), fc.nat(), (trials, some) => {
        const hits = some % (trials + 1);
        const { low, high } = proportionInterval(hits, trials);
        expect(low).toBeLessThanOrEqual(hits / trials);
        expect(high).toBeGreaterThanOrEqual(hits / trials);
        const mirror = proportionInterval(trials - hits, trials);
        expect(mirror.low).toBeCloseTo(1 - high, 8);
        expect(mirror.high).toBeCloseTo(1 - low, 8);
      }),
      { numRuns: 60 },
    );
  });

  it('knows nothing of no trials, and refuses what is no count', () => {
    expect(proportionInterval(0, 0)).toEqual({ low: 0, high: 1 });
    for (const [hits, trials] of [
      [3, 2],
      [-1, 2],
      [0.5, 2],
      [0, Number.NaN],
    ] as const) {
      expect(() => proportionInterval(hits, trials)).toThrow(RangeError);
    }
  });

  it('overlaps another when they share a point', () => {
    const at = (low: number, high: number) => ({ low, high });
    expect(overlap(at(0, 0.2), at(0.2, 0.5))).toBe(true);
    expect(overlap(at(0.3, 0.4), at(0, 1))).toBe(true);
    expect(overlap(at(0, 0.19), at(0.2, 0.5))).toBe(false);
    expect(overlap(at(0.2, 0.5), at(0, 0.19))).toBe(false);
  });
});
