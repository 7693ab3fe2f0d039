import { describe, expect, it } from 'vitest';
import { chainOf } from './digest-chain.ts';
import { cosine } from './similarity.ts';
import { exactVerdict } from './verdict.ts';

const salt = new Uint8Array(16);

describe('a verdict', () => {
  it('[K6] does not depend on similarity: likeness saves no false answer and difference damns no true one', async () => {
    const a = await chainOf(salt, 'x'.repeat(100), 'stop');
    const b = await chainOf(salt, `${'x'.repeat(99)}y`, 'stop');
    for (const similarity of [1, 0, -1, null]) {
      expect(exactVerdict(a, a, similarity)).toMatchObject({ value: 'valid', blocks: 2, cosine: similarity });
      expect(exactVerdict(a, b, similarity)).toMatchObject({ value: 'invalid', falseBlock: 1, cosine: similarity });
    }
  });

  it('shows four digits of the cosine, the same on every machine', async () => {
    const a = await chainOf(salt, 'x', 'stop');
    expect(exactVerdict(a, a, 0.123456789)).toMatchObject({ cosine: 0.1235 });
  });
});

describe('cosine', () => {
  it('is 1 for equal directions, −1 for opposite ones, 0 for right angles', () => {
    const vector = (...x: number[]) => Float32Array.from(x);
    expect(cosine(vector(1, 2), vector(2, 4))).toBeCloseTo(1);
    expect(cosine(vector(1, 2), vector(-1, -2))).toBeCloseTo(-1);
    expect(cosine(vector(1, 0), vector(0, 5))).toBe(0);
  });

  it('says nothing about zero vectors, other lengths, or numbers that are none', () => {
    const zero = new Float32Array(2);
    expect(cosine(zero, Float32Array.of(1, 1))).toBeNull();
    expect(cosine(Float32Array.of(1), Float32Array.of(1, 1))).toBeNull();
    expect(cosine(new Float32Array(0), new Float32Array(0))).toBeNull();
    expect(cosine(Float32Array.of(Number.NaN, 1), Float32Array.of(1, 1))).toBeNull();
  });
});
