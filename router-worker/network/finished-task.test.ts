import { expect, it } from 'vitest';
import { utf8 } from '../../shared/bytes.ts';
import { receipt as receiptSchema } from '../../shared/receipt/receipt.ts';
import { type AnswerCommit, answerCommit } from '../../shared/receipt/statements.ts';
import { parsePayload, type Signed } from '../../shared/signing/signed-statement.ts';
import { TestNetwork } from '../testing/network.ts';
import { finishedTaskOf } from './finished-task.ts';

/** The receipt of an answer whose tab claims something else. */
function claiming(statement: Signed, claim: Partial<AnswerCommit>): Signed {
  const receipt = parsePayload('receipt', receiptSchema, statement);
  const commit = { ...parsePayload('commit', answerCommit, receipt.commit!), ...claim };
  const altered = { ...receipt, commit: { ...receipt.commit!, payload: JSON.stringify(commit) } };
  return { ...statement, payload: JSON.stringify(altered) };
}

it('[V1] believes no tab that it wrote more tokens than the answer has bytes, or sent more than its frames could hold', async () => {
  const network = await TestNetwork.create();
  await network.addTab();
  const { text, verdict } = await network.ask('hello', { level: 'none' });
  const honest = await finishedTaskOf(verdict!.receipt!);
  const most = 1_000_000_000;
  const traffic = { frames: 1, bytes: most };
  const liar = await finishedTaskOf(
    claiming(verdict!.receipt!, {
      tokens: { prompt: 1, completion: most },
      sent: { relay: traffic, direct: traffic },
    }),
  );
  const written = utf8(text).byteLength;
  const bytes = written + 256 * (written + 2);
  expect(liar).toEqual({
    ...honest,
    entry: expect.any(String),
    tokens: written + 1,
    relayBytes: bytes,
    directBytes: bytes,
  });
  expect(honest.tokens).toBeLessThan(written);
  expect(honest.relayBytes).toBeLessThan(bytes);
});
