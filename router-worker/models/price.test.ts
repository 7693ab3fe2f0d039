import { describe, expect, it } from 'vitest';
import type { ServedVariant } from '../../shared/classes/catalogue.ts';
import { LEVELS } from '../../shared/protocol/level.ts';
import { priceOf, pricesOf } from './price.ts';

const served = (bytes: number, chat: object | null = {}) =>
  ({ model: { chat }, variant: { weights: { bytes } } }) as ServedVariant;

describe('a price', () => {
  it('is tokens times the weights in MiB times the level', () => {
    expect(pricesOf(served(3 * 1024 * 1024), 1000, 1)).toEqual({ none: 3000, basic: 3150, cross: 6000, strict: 6300 });
    expect(priceOf(served(3 * 1024 * 1024), 1000, 'cross', 3)).toBe(12_000);
  });

  it('is a quarter for a token that is embedded', () => {
    expect(priceOf(served(24 * 1024 * 1024, null), 1000, 'none', 1)).toBe(6000);
    expect(priceOf(served(1024, null), 1000, 'none', 1)).toBe(1000);
  });

  it('is half more for who wants to go first, and half for who can wait', () => {
    const prices = (sla: 'fast' | 'standard' | 'batch') => priceOf(served(3 * 1024 * 1024), 1001, 'none', 1, sla);
    expect([prices('fast'), prices('standard'), prices('batch')]).toEqual([4505, 3003, 1502]);
  });

  it('is a whole number, never nothing, and rises with the level', () => {
    for (const bytes of [1, 3_241_728, 98_362_432, 5e9]) {
      for (const tokens of [1, 7, 512]) {
        const prices = LEVELS.map((level) => priceOf(served(bytes), tokens, level, 1));
        expect(prices.every((price) => Number.isSafeInteger(price) && price > 0)).toBe(true);
        expect([...prices].sort((a, b) => a - b)).toEqual(prices);
      }
    }
  });
});
