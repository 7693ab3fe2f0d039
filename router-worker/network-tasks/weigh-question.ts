import type { Source } from '../record/record.ts';
import { weighMarks } from '../record/weigh-marks.ts';
import type { Mark } from '../task/marks.ts';

/** Who stands how among the tabs of the class. */
export interface Trust {
  readonly isTrusted: (mark: Mark) => boolean;
  /** Whether anybody who serves the class is. */
  readonly hasTrusted: boolean;
}

/** What a question of the network came to. */
export interface QuestionWeighed {
  /** As they go on record. */
  readonly marks: readonly Mark[];
  /** `network` when they are proof enough to qualify by. */
  readonly source: Source;
  /** Whether the record of the tab that answered was brought on. */
  readonly isDecided: boolean;
  /** Whether a trusted tab confirmed the answer, so that it may be remembered. */
  readonly isConfirmed: boolean;
}

/** Words on a tab's answer that bring its record on. */
const DECIDED: readonly Mark['outcome'][] = ['agreed', 'refuted'];

/** A checker's words that speak for an answer. */
const FOR_THE_ANSWER: readonly Mark['outcome'][] = ['agreed', 'passed'];

/** Weighs what a question showed: by a known answer (`known`, null without one), else by the round's own marks. */
export function weighQuestion(known: readonly Mark[] | null, round: readonly Mark[], trust: Trust): QuestionWeighed {
  const marks = known ?? weighMarks(round, trust.isTrusted);
  const isConfirmed = marks.some(
    (mark) => mark.role === 'check' && FOR_THE_ANSWER.includes(mark.outcome) && trust.isTrusted(mark),
  );
  // A tab's word on another's answer proves it only when that tab has something to lose, or when nobody is there who has.
  const isProven = known !== null || !trust.hasTrusted || isConfirmed;
  const isDecided = isProven && marks.some(({ role, outcome }) => role === 'answer' && DECIDED.includes(outcome));
  return { marks, source: isProven ? 'network' : 'user', isDecided, isConfirmed };
}
