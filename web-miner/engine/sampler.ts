import type { Candidate } from '../../shared/checking/next-token.ts';
import { uniformDraws } from '../../shared/checking/seeded-draws.ts';
import type { Sampling } from '../../shared/protocol/lease.ts';

/**
 * Draws tokens from raw logits as llama.cpp does with the chain that `wllama-engine.ts` pins: penalties, top-k, top-p, min-p, temperature, then one number of
 * the seed's generator a token (inverse transform over the tokens in order of their probability). So a seed means the same with both engines, and what
 * `seeded-draws.ts` computes again holds for both. Penalties count what this answer has written, as OpenAI's do; llama.cpp's look back 64 tokens, into the prompt.
 */
export class Sampler {
  readonly #sampling: Sampling;
  readonly #draws: Generator<number, never, undefined>;
  readonly #written = new Map<number, number>();

  constructor(sampling: Sampling) {
    this.#sampling = sampling;
    this.#draws = uniformDraws(sampling.seed);
  }

  next(raw: Float32Array): number {
    const logits = this.#penalized(raw);
    const token = this.#sampling.temperature === 0 ? likeliest(logits) : this.#draw(logits);
    this.#written.set(token, (this.#written.get(token) ?? 0) + 1);
    return token;
  }

  #penalized(raw: Float32Array): Float32Array {
    const { frequencyPenalty, presencePenalty } = this.#sampling;
    if (frequencyPenalty === 0 && presencePenalty === 0) return raw;
    const logits = raw.slice();
    for (const [token, times] of this.#written) {
      logits[token] = (logits[token] ?? 0) - times * frequencyPenalty - presencePenalty;
    }
    return logits;
  }

  #draw(logits: Float32Array): number {
    const { temperature, topP, topK, minP } = this.#sampling;
    const u = this.#draws.next().value;
    const order = new LikeliestFirst(logits);
    const top = logits[order.peek()] ?? 0;
    const heat = (token: number) => Math.exp(((logits[token] ?? 0) - top) / temperature);
    const isUncut = topP >= 1 && topK === 0 && minP === 0;
    if (isUncut) {
      let total = 0;
      for (let token = 0; token < logits.length; token++) total += heat(token);
      return takeAt(u * total, order, heat);
    }
    const kept = keep(order, logits, { topP, topK, minP });
    const total = kept.reduce((sum, token) => sum + heat(token), 0);
    return takeAt(u * total, kept.values(), heat);
  }
}

/** Tokens that the cut-offs leave, likeliest first; at least one. */
function keep(
  order: LikeliestFirst,
  logits: Float32Array,
  { topP, topK, minP }: Pick<Sampling, 'topP' | 'topK' | 'minP'>,
): number[] {
  const top = logits[order.peek()] ?? 0;
  /** Relative to the likeliest, whose own weight is 1. */
  const weigh = (token: number) => Math.exp((logits[token] ?? 0) - top);
  const ranked = topK > 0 ? firstOf(order, topK) : null;
  let total = 0;
  for (const token of ranked ?? logits.keys()) total += weigh(token);
  const kept: number[] = [];
  let held = 0;
  for (const token of ranked ?? order) {
    if (kept.length > 0 && weigh(token) < minP) break;
    kept.push(token);
    held += weigh(token);
    if (topP < 1 && held >= topP * total) break;
  }
  return kept;
}

function firstOf(tokens: Iterable<number>, count: number): number[] {
  const first: number[] = [];
  for (const token of tokens) {
    first.push(token);
    if (first.length === count) break;
  }
  return first;
}

/** The token in whose interval of the cumulative weights `at` falls. */
function takeAt(at: number, tokens: Iterable<number>, heat: (token: number) => number): number {
  let reached = 0;
  let last = 0;
  for (const token of tokens) {
    reached += heat(token);
    last = token;
    if (reached > at) break;
  }
  return last;
}

/** The token with the largest logit; of equal ones the first. */
export function likeliest(logits: Float32Array): number {
  let best = 0;
  for (let token = 1; token < logits.length; token++) if ((logits[token] ?? 0) > (logits[best] ?? 0)) best = token;
  return best;
}

/** What is taken from logits to turn them into natural logarithms of probabilities: the logarithm of the sum of their exponentials. */
export function logSumExp(logits: Float32Array): number {
  const top = logits[likeliest(logits)] ?? 0;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - top);
  return top + Math.log(sum);
}

export interface ScoredToken extends Pick<Candidate, 'logProbability'> {
  readonly id: number;
}

/** The likeliest tokens, best first. */
export function likeliestTokens(logits: Float32Array, count: number): ScoredToken[] {
  const normalizer = logSumExp(logits);
  return firstOf(new LikeliestFirst(logits), count).map((id) => ({
    id,
    logProbability: Math.min(0, (logits[id] ?? 0) - normalizer),
  }));
}

/** Token ids in falling order of their logits, by a heap: a few are wanted of some hundred thousand. Of equal ones the lower id comes first. Taken once. */
class LikeliestFirst implements Iterable<number> {
  readonly #logits: Float32Array;
  readonly #heap: Int32Array;
  #size: number;

  constructor(logits: Float32Array) {
    this.#logits = logits;
    this.#size = logits.length;
    this.#heap = Int32Array.from(logits, (_, token) => token);
    for (let at = (this.#size >> 1) - 1; at >= 0; at--) this.#sink(at);
  }

  peek(): number {
    return this.#heap[0] ?? 0;
  }

  *[Symbol.iterator](): Generator<number, void, undefined> {
    while (this.#size > 0) {
      const token = this.peek();
      this.#size--;
      this.#heap[0] = this.#heap[this.#size] ?? 0;
      this.#sink(0);
      yield token;
    }
  }

  #sink(from: number): void {
    const heap = this.#heap;
    for (let at = from; ; ) {
      let first = at;
      const left = 2 * at + 1;
      if (left < this.#size && this.#isBefore(left, first)) first = left;
      if (left + 1 < this.#size && this.#isBefore(left + 1, first)) first = left + 1;
      if (first === at) return;
      const moved = heap[at] ?? 0;
      heap[at] = heap[first] ?? 0;
      heap[first] = moved;
      at = first;
    }
  }

  #isBefore(one: number, other: number): boolean {
    const a = this.#heap[one] ?? 0;
    const b = this.#heap[other] ?? 0;
    const difference = (this.#logits[a] ?? 0) - (this.#logits[b] ?? 0);
    return difference === 0 ? a < b : difference > 0;
  }
}
