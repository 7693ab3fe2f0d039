import { env, SELF } from 'cloudflare:test';
import { beforeAll, describe, expect, it } from 'vitest';
import { randomBytes, toBase64Url } from '../../shared/bytes.ts';
import { SENTENCE_EMBEDDING_PATH } from '../../shared/classes/catalogue.ts';
import type { ErrorCode } from '../../shared/errors.ts';
import { MAX_REQUEST_BODY_BYTES } from '../../shared/limits.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import { ERROR_POLICIES } from '../../shared/refusals.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { operatorPass, routerKeys, sessionOfTask } from '../keys/router-keys.ts';
import { servedCatalogue } from '../models/served-catalogue.ts';
import { lendWorkerdTab, type WorkerdTab } from '../testing/workerd-tab.ts';

const ORIGIN = 'https://shoal.test';
const good = { model: 'shoal-pup-3m', messages: [{ role: 'user', content: 'hello' }] };

function post(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return SELF.fetch(ORIGIN + path, {
    method: 'POST',
    body: text,
    headers: { 'content-type': 'application/json', ...headers },
  });
}

async function expectError(response: Response, code: ErrorCode, param?: string | null): Promise<void> {
  const body = (await response.json()) as { error: Record<string, unknown> };
  expect(body.error).toMatchObject({ code, next_step: ERROR_POLICIES[code].next, type: ERROR_POLICIES[code].type });
  expect(response.status).toBe(ERROR_POLICIES[code].status);
  if (param !== undefined) expect(body.error.param).toBe(param);
  expect(String(body.error.message).length).toBeGreaterThan(10);
  expect(response.headers.get('x-request-id')).toMatch(/^req_/);
}

async function sentenceTable(): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await (await env.ASSETS.fetch(`${ORIGIN}${SENTENCE_EMBEDDING_PATH}`)).arrayBuffer());
}

async function classOfQ8(): Promise<string> {
  return (await servedCatalogue(env)).find(({ variant }) => variant.id === 'q8_0')!.class;
}

describe('what the router says of itself', () => {
  it('is healthy, and publishes its key and routes', async () => {
    expect(await (await SELF.fetch(`${ORIGIN}/healthz`)).json()).toEqual({ status: 'ok', protocol: 3 });
    const wellKnown = await (await SELF.fetch(`${ORIGIN}/.well-known/shoal.json`)).json<{
      router_keys: { key: string }[];
      routes: string[];
    }>();
    expect(wellKnown.router_keys[0]?.key).toMatch(/^[\w-]{43}$/);
    expect(wellKnown.routes).toContain('POST /v1/chat/completions');
  });

  it('lists its models with variants and the tabs that serve them', async () => {
    const { data } = await (await SELF.fetch(`${ORIGIN}/v1/models`)).json<{
      data: { id: string; shoal: { variants: object[] } }[];
    }>();
    expect(data.map(({ id }) => id)).toContain('shoal-pup-3m');
    expect(data[0]?.shoal.variants).toHaveLength(2);
    expect((await SELF.fetch(`${ORIGIN}/v1/models/shoal-pup-3m`)).status).toBe(200);
  });

  it('[D4] says under which licence a model is, and what it needs of a device', async () => {
    const model = await (await SELF.fetch(`${ORIGIN}/v1/models/shoal-pup-3m`)).json();
    expect(model).toMatchObject({
      shoal: {
        capabilities: ['chat'],
        dimensions: null,
        licence: {
          id: 'apache-2.0',
          notice: expect.any(String),
          url: 'https://www.apache.org/licenses/LICENSE-2.0',
          must_show: false,
        },
        variants: [
          { format: 'gguf', memory_bytes: 173_373_184, needs: [], hosted: true, mirrored: false },
          { format: 'gguf', memory_bytes: 171_898_624, needs: [], hosted: true, mirrored: false },
        ],
      },
    });
  });

  it('is open to pages of other origins', async () => {
    const response = await SELF.fetch(`${ORIGIN}/v1/chat/completions`, {
      method: 'OPTIONS',
      headers: {
        origin: 'https://elsewhere.test',
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,x-stainless-os',
      },
    });
    expect(response.headers.get('access-control-allow-origin')).toBe('*');
    expect(response.headers.get('access-control-allow-headers')).toContain('x-stainless-os');
  });
});

