import type { PairLimits } from './forced-decode.ts';
import type { RubricCalibration } from './rubric.ts';
import type { SignLimits } from './semantic-signs.ts';

/**
 * Written by `npm run calibrate` from the data in `docs/calibration/`, not to be edited. How well these limits separate is in `docs/checking.md`. They
 * hold for the model that they were measured on.
 */

/** By model: the same weights in another arithmetic. */
export const STATISTICAL_LIMITS: Readonly<Record<string, PairLimits>> = {
  'shoal-pup-3m': {
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
  },
};

/** By model: another quantization of it. Much wider: changed texts still show, another draw does not. */
export const CROSS_CLASS_LIMITS: Readonly<Record<string, PairLimits>> = {
  'shoal-pup-3m': {
    greedy: {
      form: 'greedy',
      meanGap: 0.12,
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
