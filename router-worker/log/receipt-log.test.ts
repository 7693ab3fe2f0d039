import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Bytes, fromBase64Url, sha256, toBase64Url, utf8 } from '../../shared/bytes.ts';
import golden from '../../shared/receipt/golden-receipt.json' with { type: 'json' };
import { checkConsistency, checkInclusion, openLogHead } from '../../shared/receipt-log/check-log.ts';
import { entryOf, type LogHead } from '../../shared/receipt-log/log-api.ts';
import { leafHash, rootOf } from '../../shared/receipt-log/merkle-tree.ts';
import { generateSigningKeys, type Signed, type Signer, signerOf } from '../../shared/signing/signed-statement.ts';
import { MemoryLogStore } from '../testing/memory-log-store.ts';
import { LOG_STORE_EXAM } from './log-store-exam.ts';
import { ReceiptLog } from './receipt-log.ts';

async function aSigner(): Promise<Signer> {
  const { pair, publicKey } = await generateSigningKeys();
  return signerOf(pair.privateKey, publicKey);
}

const entry = (text: string): Promise<Bytes> => sha256(utf8(text));
const entriesOf = (count: number, word = 'entry') =>
  Promise.all(Array.from({ length: count }, (_, i) => entry(`${word} ${i}`)));

async function aLog(count: number, signer?: Signer) {
  const store = new MemoryLogStore();
  const by = signer ?? (await aSigner());
  const log = new ReceiptLog(store, by, () => 1_000);
  await log.append(await entriesOf(count));
  return { log, store, signer: by };
}

const open = async (log: ReceiptLog, signer: Signer): Promise<LogHead> =>
  openLogHead(await log.head(), signer.publicKey);

describe('the log store in memory', () => {
  it.each(LOG_STORE_EXAM)('$title', ({ run }) => run(new MemoryLogStore()));
});

describe('the log of receipts', () => {
  it('has a signed head whose root anyone can compute from its entries', async () => {
    for (const count of [0, 1, 2, 7, 8, 33]) {
      const { log, signer } = await aLog(count);
      const { entries } = log.entries(0, 1_000);
      const root = toBase64Url(await rootOf(entries.map(fromBase64Url)));
      expect(await open(log, signer)).toEqual({ v: 1, size: count, root, at: 1_000 });
    }
  });

  it('proves of every receipt that it is in it, and of none that is not', async () => {
    const { log, signer } = await aLog(20);
    const receipt = golden.receipt as Signed;
    const digest = await entryOf(receipt);
    await expect(log.inclusion(toBase64Url(digest))).rejects.toMatchObject({ code: 'receipt_pending' });
    await log.append([digest]);
    await log.append(await entriesOf(5, 'later'));
    const proof = await log.inclusion(toBase64Url(digest));
    expect(await checkInclusion(receipt, proof, signer.publicKey)).toMatchObject({ index: 20, head: { size: 26 } });
    const other = { ...receipt, payload: receipt.payload.replace('answered', 'answerec') };
    for (const [what, claim] of [
      [other, proof],
      [receipt, { ...proof, index: 19 }],
      [receipt, { ...proof, path: proof.path.slice(1) }],
      [receipt, { ...proof, path: proof.path.map(() => '-'.repeat(43)) }],
    ] as const) {
      await expect(checkInclusion(what, claim, signer.publicKey)).rejects.toMatchObject({ code: 'integrity_failed' });
    }
    await expect(checkInclusion(receipt, proof, (await aSigner()).publicKey)).rejects.toThrow('another key');
  });

  it('appends an entry once, however often and however much at a time it comes', async () => {
    const { log } = await aLog(0);
    const all = await entriesOf(30);
    await Promise.all([log.append(all.slice(0, 20)), log.append(all.slice(10, 30)), log.append(all.slice(5, 8))]);
    await log.append([...all, ...all]);
    expect(log.entries(0, 100)).toEqual({ from: 0, size: 30, entries: all.map(toBase64Url) });
  });

  it('goes on after an append that failed', async () => {
    class FullStore extends MemoryLogStore {
      isFull = true;
      override append(...args: Parameters<MemoryLogStore['append']>): void {
        if (this.isFull) throw new Error('no room');
        super.append(...args);
      }
    }
    const store = new FullStore();
    const log = new ReceiptLog(store, await aSigner(), () => 1_000);
    await expect(log.append(await entriesOf(3))).rejects.toThrow('no room');
    store.isFull = false;
    await log.append(await entriesOf(3));
    expect(log.entries(0, 10).size).toBe(3);
  });

  it('proves between any two of its heads that it only grew', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 0, max: 9 }), { maxLength: 8 }), async (batches) => {
        const { log, signer } = await aLog(0);
        const heads = [await open(log, signer)];
        for (const [i, count] of batches.entries()) {
          await log.append(await entriesOf(count, `batch ${i}`));
          heads.push(await open(log, signer));
        }
        for (const [i, earlier] of heads.entries()) {
          for (const later of heads.slice(i)) {
            await checkConsistency(earlier, later, await log.consistency(earlier.size, later.size));
          }
        }
      }),
      { numRuns: 25, seed: 7 },
    );
  });

  it('[G2] that was rewritten at one old entry is found by whoever kept a head, whatever proof it gives', async () => {
    const signer = await aSigner();
    const honest = await aLog(12, signer);
    const kept = await open(honest.log, signer);
    for (let at = 0; at < 12; at++) {
      const store = new MemoryLogStore();
      const rewritten = new ReceiptLog(store, signer, () => 2_000);
      const entries = await entriesOf(12);
      await rewritten.append(entries.with(at, await entry('another answer')));
      await rewritten.append(await entriesOf(9, 'later'));
      const now = await open(rewritten, signer);
      await honest.log.append(await entriesOf(9, 'later'));
      for (const proof of [
        await rewritten.consistency(kept.size, now.size),
        await honest.log.consistency(kept.size, now.size),
      ]) {
        await expect(checkConsistency(kept, now, proof)).rejects.toThrow('The log was rewritten');
      }
    }
  });

  it('that became shorter, or shows another root for the same size, is found too', async () => {
    const signer = await aSigner();
    const kept = await open((await aLog(12, signer)).log, signer);
    const shorter = await open((await aLog(11, signer)).log, signer);
    const proof = { from: 12, to: 11, path: [] };
    await expect(checkConsistency(kept, shorter, proof)).rejects.toThrow('The log was rewritten');
    const fork = { ...kept, root: toBase64Url(await leafHash(utf8('fork'))) };
    await expect(checkConsistency(kept, fork, { ...proof, to: 12 })).rejects.toThrow('The log was rewritten');
  });

  it('refuses sizes that it never had', async () => {
    const { log } = await aLog(5);
    for (const [from, to] of [
      [6, null],
      [0, 6],
      [4, 3],
    ] as const) {
      await expect(log.consistency(from, to)).rejects.toMatchObject({ code: 'invalid_value' });
    }
    expect(await log.consistency(0, null)).toEqual({ from: 0, to: 5, path: [] });
  });

  it('reads a number of nodes that grows with the logarithm of its size', async () => {
    const { log, store } = await aLog(1_500);
    const height = Math.ceil(Math.log2(1_500));
    const [last] = (await entriesOf(1_500)).slice(-1);
    for (const act of [
      () => log.head(),
      () => log.inclusion(toBase64Url(last!)),
      () => log.consistency(1_000, 1_500),
      async () => log.append([await entry('one more')]),
    ]) {
      store.reads = 0;
      await act();
      expect(store.reads).toBeLessThanOrEqual(4 * height);
    }
  });
});
