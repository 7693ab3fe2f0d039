import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { utf8 } from '../../shared/bytes.ts';
import { MAX_ANSWER_BYTES } from '../../shared/limits.ts';
import { lineLength } from '../../shared/protocol/vector-lines.ts';
import { cutTexts, MAX_BYTES_A_PART, MAX_TEXTS_A_PART } from './cut-texts.ts';

const sizes = (...cut: Parameters<typeof cutTexts>) => cutTexts(...cut).map(({ texts }) => texts.length);

describe('texts that are embedded', () => {
  it('are cut into as many parts as tabs are free, and into small ones where they are many', () => {
    const texts = Array<string>(40).fill('tea');
    expect(sizes(texts, 384, 0)).toEqual([16, 16, 8]);
    expect(sizes(texts, 384, 4)).toEqual([10, 10, 10, 10]);
    expect(sizes(texts, 384, 100)).toEqual(Array(40).fill(1));
  });

  it('are fewer in a part where they or their vectors are long', () => {
    const long = 'x'.repeat(MAX_BYTES_A_PART);
    expect(sizes(['a', long, 'b', 'c', long], 384, 1)).toEqual([1, 1, 2, 1]);
    expect(sizes(Array<string>(4).fill('tea'), 20_000, 1)).toEqual([1, 1, 1, 1]);
  });

  it('stay whole and in order, and no part has an answer that is too long', () => {
    const texts = fc.array(fc.string({ maxLength: 3_000 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(texts, fc.integer({ min: 1, max: 30_000 }), fc.nat(40), (all, dimensions, tabs) => {
        const parts = cutTexts(all, dimensions, tabs);
        expect(parts.flatMap((part) => part.texts)).toEqual(all);
        let from = 0;
        for (const part of parts) {
          expect(part.from).toBe(from);
          from += part.texts.length;
          const bytes = part.texts.reduce((sum, text) => sum + utf8(text).byteLength, 0);
          expect(part.texts.length === 1 || bytes <= MAX_BYTES_A_PART).toBe(true);
          expect(part.texts.length).toBeLessThanOrEqual(MAX_TEXTS_A_PART);
          expect(part.texts.length * (lineLength(dimensions) + 1)).toBeLessThanOrEqual(MAX_ANSWER_BYTES);
        }
      }),
      { numRuns: 200 },
    );
  });
});
