import { describe, expect, it } from 'vitest';
import { type Bytes, fromBase64Url, sha256, utf8 } from '../bytes.ts';
import { type AnswerChain, chainOf } from '../checking/digest-chain.ts';
import { MAX_ANSWER_BYTES } from '../limits.ts';
import type { SecretExporter } from '../sealing/hpke.ts';
import { AnswerOpener, type AnswerUpdate } from './answer-opener.ts';
import { scriptAnswer } from './testing/scripted-answer.ts';

const SALT = `${'S'.repeat(21)}A`;
const PARTS = ['a'.repeat(50), 'b'.repeat(50), 'c'.repeat(50)];
const exporter: SecretExporter = {
  exportSecret: async (label, length) => (await sha256(utf8(label))).slice(0, length) as Bytes,
};

async function opener(): Promise<{ answer: AnswerOpener; updates: AnswerUpdate[] }> {
  const updates: AnswerUpdate[] = [];
  const answer = new AnswerOpener(fromBase64Url(SALT), (update) => updates.push(update));
  await answer.start(exporter);
  return { answer, updates };
}

describe('an answer that is opened', () => {
  it('[S3] [C1] comes in order, from whichever path and however often its frames came', async () => {
    const { answer, updates } = await opener();
    const { frames, chain } = await scriptAnswer(exporter, SALT, PARTS);
    for (const i of [1, 1, 3, 0, 2, 0]) await answer.receive(frames[i]!, i % 2 === 0 ? 'direct' : 'relay');
    expect(answer.isCommitted).toBe(false);
    answer.commit({ chain, finish: 'stop' });
    expect(updates.map((update) => (update.type === 'text' ? update.text : update.type))).toEqual([
      ...PARTS,
      'answered',
      'committed',
    ]);
    expect({ isWhole: answer.isWhole, isCommitted: answer.isCommitted }).toEqual({ isWhole: true, isCommitted: true });
  });

  it.each([
    ['that carries text', 1],
    ['that ends the answer', 3],
  ])('[C6] refuses a frame whose chain is not that of the text: one %s', async (_, progressOf) => {
    const { answer, updates } = await opener();
    const { frames } = await scriptAnswer(exporter, SALT, PARTS, { progressOf });
    for (const frame of frames.slice(0, progressOf)) await answer.receive(frame, 'relay');
    await expect(answer.receive(frames[progressOf]!, 'relay')).rejects.toMatchObject({ code: 'integrity_failed' });
    expect(updates).toHaveLength(progressOf);
  });

  it('[C6] refuses an end whose head is not that of the text', async () => {
    const { answer } = await opener();
    const { frames } = await scriptAnswer(exporter, SALT, PARTS, { head: 'H'.repeat(43) });
    await Promise.all(frames.slice(0, -1).map((frame) => answer.receive(frame, 'relay')));
    await expect(answer.receive(frames.at(-1)!, 'relay')).rejects.toMatchObject({ code: 'integrity_failed' });
  });

  it('opens nothing after a frame that it refused', async () => {
    const { answer, updates } = await opener();
    const { frames } = await scriptAnswer(exporter, SALT, PARTS, { progressOf: 1 });
    const received = await Promise.allSettled(frames.map((frame) => answer.receive(frame, 'relay')));
    expect(received.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'rejected', 'rejected']);
    expect(updates).toHaveLength(1);
    await answer.atRest;
  });

  it('[C6] refuses what is longer than an answer may be: its tab must not fill the memory of whoever reads it', async () => {
    const { answer, updates } = await opener();
    const part = 'x'.repeat(12 * 1024);
    const most = MAX_ANSWER_BYTES / part.length;
    const { frames } = await scriptAnswer(
      exporter,
      SALT,
      Array.from({ length: most + 1 }, () => part),
    );
    for (const frame of frames.slice(0, most)) await answer.receive(frame, 'relay');
    await expect(answer.receive(frames[most]!, 'relay')).rejects.toMatchObject({ code: 'integrity_failed' });
    expect(updates).toHaveLength(most);
  });

  describe('[C2] [C6] is refused when the tab signed another', () => {
    const lies: [string, (chain: AnswerChain) => object][] = [
      ['head', (chain) => ({ ...chain, head: 'H'.repeat(43) })],
      ['length', (chain) => ({ ...chain, bytes: chain.bytes + 1 })],
      ['block', (chain) => ({ ...chain, blocks: chain.blocks.with(0, 'B'.repeat(22)) })],
      ['number of blocks: one more', (chain) => ({ ...chain, blocks: [...chain.blocks, 'B'.repeat(22)] })],
      ['number of blocks: one fewer', (chain) => ({ ...chain, blocks: chain.blocks.slice(1) })],
    ];

    it.each(lies)('%s, and was first to say so', async (_, lie) => {
      const { answer, updates } = await opener();
      const { frames, chain } = await scriptAnswer(exporter, SALT, PARTS);
      answer.commit({ chain: lie(chain) as AnswerChain, finish: 'stop' });
      await Promise.all(frames.slice(0, -1).map((frame) => answer.receive(frame, 'relay')));
      await expect(answer.receive(frames.at(-1)!, 'relay')).rejects.toMatchObject({ code: 'integrity_failed' });
      expect(updates.map(({ type }) => type)).not.toContain('committed');
    });

    it.each(lies)('%s, and was last to say so', async (_, lie) => {
      const { answer } = await opener();
      const { frames, chain } = await scriptAnswer(exporter, SALT, PARTS);
      await Promise.all(frames.map((frame) => answer.receive(frame, 'relay')));
      expect(() => answer.commit({ chain: lie(chain) as AnswerChain, finish: 'stop' })).toThrow(
        expect.objectContaining({ code: 'integrity_failed' }),
      );
      expect(answer.isCommitted).toBe(false);
    });
  });

  it('[C3] is refused when the tab signed another finish reason than it sent', async () => {
    const { answer } = await opener();
    const { frames, chain } = await scriptAnswer(exporter, SALT, PARTS);
    await Promise.all(frames.map((frame) => answer.receive(frame, 'relay')));
    expect(() => answer.commit({ chain, finish: 'length' })).toThrow(
      expect.objectContaining({ code: 'integrity_failed' }),
    );
  });

  it('[T2] is committed once, however often the commit comes', async () => {
    const { answer, updates } = await opener();
    const { frames, chain } = await scriptAnswer(exporter, SALT, PARTS);
    await Promise.all(frames.map((frame) => answer.receive(frame, 'relay')));
    answer.commit({ chain, finish: 'stop' });
    answer.commit({ chain, finish: 'stop' });
    expect(updates.filter(({ type }) => type === 'committed')).toHaveLength(1);
    const other = await chainOf(fromBase64Url(SALT), 'another answer', 'stop');
    expect(() => answer.commit({ chain: other, finish: 'stop' })).toThrow();
  });

  it('is no answer when its last frame says that it was cancelled', async () => {
    const { answer, updates } = await opener();
    const { frames } = await scriptAnswer(exporter, SALT, PARTS, { finish: 'cancelled' });
    await Promise.all(frames.slice(0, -1).map((frame) => answer.receive(frame, 'relay')));
    await expect(answer.receive(frames.at(-1)!, 'relay')).rejects.toMatchObject({ code: 'tab_lost' });
    expect(updates.map(({ type }) => type)).toEqual(['text', 'text', 'text']);
  });

  it('is no answer when the tab signed that it was cancelled', async () => {
    const { answer } = await opener();
    const chain = await chainOf(fromBase64Url(SALT), PARTS[0]!, 'cancelled');
    expect(() => answer.commit({ chain, finish: 'cancelled' })).toThrow(expect.objectContaining({ code: 'tab_lost' }));
  });
});
