import { describe, expect, it } from 'vitest';
import { ScriptedRouter } from '../shared/sealed-task/testing/scripted-router.ts';
import { Shoal } from './index.ts';
import { scriptedFetch } from './testing/scripted-fetch.ts';

/** What a client says of itself when it opens a task. */
async function bearerOf(apiKey: string | null, authorization: string | null): Promise<unknown> {
  const router = await ScriptedRouter.create();
  const { fetcher } = scriptedFetch(router);
  const sent = Promise.withResolvers<unknown>();
  const spying: typeof fetch = (input, init) => {
    if (String(input).endsWith('/v1/tasks')) sent.resolve(new Headers(init?.headers).get('authorization'));
    return fetcher(input, init);
  };
  const shoal = new Shoal({ baseUrl: 'https://shoal.example', fetch: spying, ...(apiKey !== null && { apiKey }) });
  const stop = new AbortController();
  const response = shoal.fetch('https://shoal.example/v1/chat/completions', {
    method: 'POST',
    body: JSON.stringify({ model: 'm', messages: [{ role: 'user', content: 'x' }] }),
    headers: authorization === null ? {} : { authorization },
    signal: stop.signal,
  });
  const bearer = await sent.promise;
  stop.abort();
  await response.catch(() => undefined);
  return bearer;
}

describe('a private question', () => {
  it('[M8] is asked with the key of the call, else the client’s, else without', async () => {
    expect([
      await bearerOf('sk-shoal-client', 'Bearer sk-shoal-call'),
      await bearerOf('sk-shoal-client', null),
      await bearerOf(null, null),
    ]).toEqual(['Bearer sk-shoal-call', 'Bearer sk-shoal-client', null]);
  });
});
