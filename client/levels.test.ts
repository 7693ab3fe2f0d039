import { describe, expect, it } from 'vitest';
import type { Verdict } from '../shared/checking/verdict.ts';
import { ScriptedRouter } from '../shared/sealed-task/testing/scripted-router.ts';
import { Shoal } from './index.ts';
import { scriptedFetch } from './testing/scripted-fetch.ts';

const VALID: Verdict = {
  value: 'valid',
  method: 'exact-re-execution',
  blocks: 1,
  falseBlock: null,
  agree: 1,
  differ: 0,
  cosine: null,
};

/** A client whose answer is whole, from a router that says that the level is another one. */
async function asked(level: string | null, header: string | null) {
  const router = await ScriptedRouter.create();
  const { fetcher, stream, begin } = scriptedFetch(router);
  const levels: unknown[] = [];
  const spying: typeof fetch = (input, init) => {
    if (String(input).endsWith('/v1/tasks')) levels.push((JSON.parse(String(init?.body)) as { level?: unknown }).level);
    return fetcher(input, init);
  };
  const shoal = new Shoal({ baseUrl: 'https://shoal.example', fetch: spying });
  const body = {
    model: 'm',
    messages: [{ role: 'user', content: 'secret' }],
    stream: true,
    ...(level !== null && { shoal: { level } }),
  };
  const response = shoal.fetch('https://shoal.example/v1/chat/completions', {
    method: 'POST',
    body: JSON.stringify(body),
    headers: header === null ? {} : { 'shoal-level': header },
  });
  const opened = await begin();
  const answer = await router.answer(opened, ['the answer']);
  const commit = await router.commit(opened, answer);
  stream.frames(...answer.frames);
  stream.event({ t: 'committed', commit });
  const receipt = await router.receipt({ commit, verdict: VALID });
  stream.event({ t: 'ended', verdict: VALID, receipt });
  return { levels, text: await (await response).text() };
}

describe('the level of a private question', () => {
  it('is no less than the header of the request wants, as with a router', async () => {
    expect((await asked('none', 'cross')).levels).toEqual(['cross']);
    expect((await asked(null, 'cross')).levels).toEqual(['cross']);
    expect((await asked('cross', 'none')).levels).toEqual(['cross']);
    const shoal = new Shoal({ baseUrl: 'https://shoal.example', fetch: async () => Response.error() });
    const refused = await shoal.fetch('https://shoal.example/v1/chat/completions', {
      method: 'POST',
      body: '{"model":"m","messages":[{"role":"user","content":"x"}]}',
      headers: { 'shoal-level': 'very' },
    });
    expect(await refused.json()).toMatchObject({ error: { code: 'invalid_value', param: 'shoal-level' } });
  });

  it('[K15] holds although the router takes it for another one, or says valid and cannot prove it', async () => {
    expect((await asked('none', null)).text).toContain('the answer');
    const { text } = await asked(null, 'strict');
    expect(text).toContain('answer_not_verified');
    expect(text).not.toContain('the answer');
  });
});
