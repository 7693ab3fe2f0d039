import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Bytes, fromUtf8, utf8 } from '../bytes.ts';
import { type FrameContent, FrameOpener, FrameOrder, FrameSealer, peekFrame, saysSomething } from './frames.ts';
import type { SecretExporter } from './hpke.ts';

const exporter: SecretExporter = {
  exportSecret: async (label, length) => utf8(label.repeat(9)).slice(0, length),
};

const text = (payload: string): FrameContent => ({
  kind: 'text',
  tokens: 1,
  blocks: 0,
  chain: new Uint8Array(16),
  payload: utf8(payload),
});
const end: FrameContent = { ...text('{}'), kind: 'end', tokens: 0 };

async function stream(parts: readonly string[], pad = false): Promise<Bytes[]> {
  const sealer = new FrameSealer(exporter, 'answer', { pad });
  const frames = [];
  for (const part of parts) frames.push(await sealer.seal(text(part), false));
  frames.push(await sealer.seal(end, true));
  return frames;
}

async function readAll(frames: readonly Bytes[]): Promise<string> {
  const opener = new FrameOpener(exporter, 'answer');
  let whole = '';
  for (const frame of frames) {
    const { content, final } = await opener.open(frame);
    if (!final) whole += fromUtf8(content.payload);
  }
  if (!opener.finished) throw new Error('no final frame');
  return whole;
}

describe('sealed frames', () => {
  it('carry any text in order, padded or not', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 80 }), { maxLength: 8 }),
        fc.boolean(),
        async (parts, pad) => {
          expect(await readAll(await stream(parts, pad))).toBe(parts.join(''));
        },
      ),
      { numRuns: 40 },
    );
  });

  it('[S3] one that says nothing is refused before the end, and a relay can tell it where nothing is padded', async () => {
    const [empty, last] = (await stream([''])) as [Bytes, Bytes];
    const [some] = (await stream(['a'])) as [Bytes];
    expect([empty, some, last].map(saysSomething)).toEqual([false, true, true]);
    await expect(readAll([empty, last])).rejects.toMatchObject({ code: 'integrity_failed' });
  });

  it('[S3] one flipped bit anywhere is refused', async () => {
    const frames = await stream(['tide', 'pool']);
    for (const [index, frame] of frames.entries()) {
      for (let at = 0; at < frame.length; at += 3) {
        const copies = frames.map((f) => f.slice());
        const target = copies[index]!;
        target[at] = (target[at] ?? 0) ^ 1;
        await expect(readAll(copies), `frame ${index}, byte ${at}`).rejects.toThrow();
      }
      expect(frame.length).toBeGreaterThan(20);
    }
  });

  it('[S3] order, omission, repetition, a cut end and a frame after the end are refused', async () => {
    const [a, b, c, last] = (await stream(['one', 'two', 'three'])) as [Bytes, Bytes, Bytes, Bytes];
    const [foreign] = (await stream(['four'])) as [Bytes];
    for (const frames of [
      [b, a, c, last],
      [a, c, last],
      [a, b, b, c, last],
      [a, b, c],
      [a, b, c, last, last],
      [foreign, b, c, last],
      [],
    ]) {
      await expect(readAll(frames)).rejects.toThrow();
    }
  });

  it('[S3] a frame of one direction does not open in the other', async () => {
    const [frame] = await stream(['one']);
    await expect(new FrameOpener(exporter, 'evidence').open(frame!)).rejects.toMatchObject({
      code: 'integrity_failed',
    });
  });

  it('[S3] the same text sealed twice under one envelope shares no key: the response nonce differs', async () => {
    const [first] = await stream(['one']);
    const [again] = await stream(['one']);
    expect(first).not.toEqual(again);
  });

  it('[S4] padded frames of short texts have one size', async () => {
    const sizes = (await stream(['a', 'bb', 'ccc', 'dddd'], true)).slice(1, -1).map((frame) => frame.byteLength);
    expect(new Set(sizes).size).toBe(1);
  });
});

describe('frame order', () => {
  it('gives each number once and in order, whatever the two paths do', async () => {
    const frames = await stream(Array.from({ length: 12 }, (_, i) => `t${i}`));
    fc.assert(
      fc.property(fc.shuffledSubarray([...frames, ...frames], { minLength: 26, maxLength: 26 }), (arrivals) => {
        const order = new FrameOrder();
        const out = arrivals.flatMap((frame) => order.push(frame));
        expect(out.map((frame) => peekFrame(frame).sequence)).toEqual([...frames.keys()]);
      }),
    );
  });

  it('refuses a frame of the far future', async () => {
    const [frame] = await stream(['x']);
    const far = frame!.slice();
    new DataView(far.buffer).setUint32(0, 10_000);
    expect(() => new FrameOrder(512).push(far)).toThrow('too far ahead');
  });
});
