import { describe, expect, it } from 'vitest';
import { RUBRIC_QUESTIONS, rubricMessage, rubricScore, yesMargin } from './rubric.ts';

describe('a rubric', () => {
  it('asks about the pair first and puts the question last, so that the pair is read once', () => {
    const [first, second] = RUBRIC_QUESTIONS.map((question) => rubricMessage('Why?', 'Because.', question));
    expect(first).toBe(
      'Question: Why?\nAnswer: Because.\n\nDoes the answer reply to this question? Reply with Yes or No.',
    );
    expect(second?.startsWith('Question: Why?\nAnswer: Because.\n\n')).toBe(true);
  });

  it('scores by the logistic function of the margins', () => {
    expect(yesMargin([-1, -3])).toBe(2);
    expect(rubricScore([0.3, 0.2], { constant: 0.5, weights: [2, -1] })).toBeCloseTo(0.710949502625, 12);
    expect(rubricScore([0], { constant: 0, weights: [1] })).toBe(0.5);
  });

  it('gives no score for the margins of other questions, or for figures that are none', () => {
    expect(rubricScore([1], { constant: 0, weights: [1, 1] })).toBeNull();
    expect(rubricScore([Number.NaN], { constant: 0, weights: [1] })).toBeNull();
    expect(rubricScore([Number.NEGATIVE_INFINITY], { constant: 0, weights: [1] })).toBeNull();
  });
});
