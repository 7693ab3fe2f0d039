import { env, evictDurableObject, runDurableObjectAlarm, runInDurableObject, SELF } from 'cloudflare:test';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { SENTENCE_EMBEDDING_PATH } from '../../shared/classes/catalogue.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { routerKeys } from '../keys/router-keys.ts';
import { sessionOfId } from '../keys/session-ids.ts';
import { servedCatalogue } from '../models/served-catalogue.ts';
import { sessionStub } from '../pool/session-calls.ts';
import { lendWorkerdTab, type WorkerdTab } from '../testing/workerd-tab.ts';

/** Events of a session at a receiver that stands in for one elsewhere. */

const ORIGIN = 'https://shoal.test';
const HOOK = 'https://hooks.example.com/shoal';
const MODEL = 'shoal-pup-3m';

function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return SELF.fetch(ORIGIN + path, {
    method,
    headers: { authorization: 'Bearer mine', 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

interface Shown {
  readonly id: string;
  readonly webhook: { readonly url: string; readonly secret?: string; readonly waiting: number };
}

async function setUp(body: object = {}): Promise<Shown> {
  const asked = { level: 'none', store: true, delivery: 'webhook', webhook: { url: HOOK }, ...body };
  const response = await call('POST', '/v1/sessions', asked);
  expect(response.status).toBe(201);
  return response.json<Shown>();
}
const ask = (session: string, part: object = {}) =>
  call(
    'POST',
    '/v1/chat/completions',
    { model: MODEL, messages: [{ role: 'user', content: 'a secret question' }], max_tokens: 40, ...part },
    { 'shoal-session': session },
  );
const webhookOf = async (id: string) => (await (await call('GET', `/v1/sessions/${id}`)).json<Shown>()).webhook;

interface Told {
  readonly id: string;
  readonly type: string;
  readonly isSigned: boolean;
  readonly data: { readonly id: string; readonly answer?: string; readonly session: string };
  readonly text: string;
}

/** What the receiver hears, and what it responds: as `statuses` says, then 204. */
const receiver = { told: [] as Told[], statuses: [] as number[], secret: '' };

async function isSigned(headers: Headers, body: string): Promise<boolean> {
  if (receiver.secret === '') return false;
  const material = Uint8Array.from(atob(receiver.secret.slice('whsec_'.length)), (letter) => letter.charCodeAt(0));
  const key = await crypto.subtle.importKey('raw', material, { name: 'HMAC', hash: 'SHA-256' }, false, ['verify']);
  const signature = Uint8Array.from(atob(headers.get('webhook-signature')?.slice(3) ?? ''), (l) => l.charCodeAt(0));
  const signed = `${headers.get('webhook-id')}.${headers.get('webhook-timestamp')}.${body}`;
  return crypto.subtle.verify('HMAC', key, signature, new TextEncoder().encode(signed));
}

const lent: WorkerdTab[] = [];
async function aTab(engine = new ScriptedEngine()): Promise<WorkerdTab> {
  const served = (await servedCatalogue(env)).find(({ variant }) => variant.id === 'q8_0');
  const table = new Uint8Array(await (await env.ASSETS.fetch(`${ORIGIN}${SENTENCE_EMBEDDING_PATH}`)).arrayBuffer());
  const tab = await lendWorkerdTab(served?.class ?? '', table, engine);
  lent.push(tab);
  return tab;
}

beforeEach(() => {
  Object.assign(receiver, { told: [], statuses: [], secret: '' });
  vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
    const request = new Request(input, init as RequestInit);
    expect([request.url, request.redirect]).toEqual([HOOK, 'manual']);
    const text = await request.text();
    const told = JSON.parse(text) as Pick<Told, 'type' | 'data'>;
    const id = request.headers.get('webhook-id') ?? '';
    receiver.told.push({ ...told, id, text, isSigned: await isSigned(request.headers, text) });
    return new Response(null, { status: receiver.statuses.shift() ?? 204 });
  });
});

afterEach(async () => {
  for (const tab of lent.splice(0)) await tab.tab.close();
  vi.restoreAllMocks();
});

async function objectOf(id: string) {
  return sessionStub(env, await sessionOfId(await routerKeys(env.SHOAL_ROUTER_SECRET), id));
}

/** As if the time of the next attempt had come. */
async function nextAttempt(session: string): Promise<void> {
  const object = await objectOf(session);
  await runInDurableObject(object, async (_, { storage }) => {
    storage.sql.exec('UPDATE webhook_event SET due_at = 1');
    await storage.setAlarm(Date.now() + 60_000);
  });
  await runDurableObjectAlarm(object);
}

describe('a webhook', { timeout: 20_000 }, () => {
  it('[B9] hears of the end of a task, signed, and again after its first attempt failed and the object was evicted', async () => {
    await aTab();
    receiver.statuses.push(500);
    const session = await setUp();
    receiver.secret = session.webhook.secret ?? '';
    const response = await ask(session.id);
    const { content } = (await response.json<{ choices: { message: { content: string } }[] }>()).choices[0]!.message;
    const task = response.headers.get('shoal-task');
    await expect.poll(() => receiver.told.length, { timeout: 10_000 }).toBe(1);
    await expect
      .poll(() => webhookOf(session.id))
      .toEqual({ url: HOOK, waiting: 1, delivered: 0, failed: 0, last_failure: 'status 500' });
    await evictDurableObject(await objectOf(session.id));
    await nextAttempt(session.id);
    await expect.poll(() => receiver.told.length).toBe(2);
    const [first, second] = receiver.told;
    expect([first?.isSigned, second?.isSigned, second?.id]).toEqual([true, true, first?.id]);
    expect(second?.data).toEqual({
      session: session.id,
      id: task,
      object: 'task',
      status: 'ended',
      outcome: expect.any(String),
      model: MODEL,
      usage: expect.any(Object),
      verdict: expect.objectContaining({ value: 'unchecked' }),
      sure: expect.any(String),
      receipt: task?.replace('task_', 'rcpt_'),
      answer: content,
    });
    expect(receiver.told.some(({ text }) => text.includes('secret question'))).toBe(false);
    await expect
      .poll(() => webhookOf(session.id))
      .toEqual({ url: HOOK, waiting: 0, delivered: 1, failed: 0, last_failure: null });
  });

  it('[B9] hears of the answer, and of the verdict that came later', async () => {
    await aTab();
    await aTab();
    const session = await setUp({ level: 'cross' });
    await (await ask(session.id)).text();
    await expect
      .poll(() => receiver.told.map(({ type }) => type).sort(), { timeout: 10_000 })
      .toEqual(['task.answered', 'task.ended']);
    expect(receiver.told.find(({ type }) => type === 'task.ended')?.data).toMatchObject({
      verdict: { value: 'valid' },
    });
  });

  it('[B9] is sent no text where the session keeps none', async () => {
    await aTab();
    const session = await setUp({ store: false });
    const { choices } = await (await ask(session.id)).json<{ choices: { message: { content: string } }[] }>();
    await expect.poll(() => receiver.told.length, { timeout: 10_000 }).toBe(1);
    expect(receiver.told[0]?.data.answer).toBe(undefined);
    expect(receiver.told[0]?.text).not.toContain(choices[0]?.message.content);
  });

  it('hears why a request in the background came to nothing', async () => {
    const tab = await aTab(new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 100 }));
    const session = await setUp();
    const task = (await ask(session.id, { max_tokens: 400, shoal: { background: true } })).headers.get('shoal-task');
    await expect.poll(async () => (await call('GET', `/v1/tasks/${task}`)).status).toBe(200);
    await tab.tab.close();
    await expect.poll(() => receiver.told.length, { timeout: 15_000 }).toBe(1);
    expect(receiver.told[0]?.data).toMatchObject({ id: task, error: { code: 'tab_lost' } });
  });

  it('[B9] has its secret told once, and calls nobody when its session has ended', async () => {
    await aTab();
    const session = await setUp();
    expect(session.webhook.secret).toMatch(/^whsec_/);
    expect(await webhookOf(session.id)).not.toHaveProperty('secret');
    const renamed = await (await call('PATCH', `/v1/sessions/${session.id}`, { name: 'b' })).json<Shown>();
    expect(renamed.webhook.secret).toBe(undefined);
    const moved = await call('PATCH', `/v1/sessions/${session.id}`, { webhook: { url: `${HOOK}/other` } });
    expect((await moved.json<Shown>()).webhook.secret).not.toBe(session.webhook.secret);
    await call('PATCH', `/v1/sessions/${session.id}`, { webhook: { url: HOOK } });
    receiver.statuses.push(500, 500); // If it is sent before the session ends.
    await (await ask(session.id)).text();
    await expect.poll(async () => (await webhookOf(session.id)).waiting).toBe(1);
    await call('DELETE', `/v1/sessions/${session.id}`);
    await runDurableObjectAlarm(await objectOf(session.id));
    await runInDurableObject(await objectOf(session.id), (_, { storage }) => {
      expect(storage.sql.exec('SELECT * FROM webhook_event').toArray()).toEqual([]);
    });
  });
});
