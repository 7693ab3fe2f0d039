import type { FinishReason } from '../../shared/checking/digest-chain.ts';
import { SIGN_LIMITS } from '../../shared/checking/limits-of-checking.ts';
import { type SemanticSign, semanticSigns } from '../../shared/checking/semantic-signs.ts';
import { receipt as receiptSchema } from '../../shared/receipt/receipt.ts';
import type { TaskUpdate } from '../../shared/sealed-task/sealed-task.ts';
import { parsePayload } from '../../shared/signing/signed-statement.ts';
import type { Suspicion } from '../pool/tab-records.ts';
import { blindCheckers } from './blind-checkers.ts';

/** Signs that count against a tab. The others are too often the model's own, or the prompt's: see docs/checking.md. */
const COUNTING: Readonly<Partial<Record<SemanticSign, Suspicion>>> = {
  empty: 'empty',
  looping: 'looping',
  'other-script': 'wrong_language',
};

/**
 * Reads an answer while it passes: plain HTTP alone, where the router sees it anyway. What looks wrong makes the next answers of the tab be checked, and is
 * no verdict on this one. So it is with a checker that says that the answer fits, and did not guess it. The text is forgotten with the invocation.
 */
export async function* lookAtAnswer(
  updates: AsyncGenerator<TaskUpdate, void, undefined>,
  prompt: string,
  suspect: (tab: string, classId: string, reason: Suspicion) => void,
): AsyncGenerator<TaskUpdate, void, undefined> {
  const parts: string[] = [];
  let finish: FinishReason = 'stop';
  let by: { readonly tab: string; readonly class: string } | null = null;
  for await (const update of updates) {
    if (update.type === 'leased') by = update.lease;
    else if (update.type === 'text') parts.push(update.text);
    else if (update.type === 'answered') finish = update.finish;
    else if (update.type === 'committed' && by !== null) {
      const reason = reasonIn(prompt, parts.join(''), finish);
      if (reason !== null) suspect(by.tab, by.class, reason);
    } else if (update.type === 'ended' && update.receipt !== null) {
      const receipt = parsePayload('receipt', receiptSchema, update.receipt);
      for (const blind of await blindCheckers(receipt, parts.join('')))
        suspect(blind.tab, blind.class, 'blind_guesses');
    }
    yield update;
  }
}

function reasonIn(prompt: string, answer: string, finish: FinishReason): Suspicion | null {
  const found = semanticSigns({ prompt, answer, finish, relatedness: null }, SIGN_LIMITS);
  for (const { sign } of found) {
    const reason = COUNTING[sign];
    if (reason !== undefined) return reason;
  }
  return null;
}
