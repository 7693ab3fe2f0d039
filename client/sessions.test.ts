import { describe, expect, it } from 'vitest';
import { ScriptedRouter } from '../shared/sealed-task/testing/scripted-router.ts';
import { Shoal } from './index.ts';
import { scriptedFetch } from './testing/scripted-fetch.ts';

const BODY = { model: 'm', messages: [{ role: 'user' as const, content: 'secret' }] };
const SESSION = `sess_${'A'.repeat(32)}`;

/** A client, and the headers with which it opens its task. */
async function client(apiKey?: string) {
  const { fetcher, begin } = scriptedFetch(await ScriptedRouter.create());
  const opened: Record<string, string | null>[] = [];
  const spying: typeof fetch = (input, init) => {
    const sent = new Headers(init?.headers);
    if (String(input).endsWith('/v1/tasks')) {
      opened.push({ session: sent.get('shoal-session'), key: sent.get('authorization') });
    }
    return fetcher(input, init);
  };
  return {
    shoal: new Shoal({ baseUrl: 'https://shoal.example', fetch: spying, ...(apiKey !== undefined && { apiKey }) }),
    opened,
    begin,
  };
}

describe('a private question in a session', () => {
  it('names it to the router, with the key that it belongs to, and nothing of either inside the seal', async () => {
    const { shoal, opened, begin } = await client('k');
    const abort = new AbortController();
    const asking = shoal.chat.completions.create({ ...BODY, shoal: { session: SESSION } }, { signal: abort.signal });
    const sealed = await begin();
    expect(opened).toEqual([{ session: SESSION, key: 'Bearer k' }]);
    expect(JSON.stringify(sealed)).not.toContain(SESSION);
    abort.abort();
    await expect(asking).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('keeps the headers of an OpenAI client', async () => {
    const { shoal, opened, begin } = await client();
    const abort = new AbortController();
    const asking = shoal.fetch('https://shoal.example/v1/chat/completions', {
      method: 'POST',
      body: JSON.stringify(BODY),
      headers: { authorization: 'Bearer o', 'shoal-session': SESSION, 'x-other': 'not passed on' },
      signal: abort.signal,
    });
    await begin();
    expect(opened).toEqual([{ session: SESSION, key: 'Bearer o' }]);
    abort.abort();
    await asking.catch(() => undefined);
  });

  it('[E2] is not quoted: the router cannot see what it would cost', async () => {
    const { shoal, opened } = await client();
    const refused = await shoal.fetch('https://shoal.example/v1/chat/completions', {
      method: 'POST',
      body: JSON.stringify({ ...BODY, shoal: { dry_run: true } }),
    });
    expect(await refused.json()).toMatchObject({ error: { code: 'unsupported_field', param: 'shoal.dry_run' } });
    expect(opened).toEqual([]);
  });
});
