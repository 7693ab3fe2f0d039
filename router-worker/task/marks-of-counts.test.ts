import { describe, expect, it } from 'vitest';
import { ended, judged, terms } from '../testing/ended-task.ts';
import { marksOf } from './marks.ts';
import type { EndedTask } from './task.ts';

/** What is on record after an answer whose tab claims so many tokens of its prompt, and whose checks counted these. */
function outcomes(claimed: number, counted: readonly number[], found: readonly string[] = counted.map(() => 'same')) {
  const { task } = ended(
    { verdict: judged('valid', counted.length, 0), tokens: [claimed, 30], checks: found },
    terms('cross'),
  );
  const checks = task.checks.map((check, i) => ({ ...check, promptTokens: counted[i] }));
  return marksOf({ ...task, checks } as EndedTask).map(({ tab, outcome }) => `${tab}: ${outcome}`);
}

describe('a claim of tokens of the prompt', () => {
  it('[M5] is an agreement where whoever wrote the answer again counted as many', () => {
    expect(outcomes(20, [20, 20])).toEqual(['tab: agreed', 'checker 0: agreed', 'checker 1: agreed']);
  });

  it('[M5] [U3] is on record as any lie where most counted less, though every byte of the answer is right', () => {
    expect(outcomes(90, [20, 20])).toEqual(['tab: refuted', 'checker 0: agreed', 'checker 1: agreed']);
  });

  it('[M5] [K11] is a dispute where one says so and one otherwise: nobody knows which of them lies', () => {
    expect(outcomes(90, [20])).toEqual(['tab: disputed', 'checker 0: disputed']);
    expect(outcomes(90, [20, 30])).toEqual(['tab: disputed', 'checker 0: disputed', 'checker 1: disputed']);
  });

  it('[M5] stands where a checker alone counts otherwise', () => {
    expect(outcomes(20, [20, 5])).toEqual(['tab: agreed', 'checker 0: agreed', 'checker 1: refuted']);
    expect(outcomes(20, [5, 20, 20], ['other', 'same', 'same'])).toEqual([
      'tab: agreed',
      'checker 0: refuted',
      'checker 1: agreed',
      'checker 2: agreed',
    ]);
  });
});
