import { describe, expect, it } from 'vitest';
import { wilson } from './intervals.ts';

const rounded = ({ low, high }: { readonly low: number; readonly high: number }) =>
  [low, high].map((x) => x.toFixed(4));

describe('Wilson’s interval', () => {
  it('is the published one', () => {
    // Newcombe, "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17 (1998), table I, method 3.
    expect(rounded(wilson(81, 263))).toEqual(['0.2553', '0.3662']);
    expect(rounded(wilson(15, 148))).toEqual(['0.0624', '0.1605']);
    expect(rounded(wilson(0, 20))).toEqual(['0.0000', '0.1611']);
    expect(rounded(wilson(1, 29))).toEqual(['0.0061', '0.1718']);
  });

  it('is everything without trials, and ends at all or nothing where all or nothing succeeded', () => {
    expect(wilson(0, 0)).toEqual({ low: 0, high: 1 });
    expect(wilson(300, 300).high).toBe(1);
    expect(wilson(300, 300).low).toBeGreaterThan(0.98);
    expect(wilson(0, 300).low).toBe(0);
  });
});
