/**
 * A rubric: another tab reads question and answer and says yes or no to a few questions about them. Not its words count but the log-probabilities of the two,
 * so that a small model's hesitation is a figure. What a judge of which size can tell is measured in `docs/checking.md`; the answer that it reads may try to
 * talk it round, so a rubric is never more than a sign.
 */

export const RUBRIC_CHOICES = ['Yes', 'No'] as const;

export const RUBRIC_QUESTIONS = [
  { name: 'fits', text: 'Does the answer reply to this question?' },
  { name: 'sensible', text: 'Is the answer written in sensible sentences?' },
  { name: 'complete', text: 'Is the answer complete?' },
] as const;
export type RubricQuestion = (typeof RUBRIC_QUESTIONS)[number];

/** What the judging tab is asked, as one message of a user. The question comes last, so that an engine reads the pair once for all of them. */
export function rubricMessage(prompt: string, answer: string, question: RubricQuestion): string {
  return `Question: ${prompt}\nAnswer: ${answer}\n\n${question.text} Reply with Yes or No.`;
}

/** ln P(yes) − ln P(no), nats: the log-odds that the judge gives to yes among the two. */
export function yesMargin(logProbabilities: readonly [yes: number, no: number]): number {
  return logProbabilities[0] - logProbabilities[1];
}

/** Logistic calibration of a judge (Cox 1958): a constant, and a weight for the margin of each question, in the order of the questions. */
export interface RubricCalibration {
  readonly constant: number;
  readonly weights: readonly number[];
}

/** Probability that the answer is a good one, 0 … 1, for a judge with this calibration. `null` when the margins are not those of its questions. */
export function rubricScore(margins: readonly number[], calibration: RubricCalibration): number | null {
  if (margins.length !== calibration.weights.length || !margins.every(Number.isFinite)) return null;
  const logit = margins.reduce((sum, margin, i) => sum + margin * (calibration.weights[i] ?? 0), calibration.constant);
  return 1 / (1 + Math.exp(-logit));
}
