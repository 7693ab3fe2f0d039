import { describe, expect, it } from 'vitest';
import { Shoal, ShoalError } from './index.ts';

const ANSWER = {
  object: 'list',
  model: 'all-minilm-l6-v2:q8_0',
  data: [{ object: 'embedding', index: 0, embedding: [0.6, 0.8] }],
  usage: { prompt_tokens: 3, total_tokens: 3 },
  shoal: { tasks: ['task_a'], receipts: ['rcpt_a'], sure: 'verified' },
};
const PARAMS = { model: 'all-minilm-l6-v2', input: ['tea'], shoal: { level: 'strict' } } as const;

describe('embeddings by the client package', () => {
  it('are asked for by plain HTTP, under the client’s key or the call’s', async () => {
    const asked: unknown[] = [];
    const shoal = new Shoal({
      baseUrl: 'https://shoal.example',
      apiKey: 'sk-own',
      fetch: async (input, init) => {
        const authorization = new Headers(init?.headers).get('authorization');
        asked.push([String(input), authorization, JSON.parse(String(init?.body))]);
        return Response.json(ANSWER);
      },
    });
    expect(await shoal.embeddings.create(PARAMS)).toEqual(ANSWER);
    await shoal.embeddings.create(PARAMS, { apiKey: 'sk-other' });
    expect(asked).toEqual([
      ['https://shoal.example/v1/embeddings', 'Bearer sk-own', PARAMS],
      ['https://shoal.example/v1/embeddings', 'Bearer sk-other', PARAMS],
    ]);
  });

  it('fail with the router’s own error, and with one for what is no list of embeddings', async () => {
    const error = new ShoalError('no_tab', 'No tab serves it.');
    const answers = [Response.json({ error: error.toWire() }, { status: 503 }), Response.json({ object: 'list' })];
    const shoal = new Shoal({ baseUrl: 'https://shoal.example', fetch: async () => answers.shift() as Response });
    await expect(shoal.embeddings.create(PARAMS)).rejects.toMatchObject({ code: 'no_tab' });
    await expect(shoal.embeddings.create(PARAMS)).rejects.toMatchObject({ code: 'integrity_failed' });
  });

  it('stop when their caller does', async () => {
    const stop = new AbortController();
    const shoal = new Shoal({
      baseUrl: 'https://shoal.example',
      fetch: (_, init) =>
        new Promise((_, reject) => init?.signal?.addEventListener('abort', () => reject(init.signal?.reason))),
    });
    const running = shoal.embeddings.create(PARAMS, { signal: stop.signal });
    await Promise.resolve();
    setTimeout(() => stop.abort());
    await expect(running).rejects.toMatchObject({ code: 'cancelled' });
  });
});
