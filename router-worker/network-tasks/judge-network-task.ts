import { fromBase64Url } from '../../shared/bytes.ts';
import { chainOf } from '../../shared/checking/digest-chain.ts';
import { exactFinding } from '../../shared/checking/tally.ts';
import type { Receipt } from '../../shared/receipt/receipt.ts';
import { answerCommit, checkReveal } from '../../shared/receipt/statements.ts';
import { parsePayload } from '../../shared/signing/signed-statement.ts';
import type { Mark } from '../task/marks.ts';
import type { KnownAnswer } from './known-answers.ts';

/**
 * What a task with a known answer says of everyone who took part: each chain is held against the one of the known text, under the task's own salt. So
 * a pair that agrees on a lie is found although its verdict is `valid`. Checks that did not come to their end are `missed`.
 */
export async function judgeByKnownAnswer(
  receipt: Receipt,
  salt: string,
  known: Pick<KnownAnswer, 'text' | 'finish' | 'isDoubtful'>,
): Promise<Mark[]> {
  if (receipt.commit === null) return [];
  const truth = await chainOf(fromBase64Url(salt), known.text, known.finish);
  const commit = parsePayload('commit', answerCommit, receipt.commit);
  const answered = receipt.readers.find(({ role }) => role === 'answer')?.key;
  if (answered === undefined || commit.finish === 'cancelled') return [];
  const { class: id } = commit; // Exact checks run in the same one.
  const isTrue = (chain: typeof truth) => exactFinding(truth, chain, null).falseBlock === null;
  return marksByKnownAnswer(
    { tab: answered, class: id, isTrue: isTrue(commit.chain) },
    receipt.checks
      .filter(({ method }) => method === 'exact-re-execution')
      .map(({ checker, reveal }) => {
        const opened = reveal === null ? null : parsePayload('check-reveal', checkReveal, reveal);
        return { tab: checker, class: id, isTrue: opened?.form === 'written' ? isTrue(opened.chain) : null };
      }),
    known.isDoubtful === true,
  );
}

/** A tab, and whether it wrote what is known; null for a check that did not come to its end. */
export interface HeldAgainstKnown<T extends boolean | null = boolean | null> {
  readonly tab: string;
  readonly class: string;
  readonly isTrue: T;
}

/** Whoever wrote something else is refuted, or in dispute with a known answer that is `isDoubtful` itself. */
export function marksByKnownAnswer(
  answer: HeldAgainstKnown<boolean>,
  checks: readonly HeldAgainstKnown[],
  isDoubtful: boolean,
): Mark[] {
  const otherwise = isDoubtful ? 'disputed' : 'refuted';
  const outcomeOf = (isTrue: boolean | null) => (isTrue === null ? 'missed' : isTrue ? 'agreed' : otherwise);
  return [
    { tab: answer.tab, class: answer.class, role: 'answer', outcome: outcomeOf(answer.isTrue) },
    ...checks.map(
      (check): Mark => ({ tab: check.tab, class: check.class, role: 'check', outcome: outcomeOf(check.isTrue) }),
    ),
  ];
}
