import { describe, expect, it } from 'vitest';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import { TestNetwork } from '../testing/network.ts';

/** Receipts that the router itself signs, with its own key, over a lie: what a verifier finds without trusting the router's verdict. */
describe('[R3] a receipt by the true router key', () => {
  it.each<[string, (truth: Record<string, unknown>) => Record<string, unknown>]>([
    [
      'with another verdict',
      (truth) => ({ ...truth, verdict: { value: 'invalid', method: 'exact-re-execution', falseBlock: 0, cosine: 1 } }),
    ],
    [
      'that calls a completed check unchecked',
      (truth) => ({ ...truth, verdict: { value: 'unchecked', reason: 'nobody_fit' } }),
    ],
    ['whose check was dropped', (truth) => ({ ...truth, checks: [] })],
    ['that hides a reader', (truth) => ({ ...truth, readers: (truth.readers as unknown[]).slice(0, 1) })],
    ['for another task', (truth) => ({ ...truth, task: 'B'.repeat(46) })],
    ['with other sampling', (truth) => ({ ...truth, sampling: { ...(truth.sampling as object), temperature: 0 } })],
    ['with another class', (truth) => ({ ...truth, class: `cls_${'B'.repeat(22)}` })],
    ['without the answer’s lease', (truth) => ({ ...truth, lease: null })],
    [
      'whose check is the answer’s own tab',
      (truth) => ({
        ...truth,
        readers: (truth.readers as { role: string; key: string }[]).map((reader) => ({
          ...reader,
          role: reader.role === 'check' ? 'answer' : reader.role,
        })),
      }),
    ],
    ['of no shape', () => ({ v: 2 })],
  ])('%s is refused', async (_, lie) => {
    const network = await TestNetwork.create();
    await network.addTab();
    await network.addTab();
    const answer = await network.ask('hello');
    const truth = JSON.parse(answer.verdict?.receipt?.payload ?? '{}') as Record<string, unknown>;
    const routerKey = network.keys.signer.publicKey;
    const again = await network.keys.signer.sign('receipt', JSON.stringify(truth));
    expect((await verifyReceipt(again, { routerKey })).valid).toBe(true);
    const forged = await network.keys.signer.sign('receipt', JSON.stringify(lie(truth)));
    const { valid, problems } = await verifyReceipt(forged, { routerKey });
    expect({ valid, said: problems.length }).toEqual({ valid: false, said: 1 });
  });
});
