import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RunningNetwork, startNetwork } from '../../scripts/testing/running-network.ts';
import type { Receipt } from '../../shared/receipt/receipt.ts';
import { checkReveal } from '../../shared/receipt/statements.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import { parsePayload, type Signed } from '../../shared/signing/signed-statement.ts';

let network: RunningNetwork;
beforeAll(async () => {
  network = await startNetwork();
  await network.lend(1, { flashAttention: true });
  await network.lend(1, { checkOnly: true });
});
afterAll(() => network?.stop());

async function ask(prompt: string, temperature: number): Promise<{ readonly sure: string; readonly receipt: Receipt }> {
  const response = await fetch(`${network.router.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'shoal-pup-3m',
      messages: [{ role: 'user', content: prompt }],
      temperature,
      seed: 7, // An honest answer can look false, as rarely as docs/checking.md says: these do not.
      max_tokens: 40,
      shoal: { level: 'cross', await_verdict: true },
    }),
  });
  const answer = (await response.json()) as { shoal: { receipt: string; sure: string } };
  const signed = (await (await fetch(`${network.router.url}/v1/receipts/${answer.shoal.receipt}`)).json()) as Signed;
  const { problems, receipt } = await verifyReceipt(signed, { routerKey: network.routerKey });
  expect(problems).toEqual([]);
  return { sure: answer.shoal.sure, receipt: receipt! };
}

const PROMPTS = ['Tell me about the sea.', 'Why is bread good?', 'A story about a robot, please.', 'What is the moon?'];

describe('two arithmetics of one model, in real tabs', () => {
  it.each([0, 0.8])('[K18] read each other’s answers at temperature %d', async (temperature) => {
    for (const prompt of PROMPTS) {
      const { sure, receipt } = await ask(prompt, temperature);
      expect(receipt.class).toMatch(/^cln_/);
      expect(receipt.verdict).toMatchObject({ value: 'valid', method: 'forced-decode', agree: 1, differ: 0 });
      expect(sure).toBe('likely');
      const opened = parsePayload('check-reveal', checkReveal, receipt.checks[0]!.reveal!);
      expect(opened).toMatchObject({ form: 'read', authentic: true, figures: { cut: false } });
    }
  });
});
