import type { Source } from '../../router-worker/record/record.ts';
import { weighMarks } from '../../router-worker/record/weigh-marks.ts';
import { type Mark, marksOf } from '../../router-worker/task/marks.ts';
import type { EndedTask } from '../../router-worker/task/task.ts';
import type { Money } from './money.ts';
import type { NetworkQuestions } from './network-questions.ts';
import { TRUTH } from './played-task.ts';
import type { Population } from './population.ts';
import type { Case, Participant } from './sim-tab.ts';
import type { Standings } from './standings.ts';
import type { TrustFigures } from './trust-figures.ts';

export interface SettlingParts {
  readonly population: Population;
  readonly standings: Standings;
  readonly questions: NetworkQuestions;
  readonly money: Money;
  readonly figures: TrustFigures;
}

/** What follows from the end of a task: pay by the verdict, records by what its marks weigh. */
export function settleCase(of: Case, ended: EndedTask, at: number, parts: SettlingParts): void {
  const marks = of.question === null ? marksOf(ended) : parts.questions.marks(of.question, ended, of.participants);
  if (of.question === null) count(of, ended, at, parts.figures);
  pay(of, marks, at, parts.money);
  const { weighed, source } = weigh(of, marks, ended, at, parts);
  for (const mark of weighed) {
    const seat = participantOf(of, mark.tab);
    if (seat === undefined) continue;
    seat.identity.checkedSinceCaught++;
    parts.standings.observe(seat, mark, { at, source, byKnownAnswer: of.question?.known != null });
  }
}

function weigh(
  of: Case,
  marks: readonly Mark[],
  ended: EndedTask,
  at: number,
  { population, questions }: SettlingParts,
): { readonly weighed: readonly Mark[]; readonly source: Source } {
  const isTrusted = ({ tab }: Mark) => participantOf(of, tab)?.identity.standing === 'trusted';
  if (of.question === null) return { weighed: weighMarks(marks, isTrusted), source: 'user' };
  const [answer] = of.participants;
  const written = answer?.written ?? TRUTH;
  const { marks: weighed, source } = questions.weigh(
    of.question,
    marks,
    ended,
    { tab: answer?.identity.record.tab ?? '', written, tookMs: at - of.begunAt },
    { isTrusted, hasTrusted: population.trusted > 0 },
  );
  return { weighed, source };
}

function participantOf(of: Case, tab: string): Participant | undefined {
  return of.participants.find(({ identity }) => identity.record.tab === tab);
}

/** Whoever was outvoted is not paid, nor a check that was not delivered; all others are. */
function pay(of: Case, marks: readonly Mark[], at: number, money: Money): void {
  for (const one of of.participants) {
    if (one.written === null) continue;
    const isAnswer = one.role === 'answer';
    const tokens = isAnswer ? of.paidTokens : of.prompt.tokens;
    const outcome = marks.find(({ tab }) => tab === one.identity.record.tab)?.outcome;
    if (outcome === 'refuted') {
      money.refuse(one, tokens);
      if (one.written === TRUTH) one.tab.outcome.falseRejects++;
    } else if (!isAnswer || of.question === null || of.question.isPaid) money.pay(one, tokens, isAnswer ? at : null);
  }
}

function count({ prompt, participants }: Case, { verdict }: EndedTask, at: number, figures: TrustFigures): void {
  const [answer] = participants;
  if (answer === undefined) return;
  if (verdict.value === 'disputed') figures.disputed++;
  const isLookedFor =
    verdict.value === 'unchecked' && verdict.reason !== 'not_asked' && verdict.reason !== 'not_sampled';
  if (isLookedFor) figures.unchecked++;
  if (answer.written === TRUTH) return;
  const { outcome } = answer.tab;
  if (verdict.value === 'valid') outcome.falseAccepts++;
  // A strict answer is shown only when it was found valid.
  if (prompt.level === 'strict' && verdict.value === 'valid') countBad(answer, 'strict', at, figures);
}

/** A user was given a false answer. */
export function countBad(
  { tab, identity }: Participant,
  level: Case['prompt']['level'],
  at: number,
  figures: TrustFigures,
): void {
  tab.outcome.bad[level]++;
  identity.badSinceCaught++;
  figures.hour(at).bad++;
}
