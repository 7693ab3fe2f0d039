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
  const otherwise = known.isDoubtful === true ? 'disputed' : 'refuted';
  const outcomeOf = (chain: typeof truth) =>
    exactFinding(truth, chain, null).falseBlock === null ? 'agreed' : otherwise;
  return [
    { tab: answered, class: id, role: 'answer', outcome: outcomeOf(commit.chain) },
    ...receipt.checks
      .filter(({ method }) => method === 'exact-re-execution')
      .map((check): Mark => {
        const opened = check.reveal === null ? null : parsePayload('check-reveal', checkReveal, check.reveal);
        const outcome = opened?.form === 'written' ? outcomeOf(opened.chain) : 'missed';
        return { tab: check.checker, class: id, role: 'check', outcome };
      }),
  ];
}
