import type { ForcedToken } from './next-token.ts';
import { NUCLEUS_TOLERANCE, nucleusSize } from './nucleus.ts';
import type { SeededStatistics } from './seeded-draws.ts';

/**
 * The statistical rung: a checker with the same weights but another arithmetic reads the answer token by token and sees where each claimed token stands in
 * its own distribution. Honest disagreements are near ties, so the size of the gap separates, not the count of tokens that are not the first choice.
 *
 * Greedy answers: mean clipped gap, largest gap. Sampled answers whose draw cannot be repeated: with q the claimed sampling distribution, H and V the mean
 * and variance of −ln q under q, the standardised surprise z = Σ(−ln q(c) − H) ÷ √ΣV, which is about N(0, 1) for an honest sample (the score of a
 * log-likelihood, summed over positions), and the share of tokens that the sampler could not have drawn.
 */

/** Gaps above this count no more, nats: one wild position must not hide in, nor make up, the mean. */
const GAP_CLIP_NATS = 2;

/** Positions over which gaps are spread at least: those of the answers that limits were made from. One honest near tie must not weigh more in a shorter answer. */
const LEAST_POSITIONS = 48;

/** Share of the unfiltered distribution in q, so that a token outside the nucleus has a finite surprise. */
const UNFILTERED_SHARE = 0.02;

/** Added to variances, nats²: an answer that leaves no choice would divide rounding errors by nothing. */
const VARIANCE_FLOOR = 0.5;

/** What one position says of a greedy answer. */
export interface GreedyProbe {
  /** Log-probability of the best token less that of the claimed one, nats. */
  readonly gap: number;
  /** Whether the claimed token is among the candidates. */
  readonly inTop: boolean;
}

/** A position of a forced decode. The gap is exact. */
export function greedyProbe(token: ForcedToken): GreedyProbe {
  const best = token.candidates[0]?.logProbability ?? token.logProbability;
  const inTop = token.candidates.some(({ text }) => text === token.text);
  return { gap: Math.max(0, best - token.logProbability), inTop };
}

export interface GreedyStatistics {
  readonly form: 'greedy';
  readonly positions: number;
  /** Mean of the gaps, each clipped at 2 nats; over 48 positions where there are fewer. */
  readonly meanGap: number;
  /** Nats, not clipped. */
  readonly largestGap: number;
  /** Share of positions whose token is not among the candidates. */
  readonly outside: number;
}

/** `null` when there was nothing to probe. */
export function greedyStatistics(probes: readonly GreedyProbe[]): GreedyStatistics | null {
  if (probes.length === 0) return null;
  return {
    form: 'greedy',
    positions: probes.length,
    meanGap: sum(probes.map(({ gap }) => Math.min(gap, GAP_CLIP_NATS))) / Math.max(probes.length, LEAST_POSITIONS),
    largestGap: Math.max(...probes.map(({ gap }) => gap)),
    outside: mean(probes.map(({ inTop }) => (inTop ? 0 : 1))),
  };
}

/** The part of a lease's sampling that shapes the distribution; other cut-offs and penalties must be off. */
export interface ClaimedSampling {
  /** Above 0. */
  readonly temperature: number;
  readonly topP: number;
}

/** What one position says of a sampled answer. */
export interface SampledProbe {
  /** −ln q of the claimed token less its expectation H, nats. */
  readonly surprise: number;
  /** Variance of −ln q under q, nats². */
  readonly variance: number;
  /** Whether the claimed token lies outside the nucleus, tolerance included. */
  readonly outside: boolean;
}

/** A position of a forced decode, under the sampling that the lease fixed: nucleus first, then temperature, as the engine samples. */
export function sampledProbe(token: ForcedToken, sampling: ClaimedSampling): SampledProbe {
  const raw = token.candidates.map(({ logProbability }) => Math.exp(logProbability));
  const nucleus = raw.slice(0, nucleusSize(raw, sampling.topP));
  const tolerant = nucleusSize(raw, sampling.topP + NUCLEUS_TOLERANCE);
  const heated = nucleus.map((share) => share ** (1 / sampling.temperature));
  const total = sum(heated);
  const q = raw.map((share, i) => (1 - UNFILTERED_SHARE) * ((heated[i] ?? 0) / total) + UNFILTERED_SHARE * share);
  const entropy = sum(q.map((x) => (x > 0 ? -x * Math.log(x) : 0)));
  const variance = sum(q.map((x) => (x > 0 ? x * (-Math.log(x) - entropy) ** 2 : 0)));
  const at = token.candidates.findIndex(({ text }) => text === token.text);
  // A nucleus that does not end within the list may hold the claimed token although the list does not.
  const open = at < 0 && sum(raw) < sampling.topP + NUCLEUS_TOLERANCE;
  const p = Math.exp(token.logProbability);
  const drawn = open ? p ** (1 / sampling.temperature) / total : 0;
  const claimed = at < 0 ? (1 - UNFILTERED_SHARE) * drawn + UNFILTERED_SHARE * p : (q[at] ?? 0);
  return {
    surprise: -Math.log(Math.max(claimed, Number.MIN_VALUE)) - entropy,
    variance,
    outside: sampling.topP < 1 && !open && (at < 0 || at >= tolerant),
  };
}

export interface SampledStatistics {
  readonly form: 'sampled';
  readonly positions: number;
  /** Standardised surprise of the whole answer: far above 0 another model, far below it a cooler sampler. */
  readonly z: number;
  /** Largest surprise of one position in units of its own spread. */
  readonly largestSurprise: number;
  /** Share of positions whose token the sampler could not have drawn. */
  readonly outside: number;
}

/** `null` when there was nothing to probe. */
export function sampledStatistics(probes: readonly SampledProbe[]): SampledStatistics | null {
  if (probes.length === 0) return null;
  return {
    form: 'sampled',
    positions: probes.length,
    z:
      sum(probes.map(({ surprise }) => surprise)) /
      Math.sqrt(sum(probes.map(({ variance }) => variance)) + VARIANCE_FLOOR),
    largestSurprise: Math.max(
      ...probes.map(({ surprise, variance }) => surprise / Math.sqrt(variance + VARIANCE_FLOOR)),
    ),
    outside: mean(probes.map(({ outside }) => (outside ? 1 : 0))),
  };
}

export type ProbeStatistics = GreedyStatistics | SampledStatistics | SeededStatistics;

/** The largest value of each statistic that passes; z is compared by its size. Made by `npm run calibrate`. */
export type ProbeLimits<Statistics extends ProbeStatistics = ProbeStatistics> = Statistics extends unknown
  ? Omit<Statistics, 'positions'>
  : never;

type OfForm<Form extends ProbeStatistics['form']> = Extract<ProbeStatistics, { readonly form: Form }>;

/** Names of the statistics that are above their limit; an answer fails when there is one. One failure is evidence, not proof: see the published rates. */
export function judgeProbes<Form extends ProbeStatistics['form']>(
  statistics: { readonly form: Form } & OfForm<Form>,
  limits: { readonly form: Form } & ProbeLimits<OfForm<Form>>,
): readonly string[] {
  const allowed = new Map<string, unknown>(Object.entries(limits));
  const measured: readonly (readonly [string, unknown])[] = Object.entries(statistics);
  return measured
    .filter(([name, value]) => {
      const limit = allowed.get(name);
      return typeof limit === 'number' && typeof value === 'number' && Math.abs(value) > limit;
    })
    .map(([name]) => name);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}