describe('[E1] bad input gets its status, its code and the next step', () => {
  it.each<[string, () => Promise<Response>, ErrorCode, string | null]>([
    ['malformed JSON', () => post('/v1/chat/completions', '{"model":'), 'invalid_json', null],
    [
      'bytes that are no UTF-8',
      () =>
        SELF.fetch(`${ORIGIN}/v1/chat/completions`, {
          method: 'POST',
          body: new Uint8Array([0x7b, 0xff]),
          headers: { 'content-type': 'application/json' },
        }),
      'invalid_json',
      null,
    ],
    ['an empty body', () => post('/v1/chat/completions', ''), 'invalid_json', null],
    [
      'a form',
      () => post('/v1/chat/completions', 'a=b', { 'content-type': 'application/x-www-form-urlencoded' }),
      'unsupported_media_type',
      null,
    ],
    [
      'a wrong type',
      () => post('/v1/chat/completions', { ...good, temperature: 'hot' }),
      'invalid_type',
      'temperature',
    ],
    ['no messages', () => post('/v1/chat/completions', { ...good, messages: [] }), 'empty_messages', 'messages'],
    ['an unknown field', () => post('/v1/chat/completions', { ...good, temprature: 1 }), 'unknown_field', 'temprature'],
    ['tools', () => post('/v1/chat/completions', { ...good, tools: [{}] }), 'unsupported_field', 'tools'],
    ['an unknown model', () => post('/v1/chat/completions', { ...good, model: 'gpt-4' }), 'model_not_found', 'model'],
    [
      'an unknown variant',
      () => post('/v1/chat/completions', { ...good, model: 'shoal-pup-3m:f32' }),
      'model_not_found',
      'model',
    ],
    [
      'a prompt that cannot fit',
      () => post('/v1/chat/completions', { ...good, messages: [{ role: 'user', content: 'x'.repeat(50_000) }] }),
      'context_length_exceeded',
      'messages',
    ],
    [
      'a body over the limit',
      () =>
        post('/v1/chat/completions', {
          ...good,
          messages: [{ role: 'user', content: 'x'.repeat(MAX_REQUEST_BODY_BYTES) }],
        }),
      'body_too_large',
      null,
    ],
    ['nobody to serve', () => post('/v1/chat/completions', { ...good, model: 'shoal-pup-3m:q4_0' }), 'no_tab', null],
    ['an unknown route', () => SELF.fetch(`${ORIGIN}/v1/nothing`), 'route_not_found', null],
    ['a wrong method', () => SELF.fetch(`${ORIGIN}/v1/chat/completions`), 'method_not_allowed', null],
    ['an unknown model by name', () => SELF.fetch(`${ORIGIN}/v1/models/nope`), 'model_not_found', 'model'],
    ['a mistyped task', () => SELF.fetch(`${ORIGIN}/v1/tasks/task_${'A'.repeat(45)}B`), 'task_not_found', null],
    [
      'a mistyped receipt',
      () => SELF.fetch(`${ORIGIN}/v1/receipts/rcpt_${'A'.repeat(45)}B`),
      'receipt_not_found',
      null,
    ],
    ['an unknown task', () => SELF.fetch(`${ORIGIN}/v1/tasks/task_${'A'.repeat(46)}`), 'task_not_found', null],
    ['a task of no shape', () => SELF.fetch(`${ORIGIN}/v1/tasks/%2e%2e`), 'route_not_found', null],
    ['an unknown receipt', () => SELF.fetch(`${ORIGIN}/v1/receipts/rcpt_${'A'.repeat(46)}`), 'receipt_not_found', null],
    ['a socket without upgrade', () => SELF.fetch(`${ORIGIN}/v1/tabs/socket`), 'invalid_value', null],
    ['plain http on a public host', () => SELF.fetch('http://shoal.test/healthz'), 'insecure_transport', null],
    ['a sealed task of no shape', () => post('/v1/tasks', { model: 'shoal-pup-3m' }), 'invalid_value', 'sampling'],
    [
      'an envelope with a foreign token',
      () => SELF.fetch(`${ORIGIN}/v1/tasks/task_${'A'.repeat(46)}/envelope`, { method: 'POST', body: 'x' }),
      'task_not_found',
      null,
    ],
  ])('%s', async (_, request, code, param) => {
    await expectError(await request(), code, param);
  });

  it('names the models that exist', async () => {
    const response = await post('/v1/chat/completions', { ...good, model: 'gpt-4' });
    expect(JSON.stringify(await response.json())).toContain('This router has: shoal-pup-3m');
  });

  it('says when to come back, and where a tab can be lent', async () => {
    const response = await post('/v1/chat/completions', { ...good, model: 'shoal-pup-3m:q4_0' });
    expect(response.headers.get('retry-after')).toBe('15');
    expect(JSON.stringify(await response.json())).toContain(`${ORIGIN}/join`);
  });

  it('names the methods that a route takes', async () => {
    expect((await SELF.fetch(`${ORIGIN}/v1/tasks/task_x/wraps`)).headers.get('allow')).toBe('POST');
  });

  it('[S6] refuses plain http anywhere but on this machine', async () => {
    for (const host of ['localhost:8787', '127.0.0.1:8787', '[::1]:8787']) {
      expect((await SELF.fetch(`http://${host}/healthz`)).status).toBe(200);
    }
    expect((await SELF.fetch('http://localhost.evil.test/healthz')).status).toBe(403);
  });
});

