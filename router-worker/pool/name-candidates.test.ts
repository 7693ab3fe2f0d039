import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MAX_CANDIDATES } from '../../shared/limits.ts';
import { nameApartFirst, nameCandidates, sampleOf } from './name-candidates.ts';

/** r: resting, f: free, t: trusted; the number tells them apart. */
const fitness = {
  isResting: (tab: string) => tab.includes('r'),
  isFree: (tab: string) => tab.includes('f'),
  isTrusted: (tab: string) => tab.includes('t'),
};
const named = (...tabs: string[]) => nameCandidates(tabs, fitness, () => 0.5);

describe('the candidates of a draw', () => {
  it('are the free and trusted ones, where there are enough of them to settle a dispute', () => {
    expect(named('ft1', 'ft2', 'ft3', 'f4', 't5', '6')).toEqual(['ft1', 'ft2', 'ft3']);
    expect(named('ft1', 'ft2', 'f3', 't4')).toEqual(['ft1', 'ft2', 'f3']);
    expect(named('f1', 'f2', 't3', '4')).toEqual(['f1', 'f2', 't3', '4']);
    expect(named('f1', 't2', 't3', 't4')).toEqual(['t2', 't3', 't4']);
  });

  it('are those that rest only where there is no other', () => {
    expect(named('rft1', 'rft2', 'rft3', '4')).toEqual(['4']);
    expect(named('rf1', 'r2')).toEqual(['rf1', 'r2']);
    expect(named()).toEqual([]);
  });

  it('[O9] are first those who are apart from the tab that answered; the others only where these are too few', () => {
    const isApart = (tab: string) => !tab.includes('m'); // m: mine.
    const apartFirst = (...tabs: string[]) => nameApartFirst(tabs, isApart, fitness, () => 0.5);
    expect(apartFirst('fmt1', 'fmt2', 'fmt3', '4', '5', '6')).toEqual(['4', '5', '6']);
    expect(apartFirst('fmt1', 'fmt2', 'fmt3', '4')).toEqual(['4', 'fmt1', 'fmt2', 'fmt3']);
    expect(apartFirst('m1', 'm2')).toEqual(['m1', 'm2']);
  });

  it('are as many as a receipt lists, each as likely as another', () => {
    const tabs = Array.from({ length: 100 }, (_, at) => `${at}`);
    const counts = new Map<string, number>();
    for (let i = 0; i < 2_000; i++) {
      const some = nameCandidates(tabs, fitness, Math.random);
      expect(new Set(some).size).toBe(MAX_CANDIDATES);
      for (const tab of some) counts.set(tab, (counts.get(tab) ?? 0) + 1);
    }
    // 640 expected of each, with a standard deviation of 21.
    for (const tab of tabs) expect(Math.abs((counts.get(tab) ?? 0) - 640)).toBeLessThan(150);
  });

  it('are a sample without repetition, and all of them when there are no more than asked for', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.nat()), fc.nat({ max: 20 }), (all, most) => {
        const some = sampleOf(all, most, Math.random);
        expect(some.length).toBe(Math.min(most, all.length));
        expect(new Set(some).size).toBe(some.length);
        if (all.length <= most) expect(some).toEqual(all);
      }),
    );
  });
});
