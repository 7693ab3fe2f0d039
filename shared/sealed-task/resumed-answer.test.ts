import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Bytes, fromBase64Url, sha256, utf8 } from '../bytes.ts';
import type { SecretExporter } from '../sealing/hpke.ts';
import { AnswerOpener, type AnswerUpdate } from './answer-opener.ts';
import { scriptAnswer } from './testing/scripted-answer.ts';

const SALT = `${'S'.repeat(21)}A`;

/** What a tab exports; each tab has keys of its own. */
const exporterOf = (tab: string): SecretExporter => ({
  exportSecret: async (label, length) => (await sha256(utf8(`${tab} ${label}`))).slice(0, length) as Bytes,
});

/** A text, cut somewhere between its characters. */
function cut(text: string, at: readonly number[]): string[] {
  const characters = [...text];
  const borders = [...new Set([0, ...at.map((n) => n % (characters.length + 1)), characters.length])].sort(
    (a, b) => a - b,
  );
  return borders
    .slice(1)
    .map((end, i) => characters.slice(borders[i], end).join(''))
    .filter((part) => part !== '');
}

interface Writing {
  readonly parts: readonly string[];
  /** Frames that arrive before the tab is lost; the end is one more than there are parts. */
  readonly frames: number;
}

/** What a reader is told of tabs that write one after the other, each from the first word. */
async function read(writings: readonly Writing[]) {
  const updates: AnswerUpdate[] = [];
  const answer = new AnswerOpener(fromBase64Url(SALT), (update) => updates.push(update));
  for (const [at, { parts, frames }] of writings.entries()) {
    const exporter = exporterOf(`tab ${at}`);
    const scripted = await scriptAnswer(exporter, SALT, parts);
    await answer.start(exporter);
    for (const frame of scripted.frames.slice(0, frames)) await answer.receive(frame, 'relay');
    if (frames > parts.length) answer.commit({ chain: scripted.chain, finish: 'stop' });
  }
  const texts = updates.flatMap((update) => (update.type === 'text' ? [update] : []));
  return {
    text: texts.map(({ text }) => text).join(''),
    tokens: texts.reduce((sum, { tokens }) => sum + tokens, 0),
    ends: updates.filter(({ type }) => type === 'answered').length,
    isCommitted: answer.isCommitted,
  };
}

const someText = fc.string({ unit: fc.constantFrom('a', ' ', 'é', '水', '🐟'), minLength: 1, maxLength: 200 });
const cuts = fc.array(fc.nat(200), { maxLength: 8 });

describe('an answer that several tabs write, one after the other', () => {
  it('[N1] is read once, whole, however each of them cuts it and wherever it is lost', async () => {
    await fc.assert(
      fc.asyncProperty(
        someText,
        fc.array(fc.tuple(cuts, fc.nat(9)), { maxLength: 3 }),
        cuts,
        async (text, lost, last) => {
          const writings = lost.map(([at, frames]) => {
            const parts = cut(text, at);
            return { parts, frames: Math.min(frames, parts.length) };
          });
          const parts = cut(text, last);
          const { text: told, ends, isCommitted } = await read([...writings, { parts, frames: parts.length + 1 }]);
          expect({ told, ends, isCommitted }).toEqual({ told: text, ends: 1, isCommitted: true });
        },
      ),
      { numRuns: 60 },
    );
  });

  it('[N2] ends where they differ, and nothing of what differs is told', async () => {
    await fc.assert(
      fc.asyncProperty(someText, someText, cuts, cuts, async (one, other, at, again) => {
        fc.pre(!other.startsWith(one)); // Whoever goes on with the same words does not differ.
        const parts = cut(one, at);
        const others = cut(other, again);
        const reading = read([
          { parts, frames: parts.length },
          { parts: others, frames: others.length + 1 },
        ]);
        await expect(reading).rejects.toMatchObject({ code: 'answer_disputed' });
      }),
      { numRuns: 60 },
    );
  });

  it('[N2] may have ended, but not been committed: then both must end alike', async () => {
    const parts = ['the whole ', 'answer'];
    expect(
      await read([
        { parts, frames: 2 },
        { parts: ['the whole answer'], frames: 2 },
      ]),
    ).toMatchObject({
      text: 'the whole answer',
      ends: 1,
      isCommitted: true,
    });
    const updates: AnswerUpdate[] = [];
    const answer = new AnswerOpener(fromBase64Url(SALT), (update) => updates.push(update));
    for (const [tab, text] of [
      ['first', 'the whole answer'],
      ['second', 'the whole answer, and more'],
    ] as const) {
      await answer.start(exporterOf(tab));
      const { frames } = await scriptAnswer(exporterOf(tab), SALT, [text]);
      const received = Promise.allSettled(frames.map((frame) => answer.receive(frame, 'relay')));
      const last = (await received).at(-1);
      if (tab === 'first') expect(last?.status).toBe('fulfilled');
      else expect(last).toMatchObject({ status: 'rejected', reason: { code: 'answer_disputed' } });
    }
  });

  it('counts each token once, whichever frame it came in', async () => {
    const parts = ['one ', 'two ', 'three ', 'four '];
    const { tokens } = await read([
      { parts, frames: 2 },
      { parts, frames: 5 },
    ]);
    expect(tokens).toBe(12); // Three a part.
  });
});
