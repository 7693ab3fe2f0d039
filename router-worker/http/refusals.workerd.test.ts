import { createExecutionContext, env, runInDurableObject, SELF } from 'cloudflare:test';
import { afterEach, describe, expect, it, vi } from 'vitest';
import documented from '../../docs/errors.md?raw';
import { toBase64Url } from '../../shared/bytes.ts';
import { SENTENCE_EMBEDDING_PATH } from '../../shared/classes/catalogue.ts';
import { type ErrorCode, ShoalError, type WireError } from '../../shared/errors.ts';
import { MAX_DEVICES, MAX_REQUEST_BODY_BYTES, MAX_SESSIONS_PER_OWNER } from '../../shared/limits.ts';
import { decodePacket } from '../../shared/protocol/packets.ts';
import { TAB_PROOF_HEADER, type TabOwnerAct, tabProof } from '../../shared/protocol/tab-owner-api.ts';
import { ERROR_POLICIES } from '../../shared/refusals.ts';
import { generateSigningKeys, signerOf } from '../../shared/signing/signed-statement.ts';
import { EngineError, type GenerateEvent } from '../../web-miner/engine/engine.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { accountStub } from '../accounts/account-object.ts';
import { digestOf } from '../accounts/api-key.ts';
import { batchStub } from '../batches/batch-address.ts';
import { MAX_FILE_BYTES, MAX_FILES, MAX_OPEN_BATCHES } from '../batches/batch-limits.ts';
import type { Env } from '../env.ts';
import { operatorPass, routerKeys } from '../keys/router-keys.ts';
import { servedCatalogue } from '../models/served-catalogue.ts';
import { poolStub } from '../pool/pool-address.ts';
import { AlteringEngine } from '../testing/altering-engine.ts';
import { lendWorkerdTab, type WorkerdTab } from '../testing/workerd-tab.ts';
import { createApp } from './app.ts';
import { readBytes } from './read-body.ts';

/** Some take a thousand calls or a hundred megabytes, and a busy machine its time. */
vi.setConfig({ testTimeout: 30_000 });

/**
 * Every refusal, produced: one way to get each code of the vocabulary. A code that nobody can get here has no row in docs/errors.md, and no place in the vocabulary.
 */

const ORIGIN = 'https://shoal.test';
const CHAT = '/v1/chat/completions';
const MODEL = 'shoal-pup-3m';
const good = { model: MODEL, messages: [{ role: 'user', content: 'hello' }], max_tokens: 40 };
const NONE = { shoal: { level: 'none' } };

interface Refusal {
  /** Null where it is told on a socket, or inside the process. */
  readonly status: number | null;
  readonly retryAfter: string | null;
  readonly error: Pick<WireError, 'code' | 'message'> & Partial<WireError>;
}

function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return SELF.fetch(ORIGIN + path, {
    method,
    headers: { authorization: 'Bearer refused', 'content-type': 'application/json', ...headers },
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
}
const chat = (part: object = {}, headers: Record<string, string> = {}) =>
  call('POST', CHAT, { ...good, ...part }, headers);

async function refused(answer: Response | Promise<Response>): Promise<Refusal> {
  const response = await answer;
  const { error } = await response.json<{ error: WireError }>();
  return { status: response.status, retryAfter: response.headers.get('retry-after'), error };
}

async function setUp(body: object, headers: Record<string, string> = {}): Promise<string> {
  return (await (await call('POST', '/v1/sessions', body, headers)).json<{ id: string }>()).id;
}
const within = async (settings: object, part: object = {}) =>
  chat({ ...part, shoal: { session: await setUp({ level: 'none', ...settings }) } });

const lent: WorkerdTab[] = [];
async function aTab(engine: Parameters<typeof lendWorkerdTab>[2] = new ScriptedEngine()): Promise<WorkerdTab> {
  const q8 = (await servedCatalogue(env)).find(({ variant }) => variant.id === 'q8_0');
  const table = new Uint8Array(await (await env.ASSETS.fetch(`${ORIGIN}${SENTENCE_EMBEDDING_PATH}`)).arrayBuffer());
  const tab = await lendWorkerdTab(q8?.class ?? '', table, engine);
  lent.push(tab);
  return tab;
}
const paced = (decodeMsPerToken: number) => new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken });

