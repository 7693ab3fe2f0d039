import { describe, expect, it } from 'vitest';
import type { ForcedToken } from './next-token.ts';
import { drawDistance, mersenneTwister, seededStatistics, uniformDraws } from './seeded-draws.ts';

const candidates = [
  { text: ' a', logProbability: Math.log(0.5) },
  { text: ' b', logProbability: Math.log(0.25) },
  { text: ' c', logProbability: Math.log(0.125) },
];
const token = (at: number): ForcedToken => ({ ...candidates[at]!, candidates });
const sampling = { temperature: 1, topP: 0.7 };

describe('the draws of a seed', () => {
  it('are those of MT19937', () => {
    const words = mersenneTwister(5489);
    const drawn = Array.from({ length: 10_000 }, () => words.next().value);
    expect([drawn[0], drawn[1], drawn[9999]]).toEqual([3_499_211_612, 581_869_302, 4_123_659_995]);
  });

  it('are made of two words each', () => {
    const draws = uniformDraws(42);
    expect(Array.from({ length: 3 }, () => draws.next().value)).toEqual([
      0.796542984287846, 0.18343478789336848, 0.7796909976126613,
    ]);
  });
});

describe('the distance of a draw', () => {
  // The nucleus of 0.7 is ` a` with [0, 2/3) and ` b` with [2/3, 1).
  it.each([
    ['inside', 0, 0.3, 0],
    ['above its interval', 0, 0.9, 0.9 - 2 / 3],
    ['below its interval', 1, 0.5, 2 / 3 - 0.5],
    ['of a token outside the nucleus', 2, 0.5, 1],
  ])('is measured for a draw %s', (_, at, u, distance) => {
    expect(drawDistance(token(at), sampling, u)).toBeCloseTo(distance, 12);
  });

  it('is measured at the temperature that the lease fixed', () => {
    // 0.5² : 0.25² = 4 : 1.
    expect(drawDistance(token(0), { temperature: 0.5, topP: 0.7 }, 0.9)).toBeCloseTo(0.1, 12);
  });

  it('counts on beyond the nucleus for a token at its edge', () => {
    // 0.5 + 0.25 = 0.75 ends the nucleus of 0.74; that of 0.76 holds ` c` too, whose interval begins at 1.
    expect(drawDistance(token(2), { temperature: 1, topP: 0.74 }, 0.98)).toBeCloseTo(0.02, 12);
  });

  it('is unknown where the list does not hold the nucleus, and whole for a token that is not in the list', () => {
    expect(drawDistance(token(0), { temperature: 1, topP: 0.9 }, 0.5)).toBeNull();
    expect(drawDistance({ text: ' z', logProbability: -9, candidates }, sampling, 0.5)).toBe(1);
  });
});

describe('the statistics of a pinned seed', () => {
  it('take one draw a token, whether or not the position can be compared', () => {
    // The draws of seed 42 are 0.797, 0.183, 0.780: ` b`, ` a`, ` b`.
    expect(seededStatistics([token(1), token(0), token(1)], sampling, 42)).toEqual({
      form: 'seeded',
      positions: 3,
      meanDistance: 0,
      strayed: 0,
    });
    const open = { ...token(0), candidates: candidates.slice(0, 1) };
    expect(seededStatistics([open, token(0), token(1)], sampling, 42)).toMatchObject({ positions: 2, meanDistance: 0 });
    const wrong = seededStatistics([token(0), token(0), token(2)], sampling, 42);
    expect(wrong).toMatchObject({ positions: 3, strayed: 2 / 3 });
    expect(wrong?.meanDistance).toBeCloseTo((0.796542984287846 - 2 / 3 + 1) / 3, 12);
    expect(seededStatistics([open], sampling, 42)).toBeNull();
  });
});
