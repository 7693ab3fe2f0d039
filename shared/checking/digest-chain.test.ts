import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { utf8 } from '../bytes.ts';
import { CHAIN_BLOCK_BYTES } from '../limits.ts';
import { chainOf, DigestChain, firstFalseBlock } from './digest-chain.ts';

const salt = new Uint8Array(16).fill(7);

describe('digest chain', () => {
  it('[C1] is the same however the answer was cut into pieces', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: 'grapheme', maxLength: 400 }),
        fc.infiniteStream(fc.integer({ min: 1, max: 90 })),
        async (answer, sizes) => {
          const bytes = utf8(answer);
          const chain = await DigestChain.start(salt);
          for (let at = 0; at < bytes.byteLength; ) {
            const size = sizes.next().value;
            await chain.append(bytes.subarray(at, at + size));
            at += size;
          }
          expect(await chain.finish('stop')).toEqual(await chainOf(salt, answer, 'stop'));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('[C2] names the block of the first byte that differs', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ minLength: 1, maxLength: 700 }),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        async (bytes, where, change) => {
          const at = where % bytes.length;
          const altered = bytes.slice();
          altered[at] = (altered[at] ?? 0) ^ change;
          const chainFor = async (content: Uint8Array) => {
            const chain = await DigestChain.start(salt);
            await chain.append(content);
            return chain.finish('stop');
          };
          const expected = Math.min(Math.floor(at / CHAIN_BLOCK_BYTES), Math.floor(bytes.length / CHAIN_BLOCK_BYTES));
          expect(firstFalseBlock(await chainFor(bytes), await chainFor(altered))).toBe(expected);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('[C3] sees a cut answer, a longer one, and another reason to stop', async () => {
    const whole = await chainOf(salt, 'x'.repeat(100), 'stop');
    expect(firstFalseBlock(whole, await chainOf(salt, 'x'.repeat(99), 'stop'))).toBe(1);
    expect(firstFalseBlock(whole, await chainOf(salt, 'x'.repeat(200), 'stop'))).toBe(1);
    expect(firstFalseBlock(whole, await chainOf(salt, 'x'.repeat(100), 'length'))).toBe(1);
    expect(firstFalseBlock(whole, await chainOf(salt, 'x'.repeat(100), 'stop'))).toBeNull();
  });

  it('[C2] sees blocks too many, blocks too few and a false length beside a true head', async () => {
    const whole = await chainOf(salt, 'x'.repeat(200), 'stop');
    const lies = [
      { ...whole, blocks: [...whole.blocks, 'A'.repeat(22)] },
      { ...whole, blocks: whole.blocks.slice(0, -1) },
      { ...whole, blocks: [] },
      { ...whole, bytes: whole.bytes + 1 },
    ];
    for (const lie of lies) {
      expect(firstFalseBlock(lie, whole)).not.toBeNull();
      expect(firstFalseBlock(whole, lie)).not.toBeNull();
    }
  });

  it('[C4] depends on the salt in every block, so that a short answer cannot be guessed', async () => {
    const other = new Uint8Array(16).fill(8);
    const a = await chainOf(salt, 'y'.repeat(130), 'stop');
    const b = await chainOf(other, 'y'.repeat(130), 'stop');
    expect(a.blocks.some((block) => b.blocks.includes(block))).toBe(false);
    expect(a.head).not.toBe(b.head);
  });

  it('[C5] keeps its form: receipts of earlier releases must stay checkable', async () => {
    expect(
      await chainOf(salt, 'The quick brown fox jumps over the lazy dog, and the shoal of tabs writes it down.', 'stop'),
    ).toEqual(GOLDEN);
  });
});

const GOLDEN = {
  blocks: ['lURQACWtuXHo5VWA1rfi2A'],
  head: 'fxRiBqiVEsayPdDd7fvPrshIt-d_svDCszfw3GUbAU8',
  bytes: 82,
};
