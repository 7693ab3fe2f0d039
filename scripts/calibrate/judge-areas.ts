import { type RubricCalibration, rubricScore } from '../../shared/checking/rubric.ts';
import { type Area, areaUnderCurve } from './area-under-curve.ts';
import type { RubricRow } from './calibration-data.ts';
import { type Example, fitLogistic } from './fit-logistic.ts';

/** Answers that a good judge would call bad. An edited one is left out: what is wrong with it is a fact, not its form. */
const BAD: ReadonlySet<string> = new Set(['truncated', 'other prompt', 'garbage']);

export interface JudgedExample extends Example {
  readonly prompt: number;
}

export function judgesOf(rows: readonly RubricRow[]): readonly string[] {
  return [...new Set(rows.map(({ judge }) => judge))];
}

export function judgedExamples(rows: readonly RubricRow[], judge: string): readonly JudgedExample[] {
  return rows
    .filter((row) => row.judge === judge && (row.population === 'honest' || BAD.has(row.population)))
    .map(({ population, margins, prompt }) => ({ figures: margins, isGood: population === 'honest', prompt }));
}

/** How well the margin of one question alone tells good from bad. */
export function areaOfQuestion(examples: readonly JudgedExample[], question: number): Area | null {
  return areaOf(examples, ({ figures }) => figures[question] ?? 0);
}

/** How well the score does, each prompt scored by weights that were fitted on the others. */
export function areaOfScore(examples: readonly JudgedExample[]): Area | null {
  const prompts = [...new Set(examples.map(({ prompt }) => prompt))];
  const fitted = new Map(
    prompts.map((prompt) => [prompt, fitLogistic(examples.filter((example) => example.prompt !== prompt))]),
  );
  return areaOf(examples, ({ prompt, figures }) => {
    const calibration = fitted.get(prompt);
    return calibration === undefined ? 0 : (rubricScore(figures, calibration) ?? 0);
  });
}

/** The calibration of a judge; `null` for one that is not shown to be better than a coin. */
export function calibrationOf(rows: readonly RubricRow[], judge: string): RubricCalibration | null {
  const examples = judgedExamples(rows, judge);
  const area = areaOfScore(examples);
  if (area === null || area.interval.low <= 0.5) return null;
  const { constant, weights } = fitLogistic(examples);
  return { constant: rounded(constant), weights: weights.map(rounded) };
}

function areaOf(examples: readonly JudgedExample[], score: (example: JudgedExample) => number): Area | null {
  const side = (isGood: boolean) => examples.filter((example) => example.isGood === isGood).map(score);
  return areaUnderCurve(side(true), side(false));
}

function rounded(value: number): number {
  return Number(value.toFixed(3));
}
