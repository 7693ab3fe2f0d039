import { describe, expect, it } from 'vitest';
import { EngineError } from './engine.ts';
import { examWithout } from './engine-exam.ts';
import { LateEngine } from './late-engine.ts';
import { ScriptedEngine } from './scripted-engine.ts';

const subject = {
  open: () => new LateEngine(async () => new ScriptedEngine({ prefillMsPerToken: 0.01, decodeMsPerToken: 0.5 })),
  weights: new Blob(['GGUF and the rest']),
  brokenWeights: [new Blob(['ELF'])],
  contextTokens: 256,
  prompt: 'Tell me of the sea and its tabs.',
};

describe('an engine that is fetched late', () => {
  it.each(examWithout(['device']).sits)('$title', (examCase) => examCase.run(subject));

  it('says so when it cannot be fetched, and asks again the next time', async () => {
    let isOnline = false;
    const engine = new LateEngine(async () => {
      if (!isOnline) throw new Error('offline');
      return new ScriptedEngine();
    });
    const options = { contextTokens: 64, threads: 1, batchTokens: 8, embeddings: false };
    const load = () => engine.load(new Blob(['GGUF']), options, new AbortController().signal);
    await expect(load()).rejects.toEqual(
      new EngineError('load_failed', 'The engine itself could not be fetched: offline'),
    );
    isOnline = true;
    expect(await load()).toMatchObject({ contextTokens: 64 });
  });
});