describe('a quote', () => {
  it('says what a request costs at most, at each level, and begins nothing', async () => {
    const response = await post('/v1/quotes', { ...good, max_tokens: 40, shoal: { level: 'cross', checks: 2 } });
    expect(await response.json()).toEqual({
      object: 'quote',
      answers: 1,
      model: 'shoal-pup-3m:q8_0',
      level: 'cross',
      checks: 2,
      tokens_at_most: { prompt: 37, completion: 40, total: 77 },
      unit: 'micro-credit',
      price_at_most: 693,
      prices_at_most: { none: 231, basic: 243, cross: 693, strict: 717 },
      charged: false,
      tabs: { answering: 0, free: 0, only_checking: 0 },
      ahead: 0,
      expected_wait_ms: null,
    });
  });
});

describe('how a tab stands', () => {
  const TAB = 'T'.repeat(43);
  const standing = (body: unknown, pass: string) =>
    post(`/v1/tabs/${TAB}/standing`, body, { authorization: `Bearer ${pass}` });

  it('is open to read, and empty for one that was never seen', async () => {
    const response = await SELF.fetch(`${ORIGIN}/v1/tabs/${TAB}`);
    expect([response.status, await response.json()]).toEqual([
      200,
      { object: 'tab', id: TAB, records: [], role: null },
    ]);
    await expectError(await SELF.fetch(`${ORIGIN}/v1/tabs/nobody`), 'tab_not_found');
  });

  it('is changed by the operator alone', async () => {
    const pass = await operatorPass(await routerKeys(env.SHOAL_ROUTER_SECRET));
    const banned = { class: `cls_${'A'.repeat(22)}`, standing: 'banned' };
    await expectError(await standing(banned, 'guess'), 'operator_only');
    await expectError(await standing({ ...banned, standing: 'trusted' }, pass), 'invalid_value', 'standing');
    expect(await (await standing(banned, pass)).json()).toMatchObject({
      records: [{ standing: 'banned', why: 'banned_by_operator' }],
    });
    expect(await (await standing({ ...banned, standing: 'new' }, pass)).json()).toMatchObject({
      records: [{ standing: 'new' }],
    });
  });
});

