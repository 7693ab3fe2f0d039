import { env, evictDurableObject, runDurableObjectAlarm, runInDurableObject, SELF } from 'cloudflare:test';
import { afterEach, describe, expect, it } from 'vitest';
import { toBase64Url } from '../../shared/bytes.ts';
import { SENTENCE_EMBEDDING_PATH } from '../../shared/classes/catalogue.ts';
import type { ErrorCode } from '../../shared/errors.ts';
import { MAX_SESSIONS_PER_OWNER } from '../../shared/limits.ts';
import { ERROR_POLICIES } from '../../shared/refusals.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { runLine } from '../batches/run-line.ts';
import { newTaskTail, operatorPass, routerKeys } from '../keys/router-keys.ts';
import { sessionOfId } from '../keys/session-ids.ts';
import { servedCatalogue } from '../models/served-catalogue.ts';
import { poolStub } from '../pool/pool-address.ts';
import { sessionStub } from '../pool/session-calls.ts';
import { lendWorkerdTab, type WorkerdTab } from '../testing/workerd-tab.ts';

const ORIGIN = 'https://shoal.test';
const MODEL = 'shoal-pup-3m';
const MINE = 'Bearer mine';

interface SessionJson {
  readonly id: string;
  readonly expires_at: number;
  readonly use: { readonly tasks: number; readonly answering: number; readonly spent: number; readonly held: number };
}

