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
    z: 2.5,
    largestSurprise: 4.3,
    outside: 0,
  },
  seeded: {
    form: 'seeded',
    meanDistance: 0.033,
    strayed: 0.11,
  },
};

/** Another quantization of the model. Much wider: changed texts still show, another draw does not. */
export const CROSS_CLASS_LIMITS: PairLimits = {
  greedy: {
    form: 'greedy',
    meanGap: 0.54,
    largestGap: 2.8,
    outside: 0,
  },
  sampled: {
    form: 'sampled',
    z: 4.1,
    largestSurprise: 12,
    outside: 0.094,
  },
  seeded: {
    form: 'seeded',
    meanDistance: 0.13,
    strayed: 0.29,
  },
};

export const SIGN_LIMITS: SignLimits = {
  looping: 0.21,
  offTopic: -0.03,
};

/** By judge; `null` for one that was measured and is no better than a coin. */
export const JUDGE_CALIBRATIONS: Readonly<Record<string, RubricCalibration | null>> = {
  pup: null,
  'smollm2-135m': null,
};
