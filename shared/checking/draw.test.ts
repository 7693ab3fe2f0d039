import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { toBase64Url } from '../bytes.ts';
import { type DrawCandidate, drawCommitment, drawOrder } from './draw.ts';

const text = (byte: number, length = 32) => toBase64Url(new Uint8Array(length).fill(byte));
const draw = { secret: text(1), commitSignature: text(2, 64), nonce: text(3, 16) };
const candidates: DrawCandidate[] = Array.from({ length: 9 }, (_, i) => ({ tab: text(i + 10), independence: 'key' }));
const names = async (part: Partial<typeof draw>, among: readonly DrawCandidate[] = candidates) =>
  (await drawOrder({ ...draw, ...part }, among)).map(({ tab }) => tab);

describe('the draw of checkers', () => {
  it('keeps its form: whoever has secret, commit and nonce draws the same', async () => {
    expect(await drawCommitment(draw.secret)).toBe('BxlZIZlmdGLDM0H2Oh35yebVy8DkLV_vF0t7UPeEI4M');
    expect((await names({})).map((name) => candidates.findIndex(({ tab }) => tab === name))).toEqual([
      8, 5, 0, 4, 7, 3, 2, 6, 1,
    ]);
  });

  it('[K13] changes with each of its three parts, and does not depend on how the candidates are listed', async () => {
    const before = await names({});
    expect(await names({}, [...candidates].reverse())).toEqual(before);
    for (const part of [{ secret: text(9) }, { commitSignature: text(9, 64) }, { nonce: text(9, 16) }]) {
      expect(await names(part)).not.toEqual(before);
    }
  });

  it('names the most independent first', async () => {
    const mixed: DrawCandidate[] = [
      { tab: text(1), independence: 'key' },
      { tab: text(2), independence: 'network' },
      { tab: text(3), independence: 'owner' },
      { tab: text(4), independence: 'network' },
    ];
    const order = await drawOrder(draw, mixed);
    expect(order.map(({ independence }) => independence)).toEqual(['network', 'network', 'owner', 'key']);
  });

  it('leaves the order of the others as it was when one goes', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: candidates.length - 1 }),
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
        async (gone, nonce) => {
          const all = await names({ nonce: toBase64Url(nonce) });
          const without = await names(
            { nonce: toBase64Url(nonce) },
            candidates.filter((_, i) => i !== gone),
          );
          expect(without).toEqual(all.filter((name) => name !== candidates[gone]?.tab));
        },
      ),
    );
  });

  it('gives each the same chance: 900 draws among nine', async () => {
    const firsts = new Map<string, number>();
    for (let i = 0; i < 900; i++) {
      const nonce = new Uint8Array(16);
      new DataView(nonce.buffer).setUint32(0, i);
      const [first = ''] = await names({ nonce: toBase64Url(nonce) });
      firsts.set(first, (firsts.get(first) ?? 0) + 1);
    }
    // χ² with 8 degrees of freedom stays below 26.1 with probability 0.999; these draws are fixed.
    const chi = [...firsts.values()].reduce((sum, count) => sum + (count - 100) ** 2 / 100, 0);
    expect(firsts.size).toBe(9);
    expect(chi).toBeLessThan(26.1);
  });
});