/** A stream that is being answered, and its first bytes read. */
async function begun(part: object): Promise<Response> {
  const response = await chat({ stream: true, max_tokens: 400, ...NONE, ...part });
  const id = response.headers.get('shoal-task');
  await expect.poll(async () => (await call('GET', `/v1/tasks/${id}`)).status).toBe(200);
  return response;
}

/** Until the tab has its lease. */
async function isBusy(): Promise<void> {
  await expect.poll(async () => (await poolStub(env).census()).map(({ free }) => free)).toEqual([0]);
}

/** A sealed task that has its lease, and its token. */
async function sealed(): Promise<{ readonly id: string; readonly token: string }> {
  const opened = await call('POST', '/v1/tasks', {
    model: MODEL,
    sampling: {},
    client: `${'K'.repeat(42)}A`,
    nonce: 'A'.repeat(22),
    session: 'A'.repeat(22),
    prefer: null,
  });
  const reader = opened.body?.getReader();
  let text = '';
  while (!text.includes('"token"')) text += new TextDecoder().decode((await reader?.read())?.value);
  return { id: opened.headers.get('shoal-task') ?? '', token: /"token":"([^"]+)"/.exec(text)?.[1] ?? '' };
}

/** The router with another environment, in this process. */
async function elsewhere(change: Partial<Record<keyof Env, unknown>>, path: string, body: unknown): Promise<Response> {
  const request = new Request(`${ORIGIN}${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return createApp().fetch(request, { ...env, ...change } as Env, createExecutionContext());
}

/** Who gives this text as `apiKey`. */
async function ownerNamed(caller: string): Promise<string> {
  const { mac } = await routerKeys(env.SHOAL_ROUTER_SECRET);
  return toBase64Url((await mac('owner', `network  ${caller}`)).subarray(0, 16));
}

function upload(content: string | Uint8Array<ArrayBuffer>, caller = 'Bearer refused'): Promise<Response> {
  const form = new FormData();
  form.append('purpose', 'batch');
  form.append('file', new File([content], 'lines.jsonl'));
  return SELF.fetch(`${ORIGIN}/v1/files`, { method: 'POST', headers: { authorization: caller }, body: form });
}

const LINE = JSON.stringify({ custom_id: 'a', method: 'POST', url: CHAT, body: good });

async function aFile(content: string): Promise<string> {
  return (await (await upload(content)).json<{ id: string }>()).id;
}

function aBatch(file: string): Promise<Response> {
  return call('POST', '/v1/batches', { input_file_id: file, endpoint: CHAT, completion_window: '24h' });
}

const operator = async () => `Bearer ${await operatorPass(await routerKeys(env.SHOAL_ROUTER_SECRET))}`;

/** A key of a new account, without credits. */
async function aKey(limits: object = {}): Promise<{ readonly authorization: string; readonly account: string }> {
  const made = await call('POST', '/v1/keys', {}, { authorization: await operator() });
  const { key, account } = await made.json<{ key: string; account: string }>();
  const narrow = await call('POST', '/v1/keys', limits, { authorization: `Bearer ${key}` });
  return { authorization: `Bearer ${(await narrow.json<{ key: string }>()).key}`, account };
}

/** A code of the account that a key is of. */
async function aCode(holder: { readonly authorization: string }, part: object = {}): Promise<string> {
  const made = await call('POST', '/v1/account/pairings', part, { authorization: holder.authorization });
  return (await made.json<{ code: string }>()).code;
}

/** A tab's key, and what it signs of itself. */
async function aSigner() {
  const { pair, publicKey } = await generateSigningKeys();
  const signer = signerOf(pair.privateKey, publicKey);
  const { publicKey: router } = (await routerKeys(env.SHOAL_ROUTER_SECRET)).signer;
  return {
    call: async (method: string, act: TabOwnerAct, part: { readonly code?: string; readonly router?: string } = {}) => {
      const proof = await tabProof(signer, { router, code: null, at: Date.now(), ...part, act });
      const body = part.code === undefined ? undefined : { code: part.code };
      return call(method, `/v1/tabs/${publicKey}/owner`, body, { [TAB_PROOF_HEADER]: proof });
    },
  };
}

/** A request that was answered under a key. */
async function answered(key: string): Promise<void> {
  await aTab();
  await (await chat(NONE, { 'idempotency-key': key })).text();
}

const CODES = Object.keys(ERROR_POLICIES) as ErrorCode[];

const PRODUCED: Readonly<Record<ErrorCode, () => Promise<Refusal>>> = {
  invalid_json: () => refused(call('POST', CHAT, '{')),
  missing_field: () => refused(call('POST', CHAT, { model: MODEL })),
  invalid_type: () => refused(chat({ temperature: 'hot' })),
  invalid_value: () => refused(chat({ temperature: 9 })),
  unknown_field: () => refused(chat({ temprature: 1 })),
  unsupported_field: () => refused(chat({ store: true })),
  empty_messages: () => refused(chat({ messages: [] })),
  context_length_exceeded: () => refused(chat({ messages: [{ role: 'user', content: 'x'.repeat(50_000) }] })),
  insecure_transport: () => refused(SELF.fetch('http://shoal.test/healthz')),
  // The clock of a body that stops coming, in this process.
  body_too_slow: async () => {
    vi.useFakeTimers();
    try {
      const body = new ReadableStream({ pull: () => new Promise(() => undefined) });
      const reading = readBytes(new Request(ORIGIN, { method: 'POST', body }), 10).catch((cause: unknown) => cause);
      await vi.advanceTimersByTimeAsync(21_000);
      const error = ShoalError.from(await reading);
      return { status: error.status, retryAfter: null, error: error.toWire() };
    } finally {
      vi.useRealTimers();
    }
  },
  body_too_large: () => refused(chat({ messages: [{ role: 'user', content: 'x'.repeat(MAX_REQUEST_BODY_BYTES) }] })),
  unsupported_media_type: () => refused(call('POST', CHAT, 'a=b', { 'content-type': 'text/plain' })),
  model_not_found: () => refused(chat({ model: 'gpt-4' })),
  task_not_found: () => refused(call('GET', `/v1/tasks/task_${'A'.repeat(46)}`)),
  receipt_not_found: () => refused(call('GET', `/v1/receipts/rcpt_${'A'.repeat(46)}`)),
  session_not_found: () => refused(call('GET', `/v1/sessions/sess_${'A'.repeat(32)}`)),
  receipt_pending: async () => {
    await aTab(paced(50));
    const running = await begun({});
    const pending = await refused(
      call('GET', `/v1/receipts/${running.headers.get('shoal-task')?.replace('task_', 'rcpt_')}`),
    );
    await running.body?.cancel();
    return pending;
  },
  route_not_found: () => refused(call('GET', '/v1/nothing')),
  method_not_allowed: () => refused(call('DELETE', CHAT)),
  tab_not_found: () => refused(call('GET', '/v1/tabs/nobody')),
  operator_only: () => refused(call('POST', `/v1/tabs/${'T'.repeat(43)}/standing`, {})),
  task_token_invalid: async () => {
    await aTab();
    return refused(call('POST', `/v1/tasks/${(await sealed()).id}/envelope`, 'x'));
  },
  session_mismatch: () => refused(within({ model: `${MODEL}:q8_0` }, { model: `${MODEL}:q4_0` })),
  price_above_ceiling: () => refused(within({ price_ceiling: 1 })),
  session_exhausted: () => refused(within({ budget: 1 })),
  session_busy: async () => {
    await aTab(paced(50));
    const shoal = { session: await setUp({ level: 'none', tabs: { max: 1 } }) };
    const running = await begun({ shoal });
    const busy = await refused(chat({ shoal }));
    await running.body?.cancel();
    return busy;
  },
  too_many_sessions: async () => {
    const caller = 'Bearer collector';
    const owner = await ownerNamed(caller);
    const list = env.SESSION_LIST.get(env.SESSION_LIST.idFromName(owner));
    for (let i = 0; i < MAX_SESSIONS_PER_OWNER; i++) await list.add(`sess_${i}`, Date.now() + 60_000);
    return refused(call('POST', '/v1/sessions', {}, { authorization: caller }));
  },
  invalid_multipart: () =>
    refused(call('POST', '/v1/files', '--b\r\ncut off', { 'content-type': 'multipart/form-data; boundary=b' })),
  file_too_large: () => refused(upload(new Uint8Array(MAX_FILE_BYTES + 1))),
  storage_full: async () => {
    const caller = 'Bearer librarian';
    const store = batchStub(env, await ownerNamed(caller));
    await Promise.all(Array.from({ length: MAX_FILES }, () => store.beginFile()));
    return refused(upload('x', caller));
  },
  file_not_found: () => refused(call('GET', '/v1/files/file-none')),
  batch_not_found: () => refused(call('GET', '/v1/batches/batch_none')),
  batch_over: async () => {
    const { id } = await (await aBatch(await aFile('no line'))).json<{ id: string }>();
    await expect
      .poll(async () => (await (await call('GET', `/v1/batches/${id}`)).json<{ status: string }>()).status)
      .toBe('failed');
    return refused(call('POST', `/v1/batches/${id}/cancel`));
  },
  too_many_batches: async () => {
    const file = await aFile(LINE);
    for (let i = 0; i < MAX_OPEN_BATCHES; i++) await aBatch(file);
    const over = await refused(aBatch(file));
    await call('DELETE', `/v1/files/${file}`); // With it the batches that read it.
    return over;
  },
  invalid_api_key: () => refused(call('GET', '/v1/account', undefined, { authorization: 'Bearer sk-wrong' })),
  key_not_allowed: async () => refused(chat(NONE, await aKey({ models: ['another-model'] }))),
  key_not_found: async () => refused(call('DELETE', '/v1/keys/key_none', undefined, await aKey())),
  insufficient_quota: async () => refused(chat(NONE, await aKey())),
  rate_limit_exceeded: async () => {
    for (let i = 0; i < 20; i++) await elsewhere({ SHOAL_ANONYMOUS: 'limited' }, CHAT, good);
    return refused(elsewhere({ SHOAL_ANONYMOUS: 'limited' }, CHAT, good));
  },
  transfer_conflict: async () => {
    const { account } = await aKey();
    const give = async (amount: number) =>
      call('POST', '/v1/credits', { id: 'gift', account, amount }, { authorization: await operator() });
    await give(5);
    return refused(give(6));
  },
  answer_pending: async () => {
    await aTab(paced(50));
    const running = await begun({ shoal: { session: await setUp({ level: 'none', store: true }) } });
    const pending = await refused(call('GET', `/v1/tasks/${running.headers.get('shoal-task')}/answer`));
    await running.body?.cancel();
    return pending;
  },
  answer_not_kept: async () => {
    await aTab();
    const answer = await chat(NONE);
    await answer.text();
    return refused(call('GET', `/v1/tasks/${answer.headers.get('shoal-task')}/answer`));
  },
  idempotency_mismatch: async () => {
    await answered('mismatch');
    return refused(chat({ ...NONE, temperature: 0 }, { 'idempotency-key': 'mismatch' }));
  },
  idempotency_in_progress: async () => {
    await aTab(paced(50));
    const ask = () => chat({ ...NONE, stream: true, max_tokens: 400 }, { 'idempotency-key': 'running' });
    const running = await ask();
    const second = await refused(ask());
    await running.body?.cancel();
    return second;
  },
  idempotency_done: async () => {
    await answered('done');
    return refused(chat(NONE, { 'idempotency-key': 'done' }));
  },
  sealed_body_invalid: async () => {
    await aTab();
    const { id, token } = await sealed();
    return refused(call('POST', `/v1/tasks/${id}/envelope`, 'junk', { 'shoal-task-token': token }));
  },
  no_tab: () => refused(chat()),
  overloaded: async () => {
    const id = await setUp({});
    const feeds = await Promise.all(Array.from({ length: 8 }, () => call('GET', `/v1/sessions/${id}/events`)));
    const over = await refused(call('GET', `/v1/sessions/${id}/events`));
    await call('DELETE', `/v1/sessions/${id}`);
    for (const feed of feeds) await feed.text();
    return over;
  },
  deadline_unreachable: async () => {
    await aTab(paced(20));
    await chat({ max_tokens: 10, ...NONE }); // Its speed is known now.
    const running = await begun({});
    const late = await refused(within({ deadline_ms: 1_000 }));
    await running.body?.cancel();
    return late;
  },
  tab_proof_invalid: async () => refused((await aSigner()).call('GET', 'look', { router: `${'R'.repeat(42)}A` })),
  pairing_not_found: async () => refused((await aSigner()).call('POST', 'pair', { code: '0000-0000-0000' })),
  already_paired: async () => {
    const [one, other, tab] = [await aKey(), await aKey(), await aSigner()];
    expect((await tab.call('POST', 'pair', { code: await aCode(one) })).status).toBe(201);
    return refused(tab.call('POST', 'pair', { code: await aCode(other) }));
  },
  device_not_found: async () => refused(call('DELETE', '/v1/account/devices/none', undefined, await aKey())),
  too_many_devices: async () => {
    const [holder, tab] = [await aKey(), await aSigner()];
    const code = await aCode(holder, { devices: 2 });
    const account = accountStub(env, holder.account.slice('acct_'.length));
    const digest = await digestOf(code.replaceAll('-', ''));
    await account.redeemPairing(digest, 'first');
    await runInDurableObject(account, (_, { storage }) => {
      for (let i = 1; i < MAX_DEVICES; i++) {
        storage.sql.exec(
          "INSERT INTO device (tab, by_order, owner, name, paired_at, code) VALUES (?, '', '', '', 0, '')",
          `tab ${i}`,
        );
      }
    });
    return refused(tab.call('POST', 'pair', { code }));
  },
  router_not_configured: async () => refused(elsewhere({ SHOAL_LEVEL_FLOOR: 'paranoid' }, '/v1/quotes', good)),
  tab_lost: async () => {
    const tab = await aTab(paced(50));
    const answer = chat({ max_tokens: 400, ...NONE });
    await isBusy();
    await tab.tab.close();
    return refused(answer);
  },
  engine_failed: async () => {
    const broken = new AlteringEngine(new ScriptedEngine(), (): GenerateEvent | null => {
      throw new EngineError('answer_failed', 'out of memory');
    });
    await aTab(broken);
    return refused(chat(NONE));
  },
  integrity_failed: async () => {
    const tab = await aTab();
    tab.tamper = (data) => {
      if (typeof data === 'string' || decodePacket(data.slice().buffer).kind !== 'frame') return data;
      const copy = data.slice();
      copy[copy.length - 1] = (copy.at(-1) ?? 0) ^ 1;
      return copy;
    };
    return refused(chat(NONE));
  },
  answer_disputed: async () => {
    // One of the two writes other words than its class does.
    const lying = new AlteringEngine(paced(30), (event) =>
      event.type === 'delta' ? { ...event, text: event.text.toUpperCase() } : event,
    );
    const tab = await aTab(lying);
    const response = await chat({ stream: true, max_tokens: 60, ...NONE });
    const reader = response.body?.getReader();
    let text = '';
    const read = async () => {
      const next = await reader?.read();
      text += new TextDecoder().decode(next?.value);
      return next?.done === false;
    };
    while (!text.includes('"content":"')) await read();
    while (!/"content":" [A-Z]/.test(text)) await read();
    await aTab();
    await tab.tab.close();
    while (await read());
    const error = JSON.parse(/^data: (\{"error".*)$/m.exec(text)?.[1] ?? '') as { error: WireError };
    return { status: null, retryAfter: null, error: error.error };
  },
  answer_not_verified: async () => {
    await aTab();
    return refused(chat({ shoal: { level: 'strict' } }));
  },
  deadline_exceeded: async () => {
    await aTab(paced(50));
    return refused(within({ deadline_ms: 1_000 }, { max_tokens: 400 }));
  },
  cancelled: async () => {
    await aTab(paced(50));
    const session = await setUp({ level: 'none' });
    const answer = chat({ max_tokens: 400, shoal: { session } });
    await isBusy();
    await call('DELETE', `/v1/sessions/${session}`);
    return refused(answer);
  },
  // A tab hears it on its socket.
  version_unsupported: async () => {
    const { webSocket: socket } = await SELF.fetch(`${ORIGIN}/v1/tabs/socket`, { headers: { upgrade: 'websocket' } });
    if (socket === null) throw new Error('no socket');
    const said = new Promise<string>((resolve) =>
      socket.addEventListener('message', ({ data }) => {
        if (String(data).includes('refused')) resolve(String(data));
      }),
    );
    socket.accept();
    const signed = { payload: '{}', key: `${'K'.repeat(42)}A`, signature: 'A'.repeat(86) };
    const hello = { t: 'hello', v: 1, proof: signed, keys: [signed], models: [], direct: false, checkOnly: false };
    socket.send(JSON.stringify({ ...hello, guard: null, running: [] }));
    const { error } = JSON.parse(await said) as { error: WireError };
    return { status: null, retryAfter: null, error };
  },
  internal_error: async () => refused(elsewhere({ POOL: null }, '/v1/quotes', good)),
};

afterEach(async () => {
  for (const tab of lent.splice(0)) await tab.tab.close();
});

/** Numbers differ from one time to the next, and '…' stands for what depends on the router. */
function saysAs(row: string): RegExp {
  const parts = row.split(/(\d[\d,]*|…)/).map((part, i) => {
    if (i % 2 === 0) return part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    return part === '…' ? '.*' : '\\d[\\d,]*';
  });
  return new RegExp(`^${parts.join('')}$`);
}

describe('[E1] every refusal', () => {
  const rows = new Map(
    [...documented.matchAll(/^\| (\d{3}) \| `(\w+)` \| (.+?) \| (.+) \|$/gm)].map(([, status, code, says, next]) => [
      code ?? '',
      { status: Number(status), says: says ?? '', next: next ?? '' },
    ]),
  );

  it('has a row in docs/errors.md, in the order of the vocabulary', () => {
    expect([...rows.keys()]).toEqual(CODES);
  });

  it.each(CODES)('%s is told as docs/errors.md has it', async (code) => {
    const { status, retryAfter, error } = await PRODUCED[code]();
    const policy = ERROR_POLICIES[code];
    const row = rows.get(code);
    expect([error.code, row?.status, row?.next]).toEqual([code, policy.status, policy.next]);
    if (status !== null) expect([status, error.next_step]).toEqual([policy.status, policy.next]);
    if (status === 503 || status === 429) expect(Number(retryAfter)).toBeGreaterThan(0);
    expect(error.message).toMatch(saysAs(row?.says ?? ''));
  });
});
