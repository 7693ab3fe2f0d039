import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { uniformDraws } from '../../shared/checking/seeded-draws.ts';
import { LIKELIEST, type Sampling } from '../../shared/protocol/lease.ts';
import { likeliest, likeliestTokens, logSumExp, Sampler } from './sampler.ts';

const SAMPLED: Sampling = { ...LIKELIEST, temperature: 1, seed: 7 };

/** The same in the plainest way: everything sorted, every step over the whole list. */
function plainly(logits: Float32Array, sampling: Sampling, u: number): number {
  const softmax = (values: readonly number[]) => {
    const weights = values.map((value) => Math.exp(value - values[0]!));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return weights.map((weight) => weight / total);
  };
  let ids = [...logits.keys()].sort((a, b) => logits[b]! - logits[a]! || a - b);
  if (sampling.topK > 0) ids = ids.slice(0, sampling.topK);
  if (sampling.topP < 1) {
    const end = sums(softmax(ids.map((id) => logits[id]!))).findIndex((held) => held >= sampling.topP);
    ids = end < 0 ? ids : ids.slice(0, end + 1);
  }
  ids = ids.filter((id, index) => index === 0 || Math.exp(logits[id]! - logits[ids[0]!]!) >= sampling.minP);
  const shares = softmax(ids.map((id) => logits[id]! / sampling.temperature));
  return ids[sums(shares).findIndex((reached) => reached > u)] ?? ids.at(-1)!;
}

function sums(values: readonly number[]): number[] {
  return values.map((_, index) => values.slice(0, index + 1).reduce((sum, value) => sum + value, 0));
}

describe('the sampler', () => {
  it('draws what the plainest implementation draws, whatever the cut-offs', () => {
    const sampling = fc.record({
      temperature: fc.double({ min: 0.1, max: 2, noNaN: true }),
      topP: fc.constantFrom(1, 0.95, 0.5, 0.1),
      topK: fc.constantFrom(0, 1, 3, 40),
      minP: fc.constantFrom(0, 0.05, 0.5),
      seed: fc.integer({ min: 0, max: 0xffff_fffe }),
    });
    const vocabulary = fc.array(fc.integer({ min: -80, max: 80 }), { minLength: 1, maxLength: 60 });
    fc.assert(
      fc.property(vocabulary, sampling, (tenths, part) => {
        const asked = { ...SAMPLED, ...part };
        const logits = Float32Array.from(tenths, (tenth) => tenth / 8);
        const u = uniformDraws(asked.seed).next().value;
        expect(new Sampler(asked).next(logits)).toBe(plainly(logits, asked, u));
      }),
    );
  });

  it('takes the likeliest token at temperature 0, the first of equal ones', () => {
    const sampler = new Sampler(LIKELIEST);
    expect(sampler.next(Float32Array.of(1, 5, 3, 5))).toBe(1);
    expect(likeliest(Float32Array.of(-3))).toBe(0);
  });

  it('draws anew for each token, the same again for the same seed', () => {
    const logits = Float32Array.from({ length: 50 }, () => 0);
    const tokens = (seed: number) => {
      const sampler = new Sampler({ ...SAMPLED, seed });
      return Array.from({ length: 20 }, () => sampler.next(logits));
    };
    expect(tokens(1)).toEqual(tokens(1));
    expect(new Set(tokens(1)).size).toBeGreaterThan(5);
    expect(tokens(2)).not.toEqual(tokens(1));
  });

  it('counts what it has written for the penalties', () => {
    const write = (part: Partial<Sampling>) => {
      const sampler = new Sampler({ ...LIKELIEST, ...part });
      return Array.from({ length: 4 }, () => sampler.next(Float32Array.of(2, 1.5, 0.2)));
    };
    expect(write({})).toEqual([0, 0, 0, 0]);
    expect(write({ presencePenalty: 1 })).toEqual([0, 1, 0, 0]);
    expect(write({ frequencyPenalty: 1 })).toEqual([0, 1, 0, 1]);
    expect(write({ frequencyPenalty: -1 })).toEqual([0, 0, 0, 0]);
  });
});

describe('log-probabilities', () => {
  it('are those of the softmax, best first', () => {
    const logits = Float32Array.of(0, Math.log(2), Math.log(5));
    expect(logSumExp(logits)).toBeCloseTo(Math.log(8), 6);
    const best = likeliestTokens(logits, 2);
    expect(best.map(({ id }) => id)).toEqual([2, 1]);
    expect(best.map(({ logProbability }) => Math.exp(logProbability))).toEqual([
      expect.closeTo(5 / 8, 6),
      expect.closeTo(2 / 8, 6),
    ]);
  });

  it('stand for logits of any size', () => {
    expect(likeliestTokens(Float32Array.of(1000, 0, -1000), 1)).toEqual([{ id: 0, logProbability: 0 }]);
  });
});
