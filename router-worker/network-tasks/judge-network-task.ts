import { fromBase64Url } from '../../shared/bytes.ts';
import type { FinishReason } from '../../shared/checking/digest-chain.ts';
import { chainOf } from '../../shared/checking/digest-chain.ts';
import { findingOf } from '../../shared/checking/tally.ts';
import type { Receipt } from '../../shared/receipt/receipt.ts';
import { answerCommit, checkReveal } from '../../shared/receipt/statements.ts';
import { parsePayload } from '../../shared/signing/signed-statement.ts';
import type { Mark } from '../task/marks.ts';

/**
 * What a task with a known answer says of everyone who took part: each chain is held against the one of the known text, under the task's own salt. So
 * a pair that agrees on a lie is found although its verdict is `valid`. Checks that did not come to their end are `missed`.
 */
export async function judgeByKnownAnswer(
  receipt: Receipt,
  salt: string,
  known: { readonly text: string; readonly finish: FinishReason },
): Promise<Mark[]> {
  if (receipt.commit === null) return [];
  const truth = await chainOf(fromBase64Url(salt), known.text, known.finish);
  const commit = parsePayload('commit', answerCommit, receipt.commit);
  const answered = receipt.readers.find(({ role }) => role === 'answer')?.key;
  if (answered === undefined || commit.finish === 'cancelled') return [];
  const outcomeOf = (chain: typeof truth) =>
    findingOf(truth, chain, null).falseBlock === null ? ('agreed' as const) : ('refuted' as const);
  return [
    { tab: answered, role: 'answer', outcome: outcomeOf(commit.chain) },
    ...receipt.checks.map((check): Mark => {
      const outcome =
        check.reveal === null ? 'missed' : outcomeOf(parsePayload('check-reveal', checkReveal, check.reveal).chain);
      return { tab: check.checker, role: 'check', outcome };
    }),
  ];
}
