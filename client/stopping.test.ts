import { beforeAll, describe, expect, it, vi } from 'vitest';
import { ScriptedRouter } from '../shared/sealed-task/testing/scripted-router.ts';
import { SealedClient, Shoal } from './index.ts';
import { type ScriptedNetwork, scriptedFetch } from './testing/scripted-fetch.ts';

let router: ScriptedRouter;
beforeAll(async () => {
  router = await ScriptedRouter.create();
});

const QUESTION = { model: 'm', messages: [{ role: 'user' as const, content: 'secret' }] };

async function answerWhole({ stream, begin }: ScriptedNetwork): Promise<void> {
  const opened = await begin();
  const answer = await router.answer(opened, ['the answer']);
  stream.frames(...answer.frames);
  stream.event({ t: 'committed', commit: await router.commit(opened, answer) });
}

const never = () => new Promise<never>(() => undefined);

async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}

describe('[T3] a question that is stopped while it is opened', () => {
  it.each([
    ['before anything was asked', null],
    ['while the router’s key is asked for', 'shoal.json'],
    ['while the task is opened', 'tasks'],
  ])('%s is given up at once', async (_, slow) => {
    const { fetcher, signals } = scriptedFetch(router, slow === null ? {} : { [slow]: never });
    const client = new SealedClient({ baseUrl: 'https://shoal.example', fetch: fetcher });
    const abort = new AbortController();
    if (slow === null) abort.abort();
    const asking = client.ask(QUESTION, { signal: abort.signal });
    asking.catch(() => undefined);
    if (slow !== null) await vi.waitUntil(() => signals.has(slow), { interval: 1 });
    abort.abort();
    await expect(asking).rejects.toMatchObject({ code: 'cancelled' });
    expect(signals.has('shoal.json')).toBe(slow !== null);
    expect(signals.has('tasks')).toBe(slow === 'tasks');
    if (slow === 'tasks') expect(signals.get('tasks')?.aborted).toBe(true);
  });

  it('gives back a stream that came in the same moment', async () => {
    const abort = new AbortController();
    const { fetcher, stream } = scriptedFetch(router, {
      tasks: async () => {
        queueMicrotask(() => queueMicrotask(() => abort.abort()));
        return new Response(stream.stream);
      },
    });
    const client = new SealedClient({ baseUrl: 'https://shoal.example', fetch: fetcher });
    const asking = client.ask(QUESTION, { signal: abort.signal }).then(async (answer) => {
      for await (const update of answer.updates()) expect(update).toBe('nothing');
    });
    await expect(asking).rejects.toMatchObject({ code: 'cancelled' });
    await stream.cancelled;
  });

  it('by the signal of a chat call or of a fetch is given up at once, too', async () => {
    const { fetcher, signals } = scriptedFetch(router, { tasks: never });
    const shoal = new Shoal({ baseUrl: 'https://shoal.example', fetch: fetcher });
    for (const how of ['create', 'fetch']) {
      signals.clear();
      const abort = new AbortController();
      const asking =
        how === 'create'
          ? shoal.chat.completions.create(QUESTION, { signal: abort.signal }).catch((cause) => cause.code)
          : shoal
              .fetch('https://shoal.example/v1/chat/completions', {
                method: 'POST',
                body: JSON.stringify(QUESTION),
                signal: abort.signal,
              })
              .then(async (response) => (await response.json()).error.code);
      await vi.waitUntil(() => signals.has('tasks'), { interval: 1 });
      abort.abort();
      expect(await asking, how).toBe('cancelled');
    }
  });
});

describe('[T3] an answer that is stopped', () => {
  it('by its signal, stops the tab', async () => {
    const network = scriptedFetch(router);
    const client = new SealedClient({ baseUrl: 'https://shoal.example', fetch: network.fetcher });
    const abort = new AbortController();
    const answer = await client.ask(QUESTION, { signal: abort.signal });
    await network.begin();
    abort.abort();
    await network.stream.cancelled;
    await expect(answer.updates().next()).resolves.toMatchObject({ value: { type: 'leased' } });
  });

  it('by closing the body of a fetch stops the tab during its prefill, not at its first token', async () => {
    const network = scriptedFetch(router);
    const shoal = new Shoal({ baseUrl: 'https://shoal.example', fetch: network.fetcher });
    const response = await shoal.fetch('https://shoal.example/v1/chat/completions', {
      method: 'POST',
      body: JSON.stringify({ ...QUESTION, stream: true }),
    });
    const reader = response.body!.getReader();
    const reading = reader.read();
    await network.begin();
    await reader.cancel();
    await network.stream.cancelled;
    expect(await reading).toMatchObject({ done: true });
  });

  it('while its stream is taken up, stops that call too', async () => {
    const network = scriptedFetch(router, { stream: never });
    const client = new SealedClient({ baseUrl: 'https://shoal.example', fetch: network.fetcher });
    const answer = await client.ask(QUESTION);
    await network.begin();
    network.stream.break();
    await vi.waitUntil(() => network.signals.has('stream'), { interval: 1 });
    await answer.stop();
    await vi.waitUntil(() => network.signals.get('stream')?.aborted === true, { interval: 1 });
  });

  it('by leaving the loop stops the tab', async () => {
    const network = scriptedFetch(router);
    const shoal = new Shoal({ baseUrl: 'https://shoal.example', fetch: network.fetcher });
    const stream = await shoal.chat.completions.create({ ...QUESTION, stream: true });
    const opened = await network.begin();
    network.stream.frames((await router.answer(opened, ['one ', 'two'])).frames[0]!);
    for await (const chunk of stream) {
      expect(chunk.choices[0]?.delta.content).toBe('one ');
      break;
    }
    await network.stream.cancelled;
  });
});

describe('a call that has its answer', () => {
  it.each([true, false])(
    'is not stopped by what its caller aborts later, nor is the check: stream %s',
    async (stream) => {
      const network = scriptedFetch(router);
      const shoal = new Shoal({ baseUrl: 'https://shoal.example', fetch: network.fetcher });
      const abort = new AbortController();
      const calling = shoal.chat.completions.create({ ...QUESTION, stream } as typeof QUESTION, {
        signal: abort.signal,
      });
      const answering = answerWhole(network);
      const result = await calling;
      const parts: string[] = [];
      if (Symbol.asyncIterator in result) {
        for await (const chunk of result as AsyncIterable<{ choices: { delta: { content?: string } }[] }>) {
          parts.push(chunk.choices[0]?.delta.content ?? '');
        }
      } else parts.push(result.choices[0]!.message.content);
      await answering;
      expect(parts.join('')).toBe('the answer');
      let isCancelled = false;
      void network.stream.cancelled.then(() => {
        isCancelled = true;
      });
      abort.abort();
      await turns();
      expect(isCancelled).toBe(false);
    },
  );
});