describe('the level of a chat', () => {
  const levelOf = async (body: object, headers: Record<string, string> = {}) => {
    const response = await post('/v1/chat/completions', { ...good, ...body }, headers);
    await response.body?.cancel();
    return response.headers.get('shoal-level');
  };

  it('is no less than the header asks for, and no less than the request', async () => {
    const tab = await lendWorkerdTab(await classOfQ8(), await sentenceTable(), new ScriptedEngine());
    expect(await levelOf({})).toBe('basic');
    expect(await levelOf({ shoal: { level: 'none' } })).toBe('none');
    expect(await levelOf({}, { 'shoal-level': 'cross' })).toBe('cross');
    expect(await levelOf({ shoal: { level: 'none' } }, { 'shoal-level': 'cross' })).toBe('cross');
    expect(await levelOf({ shoal: { level: 'cross' } }, { 'shoal-level': 'none' })).toBe('cross');
    await expectError(
      await post('/v1/chat/completions', good, { 'shoal-level': 'paranoid' }),
      'invalid_value',
      'shoal-level',
    );
    await tab.tab.close();
  });

  it('[K15] strict gives an error instead of an answer that nobody could check', async () => {
    const tab = await lendWorkerdTab(await classOfQ8(), await sentenceTable(), new ScriptedEngine());
    await expectError(
      await post('/v1/chat/completions', { ...good, shoal: { level: 'strict' } }),
      'answer_not_verified',
    );
    const other = await lendWorkerdTab(await classOfQ8(), await sentenceTable(), new ScriptedEngine());
    const verified = await post('/v1/chat/completions', { ...good, shoal: { level: 'strict' } });
    expect(verified.headers.get('shoal-sure')).toBe('verified');
    expect(await verified.json()).toMatchObject({ shoal: { sure: 'verified', verdict: { value: 'valid' } } });
    await tab.tab.close();
    await other.tab.close();
  });
});

