import { describe, expect, it } from 'vitest';
import type { Mark } from '../task/marks.ts';
import { canBeProven } from './can-be-proven.ts';
import { marksByKnownAnswer } from './judge-network-task.ts';
import { QuestionPauses } from './question-pauses.ts';
import { weighQuestion } from './weigh-question.ts';

const answer = (outcome: Mark['outcome']): Mark => ({ tab: 'a', class: 'cls_1', role: 'answer', outcome });
const check = (tab: string, outcome: Mark['outcome']): Mark => ({ tab, class: 'cls_1', role: 'check', outcome });
const isTrusted = ({ tab }: { readonly tab: string }) => tab === 'known';

describe('a question of the network', () => {
  it('qualifies by a known answer', () => {
    const marks = [answer('agreed')];
    const trust = { isTrusted, hasTrusted: true };
    const weighed = { marks, source: 'network', isDecided: true, isConfirmed: false };
    expect(weighQuestion(marks, [], trust)).toEqual(weighed);
  });

  it('qualifies by the word of a trusted tab, and of any while nobody is trusted', () => {
    const [byStranger, byKnown] = [
      [answer('agreed'), check('b', 'agreed')],
      [answer('agreed'), check('known', 'agreed')],
    ];
    const weigh = (marks: Mark[], hasTrusted: boolean) => {
      const { source, isDecided, isConfirmed } = weighQuestion(null, marks, { isTrusted, hasTrusted });
      return { source, isDecided, isConfirmed };
    };
    expect(weigh(byKnown, true)).toEqual({ source: 'network', isDecided: true, isConfirmed: true });
    expect(weigh(byStranger, false)).toEqual({ source: 'network', isDecided: true, isConfirmed: false });
    expect(weigh(byStranger, true)).toEqual({ source: 'user', isDecided: false, isConfirmed: false });
  });

  it('[U2] refutes nobody by the word of strangers', () => {
    const marks = [answer('refuted'), check('b', 'agreed'), check('c', 'agreed')];
    expect(weighQuestion(null, marks, { isTrusted, hasTrusted: false })).toEqual({
      marks: [answer('disputed')],
      source: 'network',
      isDecided: false,
      isConfirmed: false,
    });
  });

  it('[U7] is new only where its answer can be proven', () => {
    expect(canBeProven({ serving: 0, trusted: 0, freeTrusted: 0 })).toBe(false);
    expect(canBeProven({ serving: 1, trusted: 0, freeTrusted: 0 })).toBe(true);
    expect(canBeProven({ serving: 500, trusted: 2, freeTrusted: 2 })).toBe(false);
    expect(canBeProven({ serving: 500, trusted: 9, freeTrusted: 3 })).toBe(true);
  });

  it('disputes what a doubtful answer contradicts, and refutes by a sure one', () => {
    const [first, others] = [
      { tab: 'a', class: 'cls_1', isTrue: false },
      [
        { tab: 'b', class: 'cls_1', isTrue: true },
        { tab: 'c', class: 'cls_1', isTrue: null },
      ],
    ];
    expect(marksByKnownAnswer(first, others, true)).toEqual([
      answer('disputed'),
      check('b', 'agreed'),
      check('c', 'missed'),
    ]);
    expect(marksByKnownAnswer(first, [], false)).toEqual([answer('refuted')]);
  });
});

describe('the pause after a question', () => {
  it('is twice as long as an answer took, and doubles to an hour while nothing is learnt', () => {
    let at = 0;
    const pauses = new QuestionPauses(() => at);
    expect(pauses.until('a')).toBe(0);
    pauses.learnt('a', 10_000);
    expect(pauses.until('a')).toBe(20_000);
    const waits = Array.from({ length: 8 }, () => {
      at = pauses.until('a');
      pauses.nothingLearnt('a');
      return (pauses.until('a') - at) / 60_000;
    });
    expect(waits).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
  });

  it('is forgotten when the tab has not been asked for an hour', () => {
    let at = 0;
    const pauses = new QuestionPauses(() => at);
    pauses.nothingLearnt('a');
    at = 3 * 60 * 60 * 1000;
    pauses.nothingLearnt('b');
    expect([pauses.until('a'), pauses.until('b')]).toEqual([0, at + 60_000]);
  });
});
