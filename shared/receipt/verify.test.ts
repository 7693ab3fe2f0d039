import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { toBase64Url } from '../bytes.ts';
import { generateSigningKeys, type Signed, signerOf } from '../signing/signed-statement.ts';
import type { PriceLines } from './price-lines.ts';
import { verifyReceipt } from './verify.ts';

/** A receipt of this protocol version, made once by real tabs. It must stay verifiable: old receipts are evidence. */
const goldenFile = (name: string) =>
  JSON.parse(readFileSync(new URL(`./${name}`, import.meta.url), 'utf8')) as { routerKey: string; receipt: Signed };
const golden = goldenFile('golden-receipt.json');
const { routerKey } = golden;

describe('a receipt', () => {
  it('[R2] verifies offline, with the router’s key alone', async () => {
    const { valid, problems, receipt } = await verifyReceipt(golden.receipt, { routerKey });
    expect(problems).toEqual([]);
    expect(valid).toBe(true);
    expect(receipt).toMatchObject({
      v: 3,
      outcome: { value: 'answered' },
      verdict: { value: 'valid', method: 'exact-re-execution', agree: 1, differ: 1 },
      draw: { drawn: 2 },
      price: { held: 1_000_000, perToken: 5, percent: { level: 200, sla: 100 }, discarded: false },
    });
    const { held, charged, returned, tokens } = receipt!.price!;
    expect([charged, returned]).toEqual([(tokens.prompt + tokens.completion) * 5 * 2, held - charged]);
  });

  it('[R2] of a router that told no price is still good', async () => {
    const older = goldenFile('golden-receipt-unpriced.json');
    const { problems, receipt } = await verifyReceipt(older.receipt, { routerKey: older.routerKey });
    expect([problems, receipt?.price]).toEqual([[], undefined]);
  });

  it('[R1] with one bit changed, anywhere in payload, key or signature, is refused', async () => {
    const { receipt } = golden;
    for (const field of ['payload', 'key', 'signature'] as const) {
      const step = field === 'payload' ? 97 : 5;
      for (let at = 0; at < receipt[field].length; at += step) {
        const flipped = String.fromCharCode(receipt[field].charCodeAt(at) ^ 1);
        const forged = { ...receipt, [field]: receipt[field].slice(0, at) + flipped + receipt[field].slice(at + 1) };
        expect((await verifyReceipt(forged, { routerKey })).valid, `${field}[${at}]`).toBe(false);
      }
    }
  });

  it('is refused under another router key', async () => {
    expect(await verifyReceipt(golden.receipt, { routerKey: toBase64Url(new Uint8Array(32).fill(1)) })).toMatchObject({
      valid: false,
      problems: [expect.stringContaining('another key')],
    });
  });

  it.each([null, 1, 'text', [], {}, { payload: 1 }, { ...golden.receipt, extra: 1 }])(
    'is no receipt when it is %j',
    async (nonsense) => {
      expect((await verifyReceipt(nonsense, { routerKey })).valid).toBe(false);
    },
  );

  it('[R3] signed by a lying router, with a verdict that the tabs’ statements do not support, is refused', async () => {
    const { pair, publicKey } = await generateSigningKeys();
    const liar = signerOf(pair.privateKey, publicKey);
    const truth = JSON.parse(golden.receipt.payload) as { readonly price: PriceLines };
    const lies: Record<string, unknown>[] = [
      { verdict: { value: 'invalid', method: 'exact-re-execution', falseBlock: 0, cosine: 1 } },
      { verdict: { value: 'valid', method: 'exact-re-execution', blocks: 999, cosine: 1 } },
      { verdict: { value: 'unchecked', reason: 'nobody_fit' } },
      { checks: [] },
      { draw: null },
      { readers: [] },
      { task: 'B'.repeat(46) },
      { class: `cls_${'B'.repeat(22)}` },
      { private: true },
      { price: { ...truth.price, charged: truth.price.charged + 1, returned: truth.price.returned - 1 } },
      { price: { ...truth.price, tokens: { prompt: 1, completion: 1 } } },
      { price: { ...truth.price, percent: { level: 300, sla: 100 } } },
      { price: { ...truth.price, discarded: true } },
      { price: { ...truth.price, most: { prompt: 1, total: 2 } } },
    ];
    for (const lie of lies) {
      const forged = await liar.sign('receipt', JSON.stringify({ ...truth, ...lie }));
      // The liar's own key is given as trusted: what gives it away are the statements of the tabs, and leases that it did not sign.
      const { valid } = await verifyReceipt(forged, { routerKey: publicKey });
      expect(valid, JSON.stringify(lie)).toBe(false);
    }
  });
});