describe('a chat through real objects', () => {
  let tabs: WorkerdTab[];
  beforeAll(async () => {
    const [classId, table] = [await classOfQ8(), await sentenceTable()];
    tabs = [await lendWorkerdTab(classId, table), await lendWorkerdTab(classId, table)];
  });

  async function receiptOf(id: string): Promise<unknown> {
    for (let i = 0; i < 200; i++) {
      const response = await SELF.fetch(`${ORIGIN}/v1/receipts/${id}`);
      if (response.ok) return response.json();
      await response.body?.cancel();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    throw new Error('no receipt');
  }

  it('answers, checks and signs', async () => {
    const response = await post('/v1/chat/completions', good);
    const body = await response.json<{
      id: string;
      choices: { message: { content: string }; finish_reason: string }[];
      usage: object;
      shoal: { tab: string };
    }>();
    expect(response.status).toBe(200);
    expect(body.choices[0]?.message.content.length).toBeGreaterThan(10);
    expect(tabs.map((tab) => tab.identity)).toContain(body.shoal.tab);
    const { router_keys } = await (await SELF.fetch(`${ORIGIN}/.well-known/shoal.json`)).json<{
      router_keys: { key: string }[];
    }>();
    const checked = await verifyReceipt(await receiptOf(body.id), { routerKey: router_keys[0]!.key });
    expect(checked).toMatchObject({
      valid: true,
      problems: [],
      receipt: { verdict: { value: 'valid' }, network: ORIGIN },
    });
    const view = await (await SELF.fetch(`${ORIGIN}/v1/tasks/${body.id}`)).json();
    expect(view).toMatchObject({ object: 'task', status: 'ended', outcome: 'answered', verdict: { value: 'valid' } });
  });

  it('[L9] a forged lease gets a typed refusal on every route of a sealed task', async () => {
    const nonce = toBase64Url(randomBytes(16));
    const key = toBase64Url(randomBytes(32));
    const opened = await post('/v1/tasks', {
      model: good.model,
      sampling: {},
      level: 'none',
      checks: 1,
      client: key,
      nonce,
      session: nonce,
      prefer: null,
    });
    const id = opened.headers.get('shoal-task') ?? '';
    const token = /"token":"([^"]+)"/.exec(await firstChunk(opened))?.[1] ?? '';
    const forged = { payload: '{}', key, signature: 'A'.repeat(86) };
    const call = (route: string, body: object) =>
      SELF.fetch(`${ORIGIN}/v1/tasks/${id}/${route}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', 'shoal-task-token': token },
        body: JSON.stringify(body),
      });
    const link = await call('links', { lease: forged, link: nonce, signal: forged });
    expect([link.status, await link.json()]).toEqual([200, { signal: null }]);
    const stream = await call('stream', { lease: forged, from: 0 });
    expect(await stream.text()).toContain('tab_lost');
    const envelope = await SELF.fetch(`${ORIGIN}/v1/tasks/${id}/envelope`, {
      method: 'POST',
      headers: { 'shoal-task-token': token },
      body: 'junk',
    });
    expect([envelope.status, (await envelope.json<{ error: { code: string } }>()).error.code]).toEqual([
      400,
      'sealed_body_invalid',
    ]);
    const foreign = await SELF.fetch(`${ORIGIN}/v1/tasks/${id}/stream`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'shoal-task-token': 'A'.repeat(32) },
      body: JSON.stringify({ lease: forged, from: 0 }),
    });
    expect(foreign.status).toBe(403);
  });

  async function firstChunk(response: Response): Promise<string> {
    const reader = response.body!.getReader();
    let text = '';
    while (!text.includes('"token"')) {
      const { done, value } = await reader.read();
      if (done) break;
      text += new TextDecoder().decode(value);
    }
    await reader.cancel();
    return text;
  }

  it('streams in OpenAI’s shape', async () => {
    const response = await post('/v1/chat/completions', {
      ...good,
      stream: true,
      stream_options: { include_usage: true },
    });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    const lines = (await response.text()).split('\n\n').filter((line) => line.startsWith('data: '));
    expect(lines.at(-1)).toBe('data: [DONE]');
    const chunks = lines.slice(0, -1).map(
      (line) =>
        JSON.parse(line.slice(6)) as {
          choices: { delta: { role?: string; content?: string }; finish_reason: string | null }[];
          usage?: object;
        },
    );
    expect(chunks[0]?.choices[0]?.delta.role).toBe('assistant');
    expect(chunks.filter((chunk) => chunk.choices[0]?.delta.role !== undefined)).toHaveLength(1);
    expect(chunks.map((chunk) => chunk.choices[0]?.finish_reason).filter((reason) => reason != null)).toHaveLength(1);
    expect(chunks.at(-1)?.usage).toMatchObject({
      prompt_tokens: expect.any(Number),
      completion_tokens: expect.any(Number),
    });
  });

  it('gives the same conversation the same session, and another caller another one', async () => {
    const sessionOf = async (headers: Record<string, string>, content = 'hello') => {
      const response = await post('/v1/chat/completions', { ...good, messages: [{ role: 'user', content }] }, headers);
      await response.body?.cancel();
      return sessionOfTask(await routerKeys(env.SHOAL_ROUTER_SECRET), response.headers.get('shoal-task')!.slice(5));
    };
    const mine = await sessionOf({ authorization: 'Bearer a' });
    expect(await sessionOf({ authorization: 'Bearer a' })).toBe(mine);
    expect(await sessionOf({ authorization: 'Bearer b' })).not.toBe(mine);
    expect(await sessionOf({ authorization: 'Bearer a' }, 'other')).not.toBe(mine);
  });

  it('[T4] turns a tab that dies in mid-stream into an error event without [DONE]', async () => {
    const slow = await lendWorkerdTab(
      await classOfQ4(),
      await sentenceTable(),
      new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 20 }),
    );
    const response = await post('/v1/chat/completions', { ...good, model: 'shoal-pup-3m:q4_0', stream: true });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
      text += value;
      if (text.includes('"content"')) void slow.tab.close();
    }
    expect(text).toContain('"code":"tab_lost"');
    expect(text).not.toContain('[DONE]');
  });

  async function classOfQ4(): Promise<string> {
    return (await servedCatalogue(env)).find(({ variant }) => variant.id === 'q4_0')!.class;
  }
});