function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return SELF.fetch(ORIGIN + path, {
    method,
    headers: {
      authorization: MINE,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

async function setUp(body: object = {}, headers: Record<string, string> = {}): Promise<SessionJson> {
  const response = await call('POST', '/v1/sessions', body, headers);
  expect(response.status).toBe(201);
  return response.json<SessionJson>();
}

const view = async (id: string) => (await call('GET', `/v1/sessions/${id}`)).json<SessionJson>();
const ask = (id: string | null, part: object = {}, headers: Record<string, string> = {}) =>
  call(
    'POST',
    '/v1/chat/completions',
    {
      model: MODEL,
      messages: [{ role: 'user', content: 'hello' }],
      max_tokens: 40,
      ...part,
      ...(id !== null && { shoal: { ...(part as { shoal?: object }).shoal, session: id } }),
    },
    headers,
  );

async function refusal(response: Response): Promise<unknown[]> {
  const { error } = await response.json<{ error: { code: ErrorCode; param: string | null } }>();
  expect(response.status).toBe(ERROR_POLICIES[error.code].status);
  return [error.code, error.param];
}

async function served(variant: string): Promise<string> {
  return (await servedCatalogue(env)).find((entry) => entry.variant.id === variant)!.class;
}

const lent: WorkerdTab[] = [];
async function aTab(engine = new ScriptedEngine(), variant = 'q8_0'): Promise<WorkerdTab> {
  const table = new Uint8Array(await (await env.ASSETS.fetch(`${ORIGIN}${SENTENCE_EMBEDDING_PATH}`)).arrayBuffer());
  const tab = await lendWorkerdTab(await served(variant), table, engine);
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

describe('a session that is set up', () => {
  it('is usable at once, by body or by header, and lists its tasks', async () => {
    const tab = await aTab();
    const { id } = await setUp({ name: 'mine', model: MODEL, level: 'none' });
    expect(id).toMatch(/^sess_[\w-]{32}$/);
    const first = await (await ask(id)).json<{ id: string; shoal: { tab: string } }>();
    expect(first.shoal.tab).toBe(tab.identity);
    const second = await (await ask(null, {}, { 'shoal-session': id })).json<{ id: string }>();
    // The session's model serves a request that names none.
    const third = await (await ask(id, { model: undefined })).json<{ id: string; model: string }>();
    expect(third.model).toBe(`${MODEL}:q8_0`);
    const ids = [third, second, first].map((answer) => answer.id.replace('chatcmpl-', 'task_'));
    const tasks = await (await call('GET', `/v1/sessions/${id}/tasks`)).json<{ data: { id: string }[] }>();
    expect(tasks.data.map((task) => task.id)).toEqual(ids);
    const page = await (await call('GET', `/v1/sessions/${id}/tasks?limit=1&after=${ids[0]}`)).json();
    expect(page).toMatchObject({
      data: [{ id: ids[1], object: 'task' }],
      first_id: ids[1],
      last_id: ids[1],
      has_more: true,
    });
  });

  it('is shown whole, with what it uses', async () => {
    const tab = 'T'.repeat(43);
    const made = await setUp({ tabs: { max: 3 }, budget: 5000, placement: { block: [tab] }, metadata: { a: 'b' } });
    expect(await view(made.id)).toEqual({
      id: made.id,
      object: 'session',
      status: 'active',
      created_at: expect.any(Number),
      expires_at: made.expires_at,
      name: '',
      metadata: { a: 'b' },
      model: null,
      tabs: { min: 1, max: 3 },
      redundancy: 1,
      level: null,
      checks: 1,
      sla: 'standard',
      budget: 5000,
      price_ceiling: null,
      max_tasks: null,
      deadline_ms: null,
      placement: { regions: [], own_devices_only: false, allow: null, block: [tab] },
      store: false,
      delivery: 'stream',
      webhook: null,
      expires_in_s: 7 * 24 * 3600,
      use: { tasks: 0, answering: 0, unit: 'micro-credit', spent: 0, held: 0, free: 5000 },
    });
  });

  it('[B1] belongs to whoever set it up: to anybody else it is none', async () => {
    const { id } = await setUp();
    const other = { authorization: 'Bearer other' };
    const tries: [string, string, unknown?][] = [
      ['GET', `/v1/sessions/${id}`],
      ['PATCH', `/v1/sessions/${id}`, { name: 'theirs' }],
      ['DELETE', `/v1/sessions/${id}`],
      ['GET', `/v1/sessions/${id}/tasks`],
      ['GET', `/v1/sessions/${id}/events`],
    ];
    for (const [method, path, body] of tries) {
      expect(await refusal(await call(method, path, body, other))).toEqual(['session_not_found', 'session']);
    }
    expect(await refusal(await ask(id, {}, other))).toEqual(['session_not_found', 'session']);
    const listed = await (await call('GET', '/v1/sessions', undefined, other)).json();
    expect(listed).toEqual({ object: 'list', data: [], first_id: null, last_id: null, has_more: false });
    expect((await call('GET', `/v1/sessions/${id}`)).status).toBe(200);
  });

  it('is not found by an id that this router did not make, and no object is made for it', async () => {
    const { id } = await setUp();
    const forged = [
      `sess_${'A'.repeat(32)}`,
      `${id.slice(0, -1)}${id.endsWith('A') ? 'B' : 'A'}`,
      'sess_',
      id.slice(5),
    ];
    for (const one of forged) {
      expect(await refusal(await call('GET', `/v1/sessions/${one}`))).toEqual(['session_not_found', 'session']);
      expect(await refusal(await ask(one))).toEqual(['session_not_found', 'session']);
    }
    expect(await refusal(await call('GET', '/v1/sessions/__proto__'))).toEqual(['session_not_found', 'session']);
  });

  it('is listed for its owner, page by page, until it is deleted', async () => {
    const headers = { authorization: 'Bearer lister' };
    const ids: string[] = [];
    for (let i = 0; i < 3; i++) ids.unshift((await setUp({ name: String(i) }, headers)).id);
    const list = async (query: string) =>
      (await call('GET', `/v1/sessions${query}`, undefined, headers)).json<{
        data: SessionJson[];
        has_more: boolean;
      }>();
    expect((await list('')).data.map(({ id }) => id)).toEqual(ids);
    const page = await list(`?limit=1&after=${ids[0]}`);
    expect([page.data.map(({ id }) => id), page.has_more]).toEqual([[ids[1]], true]);
    expect(await (await call('DELETE', `/v1/sessions/${ids[0]}`, undefined, headers)).json()).toEqual({
      id: ids[0],
      object: 'session',
      deleted: true,
      stopped: 0,
    });
    expect((await list('')).data.map(({ id }) => id)).toEqual(ids.slice(1));
    expect(await refusal(await call('GET', '/v1/sessions?limit=0', undefined, headers))).toEqual([
      'invalid_value',
      'limit',
    ]);
    expect(await refusal(await call('GET', `/v1/sessions?after=${ids[0]}`, undefined, headers))).toEqual([
      'session_not_found',
      'after',
    ]);
  });

  it('is refused beyond the number that one owner may have', async () => {
    const owner = 'full'.padEnd(22, 'A');
    const list = env.SESSION_LIST.get(env.SESSION_LIST.idFromName(owner));
    for (let i = 0; i < MAX_SESSIONS_PER_OWNER; i++)
      expect((await list.add(`sess_${i}`, Date.now() + 60_000)).ok).toBe(true);
    expect(await list.add('sess_more', Date.now() + 60_000)).toMatchObject({ error: { code: 'too_many_sessions' } });
    await list.remove(['sess_0']);
    expect((await list.add('sess_more', Date.now() + 60_000)).ok).toBe(true);
  });

  it('survives the eviction of its object', async () => {
    const tab = await aTab();
    const { id } = await setUp({ budget: 100_000, level: 'none' });
    const answer = await (await ask(id)).json<{ id: string; usage: { total_tokens: number } }>();
    await expect.poll(async () => (await view(id)).use.spent).toBeGreaterThan(0);
    const before = await view(id);
    expect(before.use).toMatchObject({ tasks: 1, answering: 0, held: 0, spent: answer.usage.total_tokens * 3 });
    await evictDurableObject(await objectOf(id));
    expect(await view(id)).toEqual(before);
    expect((await ask(id)).status).toBe(200);
    await tab.tab.close();
  });
});

describe('[E1] a body that sets up a session', () => {
  it.each<[string, unknown, ErrorCode, string | null]>([
    ['is no object', [], 'invalid_json', null],
    ['has a name of a prototype', '{"__proto__": {"level": "none"}}', 'unknown_field', '__proto__'],
    ['has a name of every object', '{"placement": {"constructor": []}}', 'unknown_field', 'placement.constructor'],
    ['is nested without end', `{"metadata": ${'['.repeat(20_000)}${']'.repeat(20_000)}}`, 'invalid_type', 'metadata'],
    [
      'has a list without end',
      { placement: { allow: Array(1400).fill('T'.repeat(43)) } },
      'invalid_value',
      'placement.allow',
    ],
    ['is longer than any session needs', { metadata: 'x'.repeat(70_000) }, 'body_too_large', null],
    ['names a model that does not exist', { model: 'toString' }, 'model_not_found', 'model'],
    ['has a list of another type', { placement: { allow: 'everybody' } }, 'invalid_type', 'placement.allow'],
    [
      'wants devices of an account and names none',
      { placement: { own_devices_only: true } },
      'invalid_api_key',
      'placement.own_devices_only',
    ],
  ])('%s', async (_, body, code, param) => {
    const response = await SELF.fetch(`${ORIGIN}/v1/sessions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
    expect(await refusal(response)).toEqual([code, param]);
  });

  it('is JSON', async () => {
    const form = await call('POST', '/v1/sessions', {}, { 'content-type': 'text/plain' });
    expect(await refusal(form)).toEqual(['unsupported_media_type', null]);
  });
});

describe('a change of a session', () => {
  it('[B5] is made as a whole or not at all, and a null takes a parameter back', async () => {
    const { id } = await setUp({ name: 'a', budget: 500, tabs: { min: 1, max: 4 } });
    const wrong = await call('PATCH', `/v1/sessions/${id}`, { name: 'b', price_ceiling: 900 });
    expect(await refusal(wrong)).toEqual(['invalid_value', 'price_ceiling']);
    expect(await view(id)).toMatchObject({ name: 'a', budget: 500, price_ceiling: null });
    const changed = await call('PATCH', `/v1/sessions/${id}`, {
      name: 'b',
      budget: null,
      price_ceiling: 900,
      tabs: { max: 2 },
    });
    expect(await changed.json()).toMatchObject({
      name: 'b',
      budget: null,
      price_ceiling: 900,
      tabs: { min: 1, max: 2 },
    });
    expect(await refusal(await call('PATCH', `/v1/sessions/${id}`, { model: 'gpt-4' }))).toEqual([
      'model_not_found',
      'model',
    ]);
    const renewed = await (await call('PATCH', `/v1/sessions/${id}`, { expires_in_s: 60 })).json<SessionJson>();
    expect(renewed.expires_at).toBeLessThan(Date.now() + 61_000);
  });
});

describe('what a session asks for', () => {
  it('is the least level and the checks of its requests', async () => {
    await aTab();
    const { id } = await setUp({ level: 'cross', checks: 2 });
    const quote = async (shoal: object) =>
      (await call('POST', '/v1/quotes', { model: MODEL, messages: [{ role: 'user', content: 'x' }], shoal })).json();
    expect(await quote({ session: id })).toMatchObject({ level: 'cross', checks: 2 });
    expect(await quote({ session: id, level: 'none', checks: 3 })).toMatchObject({ level: 'cross', checks: 3 });
    const redundant = await setUp({ redundancy: 3 });
    expect(await quote({ session: redundant.id })).toMatchObject({ level: 'cross', checks: 2 });
    const answer = await ask(id, { shoal: { level: 'none' } });
    expect(answer.headers.get('shoal-level')).toBe('cross');
    await answer.body?.cancel();
  });

  it('is agreed with by each request, or the request is refused', async () => {
    const { id } = await setUp({ model: `${MODEL}:q8_0`, delivery: 'poll' });
    expect(await refusal(await ask(id, { model: `${MODEL}:q4_0` }))).toEqual(['session_mismatch', 'model']);
    expect(await refusal(await ask(id, { shoal: { await_verdict: true } }))).toEqual([
      'session_mismatch',
      'shoal.await_verdict',
    ]);
    const other = await setUp();
    expect(await refusal(await ask(id, {}, { 'shoal-session': other.id }))).toEqual(['invalid_value', 'shoal.session']);
  });

  it('is a price ceiling, that leaves dearer variants out before it refuses', async () => {
    const tab = await aTab(new ScriptedEngine(), 'q4_0');
    const dear = await setUp({ price_ceiling: 1 });
    expect(await refusal(await ask(dear.id))).toEqual(['price_above_ceiling', 'price_ceiling']);
    // q8_0 costs 3 a token and q4_0 2: only the latter is covered.
    const { id } = await setUp({ price_ceiling: 200, level: 'none' });
    const answer = await (await ask(id)).json<{ model: string; shoal: { tab: string } }>();
    expect([answer.model, answer.shoal.tab]).toEqual([`${MODEL}:q4_0`, tab.identity]);
  });

  it('is the best model that serves', async () => {
    expect(await refusal(await ask(null, { model: 'best' }))).toEqual(['no_tab', null]);
    await aTab(new ScriptedEngine(), 'q4_0');
    const { id } = await setUp({ model: 'best', level: 'none' });
    const model = async () => (await (await ask(id, { model: undefined })).json<{ model: string }>()).model;
    expect(await model()).toBe(`${MODEL}:q4_0`);
    await aTab(new ScriptedEngine(), 'q8_0');
    expect(await model()).toBe(`${MODEL}:q8_0`);
  });

  it('is which tabs may read its prompts, to answer and to check', async () => {
    const [a, b, c] = [await aTab(), await aTab(), await aTab()];
    const ended = async (id: string) => {
      for (;;) {
        const task = await (await call('GET', `/v1/tasks/${id}`)).json<{
          status: string;
          tab: string;
          checkers: { tab: string }[];
        }>();
        if (task.status === 'ended') return [task.tab, ...task.checkers.map(({ tab }) => tab)].sort();
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    const allowed = await setUp({ level: 'cross', placement: { allow: [a.identity, b.identity] } });
    const blocked = await setUp({ level: 'cross', placement: { block: [a.identity] } });
    for (let i = 0; i < 4; i++) {
      const one = await (await ask(allowed.id)).json<{ id: string }>();
      expect(await ended(one.id)).toEqual([a.identity, b.identity].sort());
      const other = await (await ask(blocked.id)).json<{ id: string }>();
      expect(await ended(other.id)).toEqual([b.identity, c.identity].sort());
    }
    const nobody = await setUp({ placement: { allow: ['T'.repeat(43)] } });
    expect(await refusal(await ask(nobody.id))).toEqual(['no_tab', null]);
  });

  it('[B2] is which tabs may take the place of one that was lost, and what it held is held once', async () => {
    const first = await aTab(new ScriptedEngine({ prefillMsPerToken: 1000, decodeMsPerToken: 0 }));
    const blocked = await aTab();
    const { id } = await setUp({ placement: { block: [blocked.identity] }, level: 'none', budget: 400 });
    const asked = ask(id);
    const free = async () => (await poolStub(env).census()).reduce((sum, entry) => sum + entry.free, 0);
    await expect.poll(free).toBe(1);
    const second = await aTab();
    await expect.poll(free).toBe(2);
    await first.tab.close();
    const answer = await (await asked).json<{ usage: { total_tokens: number }; shoal: { tab: string } }>();
    expect(answer.shoal.tab).toBe(second.identity);
    await expect
      .poll(async () => (await view(id)).use)
      .toMatchObject({ tasks: 1, held: 0, spent: answer.usage.total_tokens * 3 });
  });

  it('[B2] is which tabs may check, although the pool lost its memory meanwhile', async () => {
    const a = await aTab(slow());
    const { id } = await setUp({ level: 'cross' });
    const running = await ask(id, { stream: true, max_tokens: 20 });
    const task = running.headers.get('shoal-task');
    await expect.poll(async () => (await call('GET', `/v1/tasks/${task}`)).status).toBe(200);
    const others = [await aTab(), await aTab(), await aTab()];
    const blocked = others.slice(1).map(({ identity }) => identity);
    // What the task was admitted with: set by hand, because the tabs came after it.
    await runInDurableObject(await objectOf(id), async (_, state) => {
      state.storage.sql.exec('UPDATE admitted SET placement = ?', JSON.stringify({ allow: null, block: blocked }));
    });
    await evictDurableObject(poolStub(env));
    await running.text();
    const ended = async () =>
      (await call('GET', `/v1/tasks/${task}`)).json<{ status: string; tab: string; checkers: { tab: string }[] }>();
    await expect.poll(async () => (await ended()).status, { timeout: 10_000 }).toBe('ended');
    const view = await ended();
    expect(view.tab).toBe(a.identity);
    expect(view.checkers.map(({ tab }) => tab)).toEqual([others[0]?.identity]);
  });

  it('is how many tabs must serve, and how many may work for it at once', async () => {
    await aTab(slow());
    const many = await setUp({ tabs: { min: 2 } });
    const tooFew = await ask(many.id);
    expect(tooFew.headers.get('retry-after')).toBe('15');
    expect(await refusal(tooFew)).toEqual(['no_tab', 'tabs.min']);
    await aTab(slow());
    const { id } = await setUp({ tabs: { min: 2, max: 2 }, level: 'none' });
    const first = await ask(id, { stream: true });
    const second = await ask(id, { stream: true });
    const third = await ask(id);
    expect(third.headers.get('retry-after')).toBe('2');
    expect(await refusal(third)).toEqual(['session_busy', 'tabs.max']);
    for (const response of [first, second]) await response.body?.cancel();
    await expect.poll(async () => (await view(id)).use.answering, { timeout: 10_000 }).toBe(0);
    expect((await ask(id, { stream: true })).status).toBe(200);
  });

  it('[B4] is a budget, of which what is not used comes back', async () => {
    await aTab();
    const { id } = await setUp({ budget: 400, level: 'none', max_tasks: 2 });
    const answer = await (await ask(id)).json<{ usage: { total_tokens: number } }>();
    await expect.poll(async () => (await view(id)).use.held).toBe(0);
    expect((await view(id)).use.spent).toBe(answer.usage.total_tokens * 3);
    expect(await refusal(await ask(id, { max_tokens: 400 }))).toEqual(['session_exhausted', 'budget']);
    await call('PATCH', `/v1/sessions/${id}`, { budget: 100_000 });
    expect((await ask(id)).status).toBe(200);
    expect(await refusal(await ask(id))).toEqual(['session_exhausted', 'max_tasks']);
  });

  it('[B4] is a budget of which two requests at once do not take the same part', async () => {
    await aTab();
    await aTab();
    const { id } = await setUp({ budget: 300, level: 'none' });
    const answers = await Promise.all([ask(id), ask(id), ask(id)]);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, 429, 429]); // What the first holds may come back.
    for (const answer of answers) await answer.body?.cancel();
  });

  it('is a deadline: an answer that is not written by then is stopped, and no tab is blamed', async () => {
    const tab = await aTab(slow());
    const { id } = await setUp({ deadline_ms: 1500, level: 'none' });
    expect(await refusal(await ask(id))).toEqual(['deadline_exceeded', null]);
    const { records } = await (await call('GET', `/v1/tabs/${tab.identity}`)).json<{
      records: { standing: string }[];
    }>();
    expect(records.filter(({ standing }) => standing !== 'new')).toEqual([]);
    await expect.poll(async () => (await view(id)).use).toMatchObject({ answering: 0, held: 0 });
  });
});

describe('what costs and waits', () => {
  it('is of the class that the session asks for, or the request', async () => {
    await aTab();
    const { id } = await setUp({ level: 'none', sla: 'fast' });
    const quoted = async (headers: Record<string, string> = {}) =>
      (await (await ask(id, { shoal: { dry_run: true } }, headers)).json<{ price_at_most: number }>()).price_at_most;
    expect([await quoted(), await quoted({ 'shoal-sla': 'standard' })]).toEqual([347, 231]);
    expect(await quoted({ 'shoal-sla': 'batch' })).toBe(116);
    const answer = await (await ask(id)).json<{ usage: { total_tokens: number }; id: string }>();
    const { price } = await (await call('GET', `/v1/tasks/${answer.id.replace('chatcmpl-', 'task_')}`)).json<{
      price: { held: number };
    }>();
    expect(price.held).toBe(347);
  });

  it('[B4] is held of the session’s budget, and of the account that pays', async () => {
    await aTab();
    const operator = { authorization: `Bearer ${await operatorPass(await routerKeys(env.SHOAL_ROUTER_SECRET))}` };
    const { key, account } = await (await call('POST', '/v1/keys', {}, operator)).json<Record<string, string>>();
    const mine = { authorization: `Bearer ${key}` };
    const { id } = await setUp({ budget: 100_000, level: 'none' }, mine);
    expect(await refusal(await ask(id, {}, mine))).toEqual(['insufficient_quota', null]);
    await call('POST', '/v1/credits', { id: 'gift', account, amount: 10_000 }, operator);
    const answer = await (await ask(id, {}, mine)).json<{ usage: { total_tokens: number } }>();
    const spent = answer.usage.total_tokens * 3;
    const use = async () => (await (await call('GET', `/v1/sessions/${id}`, undefined, mine)).json<SessionJson>()).use;
    await expect.poll(use, { timeout: 5_000 }).toMatchObject({ tasks: 1, spent, held: 0 });
    await runDurableObjectAlarm(await objectOf(id));
    const paid = async () => (await call('GET', '/v1/account', undefined, mine)).json();
    await expect.poll(paid, { timeout: 5_000 }).toMatchObject({ balance: 10_000 - spent });
    expect(await refusal(await ask(id))).toEqual(['session_not_found', 'session']); // Without the key.
  });
});

describe('several parts in a session', () => {
  const settled = (id: string) =>
    expect.poll(async () => (await view(id)).use, { timeout: 10_000 }).toMatchObject({ answering: 0, held: 0 });

  it.each<[string, string, object, number]>([
    ['choices', '/v1/chat/completions', { n: 2, messages: [{ role: 'user', content: 'hello' }] }, 2],
    [
      'one answer of several tabs',
      '/v1/chat/completions',
      { shoal: { redundancy: 2 }, messages: [{ role: 'user', content: 'hello' }] },
      2,
    ],
    ['prompts', '/v1/completions', { prompt: ['one', 'two', 'three'] }, 3],
    ['a document', '/v1/map', { document: 'One. Two.', instruction: 'Sum up.', reduce: null }, 1],
  ])('[B2] [B4] are tasks of it: %s', async (_, path, part, tasks) => {
    const allowed = [(await aTab()).identity, (await aTab()).identity];
    const other = await aTab();
    const { id } = await setUp({ model: MODEL, level: 'none', budget: 100_000, placement: { allow: allowed } });
    const response = await call('POST', path, { max_tokens: 8, ...part }, { 'shoal-session': id });
    expect(response.status).toBe(200);
    await response.text();
    await settled(id);
    const { data } = await (await call('GET', `/v1/sessions/${id}/tasks`)).json<{
      data: { id: string; tab: string; usage: { total_tokens: number } }[];
    }>();
    expect(data.map((task) => task.id).sort()).toEqual(response.headers.get('shoal-task')?.split(', ').sort());
    expect(data.every(({ tab }) => allowed.includes(tab) && tab !== other.identity)).toBe(true);
    const spent = data.reduce((sum, { usage }) => sum + usage.total_tokens * 3, 0);
    expect((await view(id)).use).toMatchObject({ tasks, spent });
  });

  it('[B4] wait for what others of them give back, and are refused where it can never be enough', async () => {
    await aTab();
    await aTab();
    const { id } = await setUp({ model: MODEL, level: 'none', budget: 900 });
    const prompts = { prompt: ['one', 'two', 'three', 'four'], max_tokens: 4 };
    const served = await call('POST', '/v1/completions', prompts, { 'shoal-session': id });
    expect((await served.json<{ choices: unknown[] }>()).choices).toHaveLength(4);
    const few = await setUp({ model: MODEL, level: 'none', max_tasks: 3 });
    expect(await refusal(await call('POST', '/v1/completions', prompts, { 'shoal-session': few.id }))).toEqual([
      'session_exhausted',
      'max_tasks',
    ]);
    expect((await view(few.id)).use.tasks).toBe(0);
  });

  it('[B3] [B6] keep its deadline, its ceiling, its level and its model', async () => {
    await aTab(slow());
    const late = await setUp({ model: MODEL, level: 'none', deadline_ms: 1_200 });
    const prompts = { prompt: ['one', 'two'], max_tokens: 60 };
    const within = (id: string, part: object = {}) =>
      call('POST', '/v1/completions', { ...prompts, ...part }, { 'shoal-session': id });
    expect(await refusal(await within(late.id))).toEqual(['deadline_exceeded', null]);
    const cheap = await setUp({ model: MODEL, price_ceiling: 1 });
    expect(await refusal(await within(cheap.id))).toEqual(['price_above_ceiling', 'price_ceiling']);
    const other = await setUp({ model: `${MODEL}:q4_0` });
    expect(await refusal(await within(other.id, { model: `${MODEL}:q8_0` }))).toEqual(['session_mismatch', 'model']);
    const checked = await setUp({ model: MODEL, level: 'cross' });
    const streamed = await within(checked.id, { stream: true, max_tokens: 1 });
    expect(streamed.headers.get('shoal-level')).toBe('cross');
    await streamed.body?.cancel();
  });

  it('[B6] is quoted with its level', async () => {
    const { id } = await setUp({ model: MODEL, level: 'cross' });
    const body = { messages: [{ role: 'user', content: 'hello' }], n: 3 };
    const quote = await (await call('POST', '/v1/quotes', body, { 'shoal-session': id })).json();
    expect(quote).toMatchObject({ answers: 3, level: 'cross' });
  });

  it('[E2] is not asked within by the table of embeddings, which costs nothing', async () => {
    const { id } = await setUp();
    const body = { model: 'shoal-embed-64', input: 'hello' };
    expect(await refusal(await call('POST', '/v1/embeddings', { ...body, shoal: { session: id } }))).toEqual([
      'unsupported_field',
      'shoal.session',
    ]);
    expect(await refusal(await call('POST', '/v1/embeddings', body, { 'shoal-session': id }))).toEqual([
      'unsupported_field',
      'shoal-session',
    ]);
  });

  it('is not tried in advance where several answers are wanted', async () => {
    expect(await refusal(await ask(null, { n: 2, shoal: { dry_run: true } }))).toEqual([
      'unsupported_field',
      'shoal.dry_run',
    ]);
  });

  it('[B1] are lines of a batch, by the line or by the batch, where the session is of the same owner', async () => {
    await aTab();
    const { id } = await setUp({ model: MODEL, level: 'none' });
    const keys = await routerKeys(env.SHOAL_ROUTER_SECRET);
    const owner = toBase64Url((await keys.mac('owner', `network  ${MINE}`)).subarray(0, 16));
    const payer = { account: 'a', key: null, budget: null, allowance: 1_000_000 };
    const body = { messages: [{ role: 'user', content: 'hello' }], max_tokens: 4 };
    const line = { owner, payer, origin: ORIGIN, level: null, name: 'l', endpoint: '/v1/chat/completions', body };
    const run = async (change: Partial<Parameters<typeof runLine>[1]>) => {
      const reply = await runLine(env, { ...line, ...change }, new AbortController().signal);
      await reply.settled;
      return [reply.status, (reply.body as { error?: { code: string } }).error?.code ?? null];
    };
    expect(await run({ session: id })).toEqual([200, null]);
    expect(await run({ body: { ...body, shoal: { session: id } } })).toEqual([200, null]);
    expect((await view(id)).use.tasks).toBe(2);
    expect(await run({ session: id, owner: 'another' })).toEqual([404, 'session_not_found']);
    const other = await setUp();
    expect(await run({ session: id, body: { ...body, shoal: { session: other.id } } })).toEqual([400, 'invalid_value']);
    const batch = { input_file_id: 'file-x', endpoint: '/v1/chat/completions', completion_window: '24h' };
    expect(
      await refusal(await call('POST', '/v1/batches', batch, { 'shoal-session': `${id.slice(0, -2)}AA` })),
    ).toEqual(['session_not_found', 'session']);
  });

  it('is not the same request in another session, under one Idempotency-Key', async () => {
    await aTab();
    const [one, other] = [await setUp({ level: 'none' }), await setUp({ level: 'none' })];
    const within = (id: string) => ask(null, {}, { 'shoal-session': id, 'idempotency-key': 'one-key' });
    await (await within(one.id)).text();
    expect(await refusal(await within(other.id))).toEqual(['idempotency_mismatch', 'Idempotency-Key']);
  });

  it('lists the newest first, and says so to whoever wants them otherwise', async () => {
    expect(await refusal(await call('GET', '/v1/sessions?order=asc'))).toEqual(['unsupported_field', 'order']);
  });
});

describe('a dry run', () => {
  it('gives quote and wait, and begins nothing', async () => {
    const { id } = await setUp({ budget: 250 });
    expect(await refusal(await ask(id, { shoal: { dry_run: true } }))).toEqual(['no_tab', null]);
    await aTab();
    const dry = await ask(id, { shoal: { dry_run: true } });
    expect(dry.headers.get('shoal-task')).toBe(null);
    expect(await dry.json()).toEqual({
      object: 'quote',
      model: `${MODEL}:q8_0`,
      level: 'basic',
      checks: 1,
      answers: 1,
      tokens_at_most: { prompt: 37, completion: 40, total: 77 },
      unit: 'micro-credit',
      price_at_most: 243,
      prices_at_most: { none: 231, basic: 243, cross: 462, strict: 486 },
      charged: false,
      tabs: { answering: 1, free: 1, only_checking: 0 },
      ahead: 0,
      expected_wait_ms: 0,
    });
    expect((await view(id)).use).toMatchObject({ tasks: 0, held: 0 });
    expect(await refusal(await ask(id, { max_tokens: 60, shoal: { dry_run: true } }))).toEqual([
      'session_exhausted',
      'budget',
    ]);
  });
});

describe('the end of a session', () => {
  it('[B5] stops what is being written, frees what is held, and admits nothing more', async () => {
    await aTab(slow());
    const { id } = await setUp({ level: 'none' });
    const running = await ask(id, { stream: true, max_tokens: 400 });
    const task = running.headers.get('shoal-task');
    await expect.poll(async () => (await call('GET', `/v1/tasks/${task}`)).status).toBe(200);
    expect(await (await call('DELETE', `/v1/sessions/${id}`)).json()).toMatchObject({ deleted: true, stopped: 1 });
    expect(await running.text()).toContain('"code":"cancelled"');
    await expect
      .poll(async () => (await (await call('GET', `/v1/tasks/${task}`)).json<{ outcome: string }>()).outcome)
      .toBe('cancelled');
    expect(await refusal(await ask(id))).toEqual(['session_not_found', 'session']);
    expect(await refusal(await call('GET', `/v1/sessions/${id}`))).toEqual(['session_not_found', 'session']);
    // The tab is free again.
    expect((await ask(null, { max_tokens: 1, shoal: { level: 'none' } })).status).toBe(200);
  });

  it('comes by itself, at the time that was told', async () => {
    const { id } = await setUp({ expires_in_s: 60 });
    const object = await objectOf(id);
    await runInDurableObject(object, async (_, state) => {
      state.storage.sql.exec('UPDATE set_up SET expires_at = 1');
      await state.storage.setAlarm(Date.now() + 60_000);
    });
    expect(await refusal(await ask(id))).toEqual(['session_not_found', 'session']);
    await runDurableObjectAlarm(object);
    await runInDurableObject(object, async (_, state) => {
      state.storage.sql.exec('UPDATE set_up SET gone_at = 1');
      await state.storage.setAlarm(Date.now() + 60_000);
    });
    await runDurableObjectAlarm(object);
    await runInDurableObject(object, async (_, state) => {
      expect(await state.storage.getAlarm()).toBe(null);
      expect(state.storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'set_up'").toArray()).toEqual([]);
    });
    const listed = await (await call('GET', '/v1/sessions')).json<{ data: SessionJson[] }>();
    expect(listed.data.map((one) => one.id)).not.toContain(id);
  });

  it('gives back the place of a request that never got a tab', async () => {
    const { id } = await setUp({ tabs: { max: 1 }, max_tasks: 1 });
    expect(await refusal(await ask(id))).toEqual(['no_tab', null]);
    await expect.poll(async () => (await view(id)).use).toMatchObject({ tasks: 0, answering: 0, held: 0 });
    // One whose Worker died on the way to the pool.
    const keys = await routerKeys(env.SHOAL_ROUTER_SECRET);
    const owner = toBase64Url((await keys.mac('owner', `network  ${MINE}`)).subarray(0, 16));
    const task = await newTaskTail(keys, await sessionOfId(keys, id));
    await (await objectOf(id)).admit(owner, { task, tokensAtMost: 10, price: 30 }, false);
    expect((await view(id)).use).toMatchObject({ tasks: 1, answering: 1, held: 30 });
    await runInDurableObject(await objectOf(id), async (_, state) => {
      state.storage.sql.exec('UPDATE admitted SET admitted_at = admitted_at - 6000');
    });
    expect((await view(id)).use).toMatchObject({ tasks: 0, answering: 0, held: 0 });
    expect(await refusal(await ask(id))).toEqual(['no_tab', null]);
  });
});

describe('following a session', () => {
  const eventsOf = (text: string) =>
    text
      .split('\n\n')
      .filter((part) => part.startsWith('event: '))
      .map((part) => {
        const [name = '', data = ''] = part.split('\n');
        return {
          event: name.slice(7),
          data: JSON.parse(data.slice(6)) as { id?: string; status?: string; reason?: string },
        };
      });

  it('tells what there is, every change of a task, and ends with the session', async () => {
    await aTab();
    const { id } = await setUp({ level: 'none' });
    const feed = await call('GET', `/v1/sessions/${id}/events`);
    expect(feed.headers.get('content-type')).toContain('text/event-stream');
    const text = feed.text();
    const task = (await ask(id)).headers.get('shoal-task');
    await expect
      .poll(async () => (await (await call('GET', `/v1/tasks/${task}`)).json<{ status: string }>()).status)
      .toBe('ended');
    await call('DELETE', `/v1/sessions/${id}`);
    const events = eventsOf(await text);
    expect(events[0]).toMatchObject({ event: 'session', data: { object: 'session', status: 'active' } });
    expect(events.slice(1, -1).map(({ event, data }) => [event, data.id, data.status])).toEqual([
      ['task', task, 'queued'],
      ['task', task, 'running'],
      ['task', task, 'ended'],
    ]);
    expect(events.at(-1)).toEqual({ event: 'end', data: { reason: 'session_deleted' } });
  });

  it('is refused to more followers than a session may have, until one leaves', async () => {
    const { id } = await setUp();
    const feeds = await Promise.all(Array.from({ length: 8 }, () => call('GET', `/v1/sessions/${id}/events`)));
    expect(feeds.map(({ status }) => status)).toEqual(Array(8).fill(200));
    const refused = await call('GET', `/v1/sessions/${id}/events`);
    expect(await refusal(refused)).toEqual(['overloaded', null]);
    await feeds[0]?.body?.cancel();
    await expect
      .poll(async () => {
        const again = await call('GET', `/v1/sessions/${id}/events`);
        await again.body?.cancel();
        return again.status;
      })
      .toBe(200);
    for (const feed of feeds.slice(1)) await feed.body?.cancel();
  });
});

describe('a sealed task', () => {
  it('names its session by header', async () => {
    await aTab();
    const { id } = await setUp({ model: MODEL, tabs: { max: 1 } });
    const key = `${'K'.repeat(42)}A`;
    const open = (model: string) =>
      call(
        'POST',
        '/v1/tasks',
        {
          model,
          sampling: { maxTokens: 8 },
          client: key,
          nonce: 'A'.repeat(22),
          session: 'A'.repeat(22),
          prefer: null,
        },
        { 'shoal-session': id },
      );
    expect(await refusal(await open('shoal-pup-9m'))).toEqual(['session_mismatch', 'model']);
    const opened = await open(MODEL);
    expect(opened.status).toBe(200);
    expect((await view(id)).use).toMatchObject({ tasks: 1, answering: 1 });
    expect(await refusal(await open(MODEL))).toEqual(['session_busy', 'tabs.max']);
    await opened.body?.cancel();
  });
});
