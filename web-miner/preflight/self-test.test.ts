import { describe, expect, it } from 'vitest';
import { TEST_RENDERER, TEST_SAMPLING } from '../../router-worker/testing/network.ts';
import type { SelfTestQuestion } from '../../shared/classes/self-tests.ts';
import { abortError } from '../engine/engine.ts';
import { ScriptedEngine } from '../engine/scripted-engine.ts';
import { SELF_TEST_LEAST_BYTES, selfTest } from './self-test.ts';

const NEVER = new AbortController().signal;
const OPTIONS = { contextTokens: 512, threads: 1, batchTokens: 16, embeddings: false };

async function loaded(engine = new ScriptedEngine()): Promise<ScriptedEngine> {
  await engine.load(new Blob(['GGUF']), OPTIONS, NEVER);
  return engine;
}

async function published(): Promise<SelfTestQuestion> {
  const engine = await loaded();
  let text = '';
  const prompt = TEST_RENDERER.render([{ role: 'user', content: 'What is tea?' }]);
  for await (const event of engine.generate({ prompt, sampling: TEST_SAMPLING, stop: [] }, NEVER)) {
    if (event.type === 'delta') text += event.text;
  }
  return { prompt: 'What is tea?', sampling: TEST_SAMPLING, text };
}

/** Computes wrongly, and does not know it: one letter late in the answer is another. */
class BrokenEngine extends ScriptedEngine {
  #written = 0;
  override async *generate(...args: Parameters<ScriptedEngine['generate']>) {
    for await (const event of super.generate(...args)) {
      if (event.type !== 'delta') yield event;
      else yield { ...event, text: ++this.#written === 9 ? event.text.replace(/[a-z]/, 'Q') : event.text };
    }
  }
}

/** Writes this, and then nothing until it is stopped. */
class StuckEngine extends ScriptedEngine {
  readonly #text: string;
  constructor(text: string) {
    super();
    this.#text = text;
  }
  override async *generate(...[, signal]: Parameters<ScriptedEngine['generate']>) {
    if (this.#text !== '') yield { type: 'delta' as const, text: this.#text, tokens: 1 };
    if (signal.aborted) throw abortError();
    await new Promise((_, reject) => signal.addEventListener('abort', () => reject(abortError())));
  }
}

describe('a device that tests itself', () => {
  it('is right when it writes the published answer', async () => {
    const result = await selfTest(await loaded(), TEST_RENDERER, await published(), NEVER);
    expect(result).toMatchObject({ outcome: 'right', isWhole: true });
  });

  it('is wrong when one letter differs, and shows both', async () => {
    const result = await selfTest(await loaded(new BrokenEngine()), TEST_RENDERER, await published(), NEVER);
    expect(result).toEqual({ outcome: 'wrong', expected: expect.any(String), wrote: expect.stringContaining('Q') });
  });

  it('is wrong when its answer ends too early', async () => {
    const question = await published();
    const longer = { ...question, text: `${question.text} and more` };
    expect(await selfTest(await loaded(), TEST_RENDERER, longer, NEVER)).toMatchObject({ outcome: 'wrong' });
  });

  it.each([0, SELF_TEST_LEAST_BYTES - 1])(
    'that wrote %i bytes in the time is too slow to tell: so little agrees with every answer',
    async (bytes) => {
      const question = { ...(await published()), text: 'An answer that is long enough to be compared.' };
      const slow = new StuckEngine(question.text.slice(0, bytes));
      expect(await selfTest(slow, TEST_RENDERER, question, NEVER, 100)).toEqual({
        outcome: 'slow',
        wroteBytes: bytes,
        withinMs: 100,
      });
      expect(await selfTest(slow, TEST_RENDERER, null, NEVER, 100)).toMatchObject({ outcome: 'slow' });
      expect(await selfTest(new StuckEngine('something else'), TEST_RENDERER, question, NEVER, 100)).toMatchObject({
        outcome: 'wrong',
      });
    },
  );

  it('that wrote as much as is needed is right so far', async () => {
    const question = { ...(await published()), text: 'An answer that is long enough to be compared.' };
    const enough = new StuckEngine(question.text.slice(0, SELF_TEST_LEAST_BYTES));
    expect(await selfTest(enough, TEST_RENDERER, question, NEVER, 100)).toMatchObject({
      outcome: 'right',
      isWhole: false,
    });
  });

  it('without published answers writes the same twice, or is wrong', async () => {
    expect(await selfTest(await loaded(), TEST_RENDERER, null, NEVER)).toMatchObject({ outcome: 'steady' });
    expect(await selfTest(await loaded(new BrokenEngine()), TEST_RENDERER, null, NEVER)).toMatchObject({
      outcome: 'wrong',
    });
  });

  it('stops when it is stopped', async () => {
    const stop = AbortSignal.abort();
    await expect(selfTest(await loaded(), TEST_RENDERER, null, stop)).rejects.toMatchObject({ name: 'AbortError' });
  });
});
