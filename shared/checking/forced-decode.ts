import * as v from 'valibot';
import { count } from '../protocol/fields.ts';
import type { Sampling } from '../protocol/lease.ts';
import type { FinishReason } from './digest-chain.ts';
import type { ForcedToken } from './next-token.ts';
import { greedyProbe, greedyStatistics, judgeProbes, sampledProbe, sampledStatistics } from './probe-statistics.ts';
import { seededStatistics } from './seeded-draws.ts';

/** A forced decode of a whole answer, as figures: what a checker of the statistical rung signs, and what becomes of it under limits. */

const figure = v.pipe(v.number(), v.finite());
const share = v.pipe(v.number(), v.minValue(0), v.maxValue(1));

const greedy = v.object({
  form: v.literal('greedy'),
  positions: count,
  meanGap: figure,
  largestGap: figure,
  outside: share,
});
const seeded = v.object({ form: v.literal('seeded'), positions: count, meanDistance: share, strayed: share });
const sampled = v.object({
  form: v.literal('sampled'),
  positions: count,
  z: figure,
  largestSurprise: figure,
  outside: share,
});

/** Statistics of an answer: one for a greedy one; for a sampled one the draws of its seed, as far as they can be compared, and its surprise. */
export const forcedFigures = v.object({
  statistics: v.pipe(v.array(v.variant('form', [greedy, seeded, sampled])), v.minLength(1), v.maxLength(2)),
  /** The answer says that its length ended it, and there was room for more. */
  cut: v.boolean(),
});
export type ForcedFigures = v.InferOutput<typeof forcedFigures>;

const limit = v.pipe(v.number(), v.finite(), v.minValue(0));

/** The largest value of each statistic that passes. */
export const pairLimits = v.object({
  greedy: v.object({ form: v.literal('greedy'), meanGap: limit, largestGap: limit, outside: limit }),
  /** Sampled, and the seed is not known. */
  sampled: v.object({ form: v.literal('sampled'), z: limit, largestSurprise: limit, outside: limit }),
  /** Sampled with the seed that the lease pins. */
  seeded: v.object({ form: v.literal('seeded'), meanDistance: limit, strayed: limit }),
});
export type PairLimits = v.InferOutput<typeof pairLimits>;

/** Whether the distribution that a token was drawn from follows from log-probabilities alone: other cut-offs and penalties must be off. */
export function isReadable({ topK, minP, frequencyPenalty, presencePenalty }: Sampling): boolean {
  return topK === 0 && minP === 0 && frequencyPenalty === 0 && presencePenalty === 0;
}

/**
 * The statistics of a forced decode whose last entry is the end of the answer. `null` when there is nothing to read: an empty answer that its length or a
 * stop string ended.
 */
export function figuresOf(
  tokens: readonly ForcedToken[],
  answer: { readonly finish: FinishReason; readonly hasStopStrings: boolean; readonly cut: boolean },
  sampling: Sampling,
): ForcedFigures | null {
  // Where the length or a stop string ended the answer, its end was not the model's word.
  const isEndClaimed = answer.finish === 'stop' && !answer.hasStopStrings;
  const claimed = isEndClaimed ? tokens : tokens.slice(0, -1);
  const statistics =
    sampling.temperature === 0
      ? [greedyStatistics(claimed.map(greedyProbe))]
      : [
          seededStatistics(claimed, sampling, sampling.seed),
          sampledStatistics(claimed.map((token) => sampledProbe(token, sampling))),
        ];
  const known = statistics.filter((one) => one !== null);
  return known.length === 0 ? null : { statistics: known, cut: answer.cut };
}

/** Names of the statistics that are above their limit; none when the answer passes. One failure is evidence, not proof: the rates are in docs/checking.md. */
export function failuresIn({ statistics, cut }: ForcedFigures, limits: PairLimits): readonly string[] {
  const above = statistics.flatMap((one) => judge(one, limits));
  return cut ? [...above, 'cut'] : above;
}

function judge(one: ForcedFigures['statistics'][number], limits: PairLimits): readonly string[] {
  switch (one.form) {
    case 'greedy':
      return judgeProbes(one, limits.greedy);
    case 'seeded':
      return judgeProbes(one, limits.seeded);
    case 'sampled':
      return judgeProbes(one, limits.sampled);
  }
}
