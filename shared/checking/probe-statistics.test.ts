import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ForcedToken } from './next-token.ts';
import { greedyProbe, greedyStatistics, judgeProbes, sampledProbe, sampledStatistics } from './probe-statistics.ts';

const candidates = [
  { text: ' a', logProbability: Math.log(0.5) },
  { text: ' b', logProbability: Math.log(0.25) },
  { text: ' c', logProbability: Math.log(0.125) },
  { text: ' d', logProbability: Math.log(0.0625) },
];

function token(at: number): ForcedToken {
  return { ...candidates[at]!, candidates };
}

const sampling = { temperature: 0.5, topP: 0.7 };

describe('probes of a greedy answer', () => {
  it('measure how much likelier the best token was', () => {
    expect(greedyProbe(token(0))).toEqual({ gap: 0, inTop: true });
    expect(greedyProbe(token(2)).gap).toBeCloseTo(Math.log(4), 12);
    expect(greedyProbe({ text: ' z', logProbability: -9, candidates })).toEqual({
      gap: 9 + Math.log(0.5),
      inTop: false,
    });
  });

  it('are summed up as mean clipped gap, largest gap and share outside', () => {
    const probes = [
      { gap: 0, inTop: true },
      { gap: 1, inTop: true },
      { gap: 7, inTop: false },
      { gap: 0, inTop: true },
    ];
    expect(greedyStatistics(probes)).toEqual({
      form: 'greedy',
      positions: 4,
      meanGap: 3 / 48, // Spread over the positions of the answers that limits were made from.
      largestGap: 7,
      outside: 0.25,
    });
    expect(greedyStatistics([])).toBeNull();
  });

  it('find nothing in an answer that takes the best token everywhere', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: -20, max: 0, noNaN: true }), { minLength: 1 }), (best) => {
        const tokens = best.map((logProbability) => ({
          text: 'x',
          logProbability,
          candidates: [{ text: 'x', logProbability }],
        }));
        expect(greedyStatistics(tokens.map(greedyProbe))).toMatchObject({ meanGap: 0, largestGap: 0, outside: 0 });
      }),
    );
  });
});

describe('probes of a sampled answer', () => {
  it('measure surprise against what the sampler would have drawn', () => {
    for (const [at, surprise, outside] of [
      [0, -0.2983105561, false],
      [1, 1.0754679971, false],
      [3, 6.1556293538, true],
    ] as const) {
      const probe = sampledProbe(token(at), sampling);
      expect(probe.surprise).toBeCloseTo(surprise, 9);
      expect(probe.variance).toBeCloseTo(0.4251018238, 9);
      expect(probe.outside).toBe(outside);
    }
  });

  it('know a token that the nucleus cannot hold, also where it is not in the list', () => {
    const other = { text: ' z', logProbability: Math.log(0.001), candidates };
    expect(sampledProbe(other, sampling).outside).toBe(true);
    // The list holds 0.9375 of the probability: a nucleus of 0.95 reaches beyond it.
    expect(sampledProbe(other, { temperature: 1, topP: 0.95 }).outside).toBe(false);
    expect(sampledProbe(other, { temperature: 1, topP: 1 }).outside).toBe(false);
    const inList = sampledProbe(token(3), { temperature: 1, topP: 1 });
    expect(sampledProbe(other, { temperature: 1, topP: 1 }).surprise).toBeGreaterThan(inList.surprise);
  });

  it('tolerate a token at the edge of the nucleus', () => {
    // 0.5 + 0.25 + 0.125 = 0.875: a nucleus of 0.874 ends with the third token, one of 0.894 holds the fourth.
    expect(sampledProbe(token(3), { temperature: 1, topP: 0.86 }).outside).toBe(false);
    expect(sampledProbe(token(3), { temperature: 1, topP: 0.85 }).outside).toBe(true);
  });

  it('are summed up as standardised surprise', () => {
    const statistics = sampledStatistics([token(0), token(1)].map((each) => sampledProbe(each, sampling)));
    expect(statistics).toMatchObject({ form: 'sampled', positions: 2, outside: 0 });
    expect(statistics?.z).toBeCloseTo(0.6688201842, 9);
    expect(statistics?.largestSurprise).toBeCloseTo(1.1181568351, 9);
    expect(sampledStatistics([])).toBeNull();
  });

  it('expect no surprise on average: the mean over all draws is zero', () => {
    const unfiltered = { temperature: 1, topP: 1 };
    const closed = candidates.map((candidate, i) => ({
      ...candidate,
      logProbability: Math.log([0.4, 0.3, 0.2, 0.1][i]!),
    }));
    const mean = closed
      .map((claimed) => ({ ...claimed, candidates: closed }))
      .reduce((sum, each) => sum + Math.exp(each.logProbability) * sampledProbe(each, unfiltered).surprise, 0);
    expect(mean).toBeCloseTo(0, 12);
  });
});

describe('a judgement of probes', () => {
  it('names the statistics above their limits, and a z far below zero', () => {
    const greedy = { form: 'greedy', positions: 9, meanGap: 0.5, largestGap: 1, outside: 0 } as const;
    expect(judgeProbes(greedy, { form: 'greedy', meanGap: 0.4, largestGap: 1, outside: 0 })).toEqual(['meanGap']);
    const sampled = { form: 'sampled', positions: 9, z: -4, largestSurprise: 3, outside: 0.1 } as const;
    expect(judgeProbes(sampled, { form: 'sampled', z: 3.5, largestSurprise: 17, outside: 0 })).toEqual([
      'z',
      'outside',
    ]);
  });
});
