import type { RubricCalibration } from '../../shared/checking/rubric.ts';

/** Keeps weights finite where a few answers are told apart perfectly (ridge regression; Hoerl and Kennard 1970). */
const RIDGE = 0.1;
const STEPS = 500;
const RATE = 0.5;

export interface Example {
  readonly figures: readonly number[];
  readonly isGood: boolean;
}

/**
 * Logistic regression by gradient descent on the mean log-loss, weights penalised, the constant not; figures are put to a common spread first and
 * the weights turned back afterwards. Good and bad examples weigh the same in sum, however many there are of each.
 */
export function fitLogistic(examples: readonly Example[]): RubricCalibration {
  const width = examples[0]?.figures.length ?? 0;
  const spread = Array.from({ length: width }, (_, i) => deviation(examples.map(({ figures }) => figures[i] ?? 0)));
  const good = examples.filter(({ isGood }) => isGood).length;
  const shareOf = (isGood: boolean) => 0.5 / Math.max(1, isGood ? good : examples.length - good);
  let constant = 0;
  let weights = new Array<number>(width).fill(0);
  for (let step = 0; step < STEPS; step++) {
    let slope = 0;
    const slopes = new Array<number>(width).fill(0);
    for (const { figures, isGood } of examples) {
      const scaled = figures.map((figure, i) => figure / (spread[i] ?? 1));
      const logit = scaled.reduce((sum, x, i) => sum + x * (weights[i] ?? 0), constant);
      const error = (1 / (1 + Math.exp(-logit)) - (isGood ? 1 : 0)) * shareOf(isGood);
      slope += error;
      for (const [i, x] of scaled.entries()) slopes[i] = (slopes[i] ?? 0) + error * x;
    }
    constant -= RATE * slope;
    weights = weights.map((weight, i) => weight - RATE * ((slopes[i] ?? 0) + RIDGE * weight * 0.1));
  }
  return { constant, weights: weights.map((weight, i) => weight / (spread[i] ?? 1)) };
}

/** Standard deviation; 1 for figures that do not vary. */
function deviation(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length) || 1;
}
