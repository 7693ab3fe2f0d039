import { describe, expect, it } from 'vitest';
import type { Mark } from '../task/marks.ts';
import { findingFor, weighMarks } from './weigh-marks.ts';

const answer = (outcome: Mark['outcome']): Mark => ({ tab: 'a', class: 'cls_1', role: 'answer', outcome });
const check = (tab: string, outcome: Mark['outcome']): Mark => ({ tab, class: 'cls_1', role: 'check', outcome });

describe('the weight of marks', () => {
  const isTrusted = ({ tab }: { readonly tab: string }) => tab === 'known';

  it('[U2] makes a dispute of what strangers say, and lets them pass nothing by it', () => {
    const marks = [answer('refuted'), check('b', 'agreed'), check('c', 'agreed'), check('d', 'missed')];
    expect(weighMarks(marks, isTrusted)).toEqual([answer('disputed'), check('d', 'missed')]);
  });

  it('leaves marks as they are where a trusted tab is in the majority', () => {
    const marks = [answer('refuted'), check('known', 'agreed'), check('c', 'agreed')];
    expect(weighMarks(marks, isTrusted)).toEqual(marks);
  });

  it('leaves marks as they are where nobody is refuted', () => {
    const marks = [answer('agreed'), check('b', 'agreed')];
    expect(weighMarks(marks, isTrusted)).toEqual(marks);
  });

  it('says by what a tab was refuted', () => {
    expect(findingFor(answer('refuted'), true)).toEqual({ outcome: 'refuted', reason: 'known_answer' });
    expect(findingFor(answer('refuted'), false)).toEqual({ outcome: 'refuted', reason: 'third_execution' });
    expect(findingFor(check('b', 'missed'), false)).toEqual({ outcome: 'missed', reason: 'checker_lost' });
    expect(findingFor(check('b', 'agreed'), false)).toEqual({ outcome: 'agreed' });
  });
});
