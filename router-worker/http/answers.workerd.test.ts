import { env, evictDurableObject, runInDurableObject, SELF } from 'cloudflare:test';
import { afterEach, describe, expect, it } from 'vitest';
import { SENTENCE_EMBEDDING_PATH } from '../../shared/classes/catalogue.ts';
import type { ErrorCode } from '../../shared/errors.ts';
import { ERROR_POLICIES } from '../../shared/refusals.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { routerKeys } from '../keys/router-keys.ts';
import { sessionOfId } from '../keys/session-ids.ts';
import { servedCatalogue } from '../models/served-catalogue.ts';
import { poolStub } from '../pool/pool-address.ts';
import { sessionStub } from '../pool/session-calls.ts';
import { lendWorkerdTab, type WorkerdTab } from '../testing/workerd-tab.ts';

/** Answers that a session keeps, and requests that nobody waits for. */

const ORIGIN = 'https://shoal.test';
const MODEL = 'shoal-pup-3m';

function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return SELF.fetch(ORIGIN + path, {
    method,
    headers: { authorization: 'Bearer mine', 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

async function setUp(body: object = {}): Promise<string> {
  const response = await call('POST', '/v1/sessions', { level: 'none', store: true, ...body });
  expect(response.status).toBe(201);
  return (await response.json<{ id: string }>()).id;
}

const ask = (session: string, part: object = {}, headers: Record<string, string> = {}) =>
  call(
    'POST',
    '/v1/chat/completions',
    { model: MODEL, messages: [{ role: 'user', content: 'hello' }], max_tokens: 40, ...part },
    { 'shoal-session': session, ...headers },
  );
const answerOf = (task: string | null, headers: Record<string, string> = {}) =>
  call('GET', `/v1/tasks/${task}/answer`, undefined, headers);

async function refusal(response: Response): Promise<unknown[]> {
  const { error } = await response.json<{ error: { code: ErrorCode; param: string | null } }>();
  expect(response.status).toBe(ERROR_POLICIES[error.code].status);
  return [error.code, error.param];
}

interface Answer {
  readonly id: string;
  readonly object: string;
  readonly choices: readonly { readonly message: { readonly content: string } }[];
  readonly shoal: { readonly verdict: { readonly value: string }; readonly sure: string; readonly tab: string };
}

/** Asks until it is there. */
async function fetched(task: string | null): Promise<Answer> {
  for (;;) {
    const response = await answerOf(task);
    if (response.status === 200) return response.json<Answer>();
    expect(await refusal(response)).toEqual(['answer_pending', null]);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const lent: WorkerdTab[] = [];
async function aTab(engine = new ScriptedEngine()): Promise<WorkerdTab> {
  const served = (await servedCatalogue(env)).find(({ variant }) => variant.id === 'q8_0');
  const table = new Uint8Array(await (await env.ASSETS.fetch(`${ORIGIN}${SENTENCE_EMBEDDING_PATH}`)).arrayBuffer());
  const tab = await lendWorkerdTab(served?.class ?? '', table, engine);
  lent.push(tab);
  return tab;
}
const slow = () => new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 100 });

afterEach(async () => {
  for (const tab of lent.splice(0)) await tab.tab.close();
});

async function objectOf(id: string) {
  return sessionStub(env, await sessionOfId(await routerKeys(env.SHOAL_ROUTER_SECRET), id));
}

describe('an answer that a session keeps', () => {
  it('[B7] is fetched as it was given, whole or streamed, also when its object was evicted meanwhile', async () => {
    await aTab();
    const session = await setUp();
    expect(await (await call('GET', `/v1/sessions/${session}`)).json()).toMatchObject({ store: true });
    const given = await (await ask(session)).json<Answer>();
    await fetched(given.id);
    await evictDurableObject(await objectOf(session));
    const kept = await fetched(given.id);
    expect({ ...kept, shoal: null }).toEqual({ ...given, shoal: null });
    const streamed = await ask(session, { stream: true, temperature: 0 });
    const text = [...(await streamed.text()).matchAll(/"content":("(?:[^"\\]|\\.)*")/g)].map(([, part]) =>
      JSON.parse(part ?? '""'),
    );
    const whole = await fetched(streamed.headers.get('shoal-task'));
    expect(whole.choices[0]?.message.content).toBe(text.join(''));
  });

  it('has the verdict that came later', async () => {
    await aTab();
    await aTab();
    const session = await setUp({ level: 'cross' });
    const task = (await ask(session)).headers.get('shoal-task');
    await expect.poll(async () => (await fetched(task)).shoal).toMatchObject({ verdict: { value: 'valid' } });
  });

  it('[B7] is for the owner of the session alone', async () => {
    await aTab();
    const session = await setUp();
    const task = (await ask(session)).headers.get('shoal-task');
    await fetched(task);
    expect(await refusal(await answerOf(task, { authorization: 'Bearer other' }))).toEqual(['answer_not_kept', null]);
  });

  it('[B7] lies sealed in the storage of the session, and no prompt does', async () => {
    await aTab();
    const session = await setUp();
    const prompt = 'a very particular question';
    const response = await ask(session, { messages: [{ role: 'user', content: prompt }] });
    const { content = '' } = (await response.json<Answer>()).choices[0]?.message ?? {};
    await fetched(response.headers.get('shoal-task'));
    await runInDurableObject(await objectOf(session), (_, { storage }) => {
      const tables = storage.sql
        .exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'")
        .toArray();
      const names = tables
        .map(({ name }) => name)
        .filter((name) => !name.startsWith('_cf') && !name.startsWith('sqlite'));
      expect(names).toContain('kept_answer');
      const decoder = new TextDecoder();
      const stored = names
        .flatMap((name) => storage.sql.exec(`SELECT * FROM ${name}`).toArray())
        .flatMap((row) => Object.values(row))
        .map((value) => (value instanceof ArrayBuffer ? decoder.decode(value) : String(value)))
        .join('\n');
      expect([stored.includes(prompt), content.length > 20, stored.includes(content)]).toEqual([false, true, false]);
    });
  });

  it('[B7] is gone when the session stores no more, or is deleted', async () => {
    await aTab();
    const session = await setUp();
    const task = (await ask(session)).headers.get('shoal-task');
    await fetched(task);
    await call('PATCH', `/v1/sessions/${session}`, { store: false });
    expect(await refusal(await answerOf(task))).toEqual(['answer_not_kept', null]);
    await call('PATCH', `/v1/sessions/${session}`, { store: true });
    const other = (await ask(session)).headers.get('shoal-task');
    await fetched(other);
    await call('DELETE', `/v1/sessions/${session}`);
    expect(await refusal(await answerOf(other))).toEqual(['answer_not_kept', null]);
    await runInDurableObject(await objectOf(session), (_, { storage }) => {
      expect(storage.sql.exec('SELECT * FROM kept_answer').toArray()).toEqual([]);
    });
  });

  it('is not kept of a request that says so, nor where the session keeps none', async () => {
    await aTab();
    const session = await setUp();
    const task = (await ask(session, { store: false })).headers.get('shoal-task');
    const wanted = (await ask(session, { store: true })).headers.get('shoal-task');
    await fetched(wanted);
    await runInDurableObject(await objectOf(session), (_, { storage }) => {
      const tails = storage.sql.exec<{ tail: string }>('SELECT tail FROM kept_answer').toArray();
      expect(tails.map(({ tail }) => `task_${tail}`)).toEqual([wanted]);
      storage.sql.exec("UPDATE task SET state = json_set(state, '$.endedAt', 1)"); // Not just now.
    });
    expect(await refusal(await answerOf(task))).toEqual(['answer_not_kept', null]);
    const plain = await setUp({ store: false });
    expect(await refusal(await ask(plain, { store: true }))).toEqual(['unsupported_field', 'store']);
  });

  it('[B7] is not waited for where its client sealed the prompt: the router cannot read it', async () => {
    await aTab(slow());
    const session = await setUp();
    const running = await ask(session, { stream: true });
    const task = running.headers.get('shoal-task');
    await expect.poll(async () => (await call('GET', `/v1/tasks/${task}`)).status).toBe(200);
    expect(await refusal(await answerOf(task))).toEqual(['answer_pending', null]);
    const object = await objectOf(session);
    await runInDurableObject(object, (_, { storage }) => {
      storage.sql.exec("UPDATE task SET state = json_set(state, '$.private', json('true'))");
    });
    await evictDurableObject(object);
    expect(await refusal(await answerOf(task))).toEqual(['answer_not_kept', null]);
    await running.body?.cancel();
  });

  it('[M5] [B7] is dropped, as it is not charged, where the answer that it was a part of was given to nobody', async () => {
    const tab = await aTab(slow());
    const session = await setUp();
    const whole = ask(session, { n: 2, max_tokens: 10 });
    const tasks = async () => {
      const { data } = await (await call('GET', `/v1/sessions/${session}/tasks`)).json<{ data: { id: string }[] }>();
      return data.map(({ id }) => id);
    };
    const ended = async () => {
      const views = (await tasks()).map(async (id) =>
        (await call('GET', `/v1/tasks/${id}`)).json<{ status: string }>(),
      );
      return (await Promise.all(views)).filter(({ status }) => status === 'ended').length;
    };
    const refusals = async () =>
      Promise.all((await tasks()).map(async (task) => (await refusal(await answerOf(task)))[0]));
    await expect.poll(ended, { timeout: 10_000 }).toBe(1);
    expect(await refusals()).toEqual(['answer_pending', 'answer_pending']);
    await tab.tab.close();
    expect((await whole).status).toBe(503);
    await runInDurableObject(await objectOf(session), (_, { storage }) => {
      expect(storage.sql.exec('SELECT tail FROM kept_answer').toArray()).toEqual([]);
    });
  });

  it('is of each part of a request', async () => {
    await aTab();
    await aTab();
    const session = await setUp();
    const response = await ask(session, { n: 2 });
    const { choices } = await response.json<Answer>();
    const tasks = response.headers.get('shoal-task')?.split(', ') ?? [];
    const kept = await Promise.all(tasks.map(async (task) => (await fetched(task)).choices[0]?.message.content));
    expect(kept.sort()).toEqual(choices.map(({ message }) => message.content).sort());
  });
});

describe('a request in the background', () => {
  const background = (session: string, part: object = {}, headers: Record<string, string> = {}) =>
    ask(session, { ...part, shoal: { background: true, ...(part as { shoal?: object }).shoal } }, headers);

  it('[B8] is named at once, and its answer is fetched when it is written', async () => {
    const tab = await aTab(slow());
    const session = await setUp({ delivery: 'poll' });
    const begun = await background(session, { max_tokens: 10 });
    const task = begun.headers.get('shoal-task');
    expect([begun.status, begun.headers.get('location'), await begun.json()]).toEqual([
      202,
      `/v1/tasks/${task}/answer`,
      { id: task, object: 'task', status: 'queued', answer: `/v1/tasks/${task}/answer` },
    ]);
    expect(await refusal(await answerOf(task))).toEqual(['answer_pending', null]);
    expect(await fetched(task)).toMatchObject({ object: 'chat.completion', shoal: { task, tab: tab.identity } });
    const { data } = await (await call('GET', `/v1/sessions/${session}/tasks`)).json<{ data: { id: string }[] }>();
    expect(data.map(({ id }) => id)).toEqual([task]);
  });

  it('[B8] is refused before it is named, as any other would have been', async () => {
    const session = await setUp();
    expect(await refusal(await background(session))).toEqual(['no_tab', null]);
    await aTab();
    const poor = await setUp({ budget: 1 });
    expect(await refusal(await background(poor))).toEqual(['session_exhausted', 'budget']);
    expect(await refusal(await background(session, { temperature: 9 }))).toEqual(['invalid_value', 'temperature']);
    const plain = await setUp({ store: false });
    const needs = ['unsupported_field', 'shoal.background'];
    expect(await refusal(await background(plain))).toEqual(needs);
    expect(await refusal(await background(session, { store: false }))).toEqual(needs);
    expect(await refusal(await background(session, { stream: true }))).toEqual(['unsupported_field', 'stream']);
    expect(await refusal(await background(session, { n: 2 }))).toEqual(['unsupported_field', 'n']);
    const { use } = await (await call('GET', `/v1/sessions/${session}`)).json<{ use: { tasks: number } }>();
    expect(use.tasks).toBe(0);
  });

  it('[B8] tells whoever fetches the answer why there is none', async () => {
    const tab = await aTab(slow());
    const session = await setUp();
    const task = (await background(session, { max_tokens: 400 })).headers.get('shoal-task');
    const status = async () => (await call('GET', `/v1/tasks/${task}`)).status;
    await expect.poll(status).toBe(200);
    await tab.tab.close();
    await expect.poll(async () => (await answerOf(task)).status, { timeout: 15_000 }).toBe(502);
    expect(await refusal(await answerOf(task))).toEqual(['tab_lost', null]);
  });

  it('[B8] [M5] is closed, and costs nothing, when the object that ran it died, and its tab is free again', async () => {
    await aTab(slow());
    const session = await setUp();
    const task = (await background(session, { max_tokens: 400 })).headers.get('shoal-task');
    await expect.poll(async () => (await call('GET', `/v1/tasks/${task}`)).status).toBe(200);
    const died = runInDurableObject(await objectOf(session), (_, state) => state.abort('died'));
    await died.catch(() => undefined);
    await expect.poll(async () => (await answerOf(task)).status, { timeout: 10_000 }).toBe(500);
    expect(await refusal(await answerOf(task))).toEqual(['internal_error', null]);
    await expect.poll(async () => (await poolStub(env).census()).map(({ free }) => free)).toEqual([1]);
    const price = async () =>
      (await (await call('GET', `/v1/tasks/${task}`)).json<{ price: { status: string; charged: number } }>()).price;
    await expect.poll(async () => (await price()).status, { timeout: 10_000 }).toBe('settled');
    expect((await price()).charged).toBe(0);
    const { use } = await (await call('GET', `/v1/sessions/${session}`)).json<{ use: { spent: number } }>();
    expect(use.spent).toBe(0);
  });

  it('[B8] is stopped by its owner, and by nobody else', async () => {
    await aTab(slow());
    const session = await setUp();
    const task = (await background(session, { max_tokens: 400 })).headers.get('shoal-task');
    await expect.poll(async () => (await call('GET', `/v1/tasks/${task}`)).status).toBe(200);
    const cancel = `/v1/tasks/${task}/cancel`;
    const other = await call('POST', cancel, undefined, { authorization: 'Bearer other' });
    expect(await refusal(other)).toEqual(['task_not_found', null]);
    expect((await call('POST', cancel)).status).toBe(200);
    await expect.poll(async () => (await answerOf(task)).status, { timeout: 10_000 }).toBe(499);
    expect(await (await call('GET', `/v1/tasks/${task}`)).json()).toMatchObject({ outcome: 'cancelled' });
  });

  it('[B8] is begun once under one Idempotency-Key: the second request hears the same', async () => {
    await aTab();
    const session = await setUp();
    const again = () => background(session, {}, { 'idempotency-key': 'left' });
    const first = await again();
    const body = await first.text();
    await expect.poll(async () => (await again()).status).toBe(202);
    const second = await again();
    expect([second.headers.get('idempotency-replayed'), await second.text()]).toEqual(['true', body]);
    await fetched(first.headers.get('shoal-task'));
    const { use } = await (await call('GET', `/v1/sessions/${session}`)).json<{ use: { tasks: number } }>();
    expect(use.tasks).toBe(1);
  });
});
