import type { GreedyStatistics, ProbeLimits, SampledStatistics } from './probe-statistics.ts';
import type { RubricCalibration } from './rubric.ts';
import type { SeededStatistics } from './seeded-draws.ts';
import type { SignLimits } from './semantic-signs.ts';

/**
 * Written by `npm run calibrate` from the data in `docs/calibration/`, not to be edited. How well these limits separate is in `docs/checking.md`. They
 * hold for the model that they were measured on.
 */

export interface PairLimits {
  readonly greedy: ProbeLimits<GreedyStatistics>;
  /** Sampled, and the seed is not known. */
  readonly sampled: ProbeLimits<SampledStatistics>;
  /** Sampled with the seed that the lease pins. */
  readonly seeded: ProbeLimits<SeededStatistics>;
}

/** The same weights in another arithmetic. */
export const STATISTICAL_LIMITS: PairLimits = {
  greedy: {
    form: 'greedy',
    meanGap: 0.0014,
    largestGap: 0.066,
    outside: 0,
  },
  sampled: {
    form: 'sampled',
    z: 72,
    largestSurprise: 67,
    outside: 0.19,
  },
  seeded: {
    form: 'seeded',
    meanDistance: 0.29,
    strayed: 0.32,
  },
};

/** Another quantization of the model: honest readings differ so much that little is left to find. */
export const CROSS_CLASS_LIMITS: PairLimits = {
  greedy: {
    form: 'greedy',
    meanGap: 0,
    largestGap: 0,
    outside: 0,
  },
  sampled: {
    form: 'sampled',
    z: 0,
    largestSurprise: 0,
    outside: 0,
  },
  seeded: {
    form: 'seeded',
    meanDistance: 0,
    strayed: 0,
  },
};

export const SIGN_LIMITS: SignLimits = {
  looping: 0,
  offTopic: Infinity,
};

/** By judge; `null` for one that was measured and is no better than a coin. */
export const JUDGE_CALIBRATIONS: Readonly<Record<string, RubricCalibration | null>> = {
  pup: null,
  'smollm2-135m': null,
};
