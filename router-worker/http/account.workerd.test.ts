import {
  createExecutionContext,
  env,
  evictDurableObject,
  runDurableObjectAlarm,
  runInDurableObject,
  SELF,
} from 'cloudflare:test';
import { describe, expect, it } from 'vitest';
import { SENTENCE_EMBEDDING_PATH } from '../../shared/classes/catalogue.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import { accountStub } from '../accounts/account-object.ts';
import { readKey } from '../accounts/api-key.ts';
import { SqlKeyStore } from '../accounts/key-store.ts';
import { KEY_STORE_EXAM } from '../accounts/key-store-exam.ts';
import { operatorPass, routerKeys, sessionOfTask } from '../keys/router-keys.ts';
import { ledgerStub } from '../ledger/ledger-address.ts';
import { escrowAccount, tabAccount } from '../ledger/transfer.ts';
import { servedCatalogue } from '../models/served-catalogue.ts';
import { sessionStub } from '../pool/session-calls.ts';
import { lendWorkerdTab } from '../testing/workerd-tab.ts';
import { createApp } from './app.ts';

const ORIGIN = 'https://shoal.test';

async function call(method: string, path: string, key: string | null, body?: object, headers: object = {}) {
  const response = await SELF.fetch(ORIGIN + path, {
    method,
    headers: {
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return response;
}

const json = async (response: Response) => (await response.json()) as Record<string, never> & { error?: never };
const refusal = async (response: Response) => {
  const { error } = await response.json<{ error: { code: string; type: string; next_step: string } }>();
  return [response.status, error.code];
};

const operator = async () => operatorPass(await routerKeys(env.SHOAL_ROUTER_SECRET));

interface Made {
  readonly id: string;
  readonly key: string;
  readonly account: string;
}

async function makeKey(by: string, body: object = {}): Promise<Made> {
  const response = await call('POST', '/v1/keys', by, body);
  expect(response.status).toBe(201);
  return response.json<Made>();
}

/** A new account with so many micro-credits. */
async function anAccount(credits: number): Promise<Made> {
  const made = await makeKey(await operator());
  if (credits > 0) {
    const body = { id: made.id, account: made.account, amount: credits };
    expect((await call('POST', '/v1/credits', await operator(), body)).status).toBe(200);
  }
  return made;
}

const chat = (key: string | null, part: object = {}, headers: object = {}) =>
  call(
    'POST',
    '/v1/chat/completions',
    key,
    {
      model: 'shoal-pup-3m:q8_0',
      messages: [{ role: 'user', content: 'hello' }],
      max_tokens: 32,
      shoal: { level: 'none' },
      ...part,
    },
    headers,
  );

/** What the stream of a sealed task says of its level, beside the lease. */
async function strictnessOf(response: Response): Promise<string | undefined> {
  const reader = response.body?.getReader();
  for (let text = ''; ; ) {
    const { value, done } = (await reader?.read()) ?? { done: true };
    text += new TextDecoder().decode(value);
    const [, strict] = /"strict":(\w+)/.exec(text) ?? [];
    if (strict === undefined && !done) continue;
    await reader?.cancel();
    return strict;
  }
}

async function aTab() {
  const served = (await servedCatalogue(env)).find((entry) => entry.variant.id === 'q8_0')!;
  const table = new Uint8Array(await (await env.ASSETS.fetch(`${ORIGIN}${SENTENCE_EMBEDDING_PATH}`)).arrayBuffer());
  return { served, tab: await lendWorkerdTab(served.class, table) };
}

describe('the SQL key store', () => {
  it.each(KEY_STORE_EXAM.map((examCase, index) => ({ ...examCase, index })))('$title', async ({ run, index }) => {
    const stub = env.ACCOUNT.get(env.ACCOUNT.idFromName(`exam ${index}`));
    await runInDurableObject(stub, (_, { storage }) => run(new SqlKeyStore(storage.sql)));
  });
});

describe('a key', () => {
  it('[M8] is shown once, and only its digest is kept', async () => {
    const { key, account, id } = await anAccount(0);
    expect(key).toMatch(/^sk-shoal-[\w-]{75}$/);
    const listed = await (await call('GET', '/v1/keys', key)).text();
    expect(listed).toContain(id);
    expect(listed).not.toContain(key.slice(9));
    await runInDurableObject(accountStub(env, account.slice(5)), (_, { storage }) => {
      const kept = JSON.stringify(storage.sql.exec('SELECT * FROM api_key').toArray());
      expect(kept).toContain(id);
      expect(kept).not.toContain(key.slice(20, 40));
    });
  });

  it('[M8] is refused once it is revoked, has ended, or was never made here', async () => {
    const { key } = await anAccount(1_000_000);
    const other = await makeKey(key, { name: 'second' });
    const ended = await makeKey(key, { expires_at: 1 });
    expect((await call('GET', '/v1/account', other.key)).status).toBe(200);
    expect(await json(await call('DELETE', `/v1/keys/${other.id}`, key))).toMatchObject({ deleted: true });
    const forged = `${key.slice(0, 40)}AAAA${key.slice(44)}`;
    for (const wrong of [other.key, ended.key, forged, 'sk-shoal-x', 'sk-from-elsewhere']) {
      expect(await refusal(await chat(wrong))).toEqual([401, 'invalid_api_key']);
    }
    expect(await refusal(await call('GET', '/v1/account', null))).toEqual([401, 'invalid_api_key']);
    expect(await refusal(await call('DELETE', '/v1/keys/key_none', key))).toEqual([404, 'key_not_found']);
  });

  it('survives the eviction of its account', async () => {
    const { key, account, id } = await anAccount(5);
    await evictDurableObject(accountStub(env, account.slice(5)));
    expect(await json(await call('GET', '/v1/account', key))).toMatchObject({ id: account, free: 5, key: { id } });
  });

  it('[M8] has OpenAI’s error shape where it is wrong', async () => {
    const { error } = await (await chat('sk-wrong')).json<{ error: Record<string, unknown> }>();
    expect(error).toMatchObject({ type: 'invalid_request_error', code: 'invalid_api_key', param: null });
  });

  it('[M8] keeps to its models, its origins and its budget, and cannot make others', async () => {
    const { key } = await anAccount(1_000_000);
    const narrow = await makeKey(key, { models: ['another-model'] });
    expect(await refusal(await chat(narrow.key))).toEqual([403, 'key_not_allowed']);
    const paged = await makeKey(key, { origins: ['https://page.example'] });
    expect(await refusal(await chat(paged.key))).toEqual([403, 'key_not_allowed']);
    expect(await refusal(await chat(paged.key, {}, { origin: 'https://page.example' }))).not.toContain(403);
    const poor = await makeKey(key, { budget: 10 });
    expect(await refusal(await chat(poor.key))).toEqual([402, 'insufficient_quota']);
    expect(await refusal(await call('POST', '/v1/keys', poor.key, {}))).toEqual([403, 'key_not_allowed']);
    expect(await refusal(await call('POST', '/v1/keys', key, { account: 'acct_x' }))).toEqual([403, 'operator_only']);
    expect(await refusal(await call('POST', '/v1/keys', key, { budget: 0 }))).toEqual([400, 'invalid_value']);
    expect(await refusal(await call('POST', '/v1/credits', key, { id: 'x', account: 'network', amount: 1 }))).toEqual([
      403,
      'operator_only',
    ]);
  });

  it('[M8] raises every request to the level of the key, and says so in the quote', async () => {
    const { key } = await anAccount(100_000_000);
    const { tab } = await aTab();
    const floored = await makeKey(key, { level: 'cross' });
    expect(floored).toMatchObject({ level: 'cross' });
    const levelOfTask = async (response: Response) => {
      await response.text();
      return response.headers.get('shoal-level');
    };
    const pair = { n: 2 };
    const asked = [
      [key, {}],
      [floored.key, {}],
      [floored.key, pair],
    ] as const;
    const levels: (string | null)[] = [];
    for (const [by, part] of asked) levels.push(await levelOfTask(await chat(by, part)));
    expect(levels).toEqual(['none', 'cross', 'cross']);
    const body = {
      model: 'shoal-pup-3m:q8_0',
      messages: [{ role: 'user', content: 'hello' }],
      shoal: { level: 'none' },
    };
    const quotes = [key, floored.key].map(async (by) => (await json(await call('POST', '/v1/quotes', by, body))).level);
    expect(await Promise.all(quotes)).toEqual(['none', 'cross']);
    const texts = { model: 'shoal-pup-3m:q8_0', prompt: ['a', 'b'], max_tokens: 2, shoal: { level: 'none' } };
    expect(await levelOfTask(await call('POST', '/v1/completions', floored.key, texts))).toBe('cross');
    const map = {
      model: 'shoal-pup-3m:q8_0',
      document: 'One. Two.',
      instruction: 'Say it.',
      reduce: 'Join them.',
      shoal: { level: 'none' },
    };
    expect(await levelOfTask(await call('POST', '/v1/map', floored.key, map))).toBe('cross');
    const strict = await makeKey(key, { level: 'strict' });
    const sealed = {
      model: 'shoal-pup-3m:q8_0',
      sampling: {},
      client: `${'K'.repeat(42)}A`,
      nonce: 'A'.repeat(22),
      session: 'A'.repeat(22),
      prefer: null,
      level: 'none',
    };
    expect(await strictnessOf(await call('POST', '/v1/tasks', strict.key, sealed))).toBe('true');
    await tab.tab.close();
    expect(await refusal(await call('POST', '/v1/keys', floored.key, {}))).toEqual([403, 'key_not_allowed']);
  });

  it('names an account whose rate is told with every answer, as OpenAI tells it', async () => {
    const { key } = await anAccount(0);
    const response = await chat(key);
    expect(response.status).toBe(402);
    expect(response.headers.get('x-ratelimit-limit-requests')).toBe('600');
    expect(response.headers.get('x-ratelimit-remaining-requests')).toBe('599');
    expect(Number(response.headers.get('x-ratelimit-remaining-tokens'))).toBeLessThan(4_000_000);
    expect(response.headers.get('x-ratelimit-reset-requests')).toMatch(/^[\d.]+s$/);
  });
});

describe('use without a key', () => {
  /** A request to a router that is set up in this way. */
  const ask = async (setting: string, token: string | null, address: string) => {
    const request = new Request(`${ORIGIN}/v1/chat/completions`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'cf-connecting-ip': address,
        ...(token === null ? {} : { authorization: `Bearer ${token}` }),
      },
      body: JSON.stringify({ model: 'shoal-pup-3m:q4_0', messages: [{ role: 'user', content: 'hello' }] }),
    });
    const context = createExecutionContext();
    return createApp().fetch(request, { ...env, SHOAL_ANONYMOUS: setting }, context);
  };

  it('[M9] has small limits by network prefix where the operator says so, and says when to come back', async () => {
    for (let i = 0; i < 20; i++) expect((await ask('limited', 'none', '203.0.113.7')).status).toBe(503);
    const refused = await ask('limited', null, '203.0.113.99');
    expect(refused.headers.get('retry-after')).toMatch(/^[1-3]$/);
    expect(refused.headers.get('x-ratelimit-limit-requests')).toBe('20');
    expect(refused.headers.get('x-ratelimit-remaining-requests')).toBe('0');
    expect(await refusal(refused)).toEqual([429, 'rate_limit_exceeded']);
    expect((await ask('limited', null, '203.0.114.1')).status).toBe(503);
  });

  it('[M9] is refused where a key is needed', async () => {
    expect(await refusal(await ask('off', null, '203.0.113.7'))).toEqual([401, 'invalid_api_key']);
    expect(await refusal(await ask('off', 'none', '203.0.113.7'))).toEqual([401, 'invalid_api_key']);
    const { key } = await anAccount(1_000_000);
    expect(await refusal(await ask('off', key, '203.0.113.7'))).toEqual([503, 'no_tab']);
    expect(await refusal(await ask('of', null, '203.0.113.7'))).toEqual([503, 'router_not_configured']);
  });
});

describe('credits', () => {
  it('[M1] are given once by their id', async () => {
    const { account, key } = await anAccount(0);
    const give = async (amount: number, to = account) =>
      call('POST', '/v1/credits', await operator(), { id: `gift.${account}`, account: to, amount });
    expect([(await give(5)).status, (await give(5)).status]).toEqual([200, 200]);
    expect(await refusal(await give(6))).toEqual([409, 'transfer_conflict']);
    expect(await refusal(await give(5, 'somebody'))).toEqual([400, 'invalid_value']);
    expect(await json(await call('GET', '/v1/account', key))).toMatchObject({ free: 5, held: 0, balance: 5 });
  });
});

describe('the money of a task', () => {
  it('[M3] is held before a tab is troubled: what the balance does not cover is refused', async () => {
    const { tab } = await aTab();
    const { key } = await anAccount(10);
    const response = await chat(key);
    expect(response.status).toBe(402);
    expect(await response.json()).toMatchObject({
      error: { code: 'insufficient_quota', type: 'insufficient_quota', message: expect.stringContaining('10 free') },
    });
    await tab.tab.close();
  });

  it('[M3] is waited for before a tab is looked for where little is left', async () => {
    const { tab } = await aTab();
    const { key } = await anAccount(600);
    const before = await (await chat(key)).json<{ id: string }>();
    expect(before.id).toMatch(/^chatcmpl-/);
    const seen = tab.snapshot()?.counts;
    const response = await chat(key, { max_tokens: 500, messages: [{ role: 'user', content: 'x'.repeat(300) }] });
    expect(await refusal(response)).toEqual([402, 'insufficient_quota']);
    expect(tab.snapshot()?.counts).toEqual(seen);
    expect((await chat(null)).status).toBe(200); // The tab is free.
    await tab.tab.close();
  });

  it('[M4] [M5] [M6] is paid to the tab when it ends, and the rest comes back', async () => {
    const { served, tab } = await aTab();
    const { key, account, id } = await anAccount(1_000_000);
    const answer = await (await chat(key)).json<{ id: string; usage: { total_tokens: number } }>();
    const price = async () =>
      (await json(await call('GET', `/v1/tasks/${answer.id}`, null))).price as unknown as Record<string, unknown>;
    await expect.poll(async () => (await price())?.status, { timeout: 10_000 }).toBe('settled');
    const perToken = 3;
    const charged = answer.usage.total_tokens * perToken;
    const earned = Math.floor((charged * 95) / 100);
    expect(await price()).toMatchObject({
      charged,
      per_token: perToken,
      percent: { level: 100, sla: 100 },
      paid: [{ role: 'answer', tab: tab.identity, amount: earned }],
    });
    const keys = await routerKeys(env.SHOAL_ROUTER_SECRET);
    const tail = answer.id.replace('chatcmpl-', '');
    const receipt = await json(await call('GET', `/v1/receipts/rcpt_${tail}`, null));
    const { publicKey } = keys.signer;
    const verified = await verifyReceipt(receipt, { routerKey: publicKey });
    expect(verified.problems).toEqual([]);
    const { held } = await price();
    expect(verified.receipt?.price).toMatchObject({ held, perToken, charged, returned: Number(held) - charged });
    const told = JSON.stringify(receipt);
    for (const name of [account.slice(5), key.slice(9), id]) expect(told).not.toContain(name);
    const session = sessionStub(env, await sessionOfTask(keys, tail));
    await runInDurableObject(session, (_, { storage }) => {
      storage.sql.exec("UPDATE purse SET state = json_set(state, '$.usedAt', 1)");
      return storage.setAlarm(Date.now() + 60_000);
    });
    await runDurableObjectAlarm(session);
    expect(await json(await call('GET', '/v1/account', key))).toMatchObject({
      free: 1_000_000 - charged,
      held: 0,
      balance: 1_000_000 - charged,
    });
    await runInDurableObject(ledgerStub(env), (_, { storage }) => {
      const balance = (account: string) =>
        storage.sql.exec<{ amount: number }>('SELECT amount FROM balance WHERE account = ?', account).one().amount;
      expect(balance(tabAccount(tab.identity))).toBe(Math.floor(earned / 2));
      expect(balance(escrowAccount(tab.identity, served.class))).toBe(Math.ceil(earned / 2));
    });
    const csv = await (await call('GET', '/v1/account/statement?format=csv', key)).text();
    const [header, credit, settle, ...rest] = csv.trimEnd().split('\n');
    expect([header, rest]).toEqual(['number,at,kind,task,amount,balance,transfer', []]);
    expect(credit).toMatch(/^\d+,\d+,credit,,1000000,1000000,credit:key_/);
    expect(settle).toMatch(
      new RegExp(`^\\d+,\\d+,settle,task_${tail},-${charged},${1_000_000 - charged},settle:${tail}$`),
    );
    const lines = (await (await call('GET', '/v1/account/statement?format=jsonl&limit=1', key)).text()).trimEnd();
    expect(JSON.parse(lines)).toMatchObject({ kind: 'credit', amount: 1_000_000, balance: 1_000_000 });
    expect(await refusal(await call('GET', '/v1/account/statement?format=pdf', key))).toEqual([400, 'invalid_value']);
    expect(await json(await call('GET', '/v1/ledger/health', null))).toMatchObject({ healthy: true, sum: 0 });
    await tab.tab.close();
  });

  it('is nothing where no tab was found: the hold comes back at once', async () => {
    const { key } = await anAccount(1_000_000);
    expect(await refusal(await chat(key, { model: 'shoal-pup-3m:q4_0' }))).toEqual([503, 'no_tab']);
    const account = (await readKey(await routerKeys(env.SHOAL_ROUTER_SECRET), key)).account;
    // Held by the session, but for no task: all of it can be spent again.
    expect(await refusal(await chat(key, { model: 'shoal-pup-3m:q4_0' }))).toEqual([503, 'no_tab']);
    expect((await ledgerStub(env).account(account)).ok).toBe(true);
  });
});

describe('a request of several parts', () => {
  it.each([
    ['/v1/completions', { prompt: ['one', 'two', 'three'] }],
    ['/v1/chat/completions', { messages: [{ role: 'user', content: 'hello' }], n: 3 }],
    ['/v1/map', { document: 'A sentence. Another one. A third one.', instruction: 'Repeat this.', reduce: null }],
  ] as const)('[M3] %s is refused where the money does not suffice, and nothing of it is run', async (path, body) => {
    const { tab } = await aTab();
    const { key } = await anAccount(1);
    const asked = { model: 'shoal-pup-3m:q8_0', max_tokens: 32, shoal: { level: 'none' }, ...body };
    const response = await call('POST', path, key, asked);
    const told = await response.text();
    expect(told).toContain('insufficient_quota');
    expect(tab.snapshot()?.counts.answers ?? 0).toBe(0);
    await tab.tab.close();
  });

  it('[M5] is charged for each part, by the tokens that count', async () => {
    const { tab } = await aTab();
    const { key } = await anAccount(10_000_000);
    const response = await call('POST', '/v1/completions', key, {
      model: 'shoal-pup-3m:q8_0',
      prompt: ['one', 'two'],
      max_tokens: 8,
      shoal: { level: 'none' },
    });
    expect(response.status).toBe(200);
    const tasks = (response.headers.get('shoal-task') ?? '').split(', ');
    expect(tasks).toHaveLength(2);
    for (const task of tasks) {
      const price = async () =>
        (await (await call('GET', `/v1/tasks/${task}`, null)).json<{ price: { status: string } | null }>()).price;
      await expect.poll(async () => (await price())?.status, { timeout: 10_000 }).toBe('settled');
    }
    await tab.tab.close();
  });
});
