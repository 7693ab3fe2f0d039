import type { ForcedToken } from './next-token.ts';
import { NUCLEUS_TOLERANCE, nucleusSize } from './nucleus.ts';
import type { ClaimedSampling } from './probe-statistics.ts';

/**
 * The statistical rung for sampled answers whose seed is pinned: the engine's own draws are computed again. llama.cpp sorts what the cut-offs leave,
 * draws one number u in [0, 1) a token, and takes the token in whose interval of the cumulative distribution u falls (inverse transform sampling). A checker
 * with another arithmetic finds the borders a little moved; a token that the seed did not choose lies far from u.
 *
 * The generator is MT19937 (Matsumoto and Nishimura, ACM TOMACS 8(1), 1998), seeded with one word; u is made of two words as C++'s
 * `uniform_real_distribution<double>` does in libc++: (first + second · 2³²) ÷ 2⁶⁴. Seen to be so in wllama 3.8.1; it belongs to the class.
 */

const STATE_WORDS = 624;
const SHIFT_WORDS = 397;

/** The words of MT19937, 32 bits each, for ever. */
export function* mersenneTwister(seed: number): Generator<number, never, undefined> {
  const state = new Uint32Array(STATE_WORDS);
  state[0] = seed;
  for (let i = 1; i < STATE_WORDS; i++) {
    const before = state[i - 1] ?? 0;
    state[i] = Math.imul(1_812_433_253, before ^ (before >>> 30)) + i;
  }
  for (;;) {
    for (let i = 0; i < STATE_WORDS; i++) {
      const joined = ((state[i] ?? 0) & 0x8000_0000) | ((state[(i + 1) % STATE_WORDS] ?? 0) & 0x7fff_ffff);
      state[i] = (state[(i + SHIFT_WORDS) % STATE_WORDS] ?? 0) ^ (joined >>> 1) ^ (joined & 1 ? 0x9908_b0df : 0);
    }
    for (const word of state) {
      let y = word ^ (word >>> 11);
      y ^= (y << 7) & 0x9d2c_5680;
      y ^= (y << 15) & 0xefc6_0000;
      yield (y ^ (y >>> 18)) >>> 0;
    }
  }
}

/** The numbers in [0, 1) that the engine draws for this seed, one a token. */
export function* uniformDraws(seed: number): Generator<number, never, undefined> {
  const words = mersenneTwister(seed);
  for (;;) {
    const first = words.next().value;
    yield (first + words.next().value * 2 ** 32) / 2 ** 64;
  }
}

export interface SeededStatistics {
  readonly form: 'seeded';
  /** Positions that could be compared: those whose nucleus ends within the list of candidates. */
  readonly positions: number;
  /** Mean distance of the draws from the intervals of the claimed tokens, in cumulative probability; 1 for a token outside the nucleus. */
  readonly meanDistance: number;
  /** Share of positions whose draw is further away than 0.1: an edit changes few positions, but those by far. */
  readonly strayed: number;
}

/** Beyond this distance a draw has strayed. Honest borders move by a hundredth; swapped near ties by the width of a token. */
const STRAYED_DISTANCE = 0.1;

/**
 * Compares a forced decode of the whole answer with the draws of the pinned seed. `null` when no position can be compared. The decode must have the answering
 * tab's own tokens: one cut more or fewer moves all draws after it.
 */
export function seededStatistics(
  tokens: readonly ForcedToken[],
  sampling: ClaimedSampling,
  seed: number,
): SeededStatistics | null {
  const draws = uniformDraws(seed);
  const distances = tokens
    .map((token) => drawDistance(token, sampling, draws.next().value))
    .filter((distance) => distance !== null);
  if (distances.length === 0) return null;
  return {
    form: 'seeded',
    positions: distances.length,
    meanDistance: distances.reduce((total, distance) => total + distance, 0) / distances.length,
    strayed: distances.filter((distance) => distance > STRAYED_DISTANCE).length / distances.length,
  };
}

/**
 * How far `u` is from the claimed token's interval; 1 for a token that the sampler cannot have drawn. A token just outside this checker's nucleus may lie
 * inside the other's: its interval is counted on beyond the end. `null` where the list of candidates does not hold the whole nucleus.
 */
export function drawDistance(token: ForcedToken, sampling: ClaimedSampling, u: number): number | null {
  const raw = token.candidates.map(({ logProbability }) => Math.exp(logProbability));
  const heated = raw.map((share) => share ** (1 / sampling.temperature));
  if (sum(raw) < sampling.topP) return null;
  const at = token.candidates.findIndex(({ text }) => text === token.text);
  if (at < 0 || at >= nucleusSize(raw, sampling.topP + NUCLEUS_TOLERANCE)) return 1;
  const total = sum(heated.slice(0, nucleusSize(raw, sampling.topP)));
  const low = sum(heated.slice(0, at)) / total;
  const high = low + (heated[at] ?? 0) / total;
  return Math.max(0, low - u, u - high);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
