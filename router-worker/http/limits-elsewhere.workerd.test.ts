import { createExecutionContext, env, SELF } from 'cloudflare:test';
import { afterEach, expect, it } from 'vitest';
import { SENTENCE_EMBEDDING_PATH } from '../../shared/classes/catalogue.ts';
import type { BatchObjectView, FileObject } from '../batches/batch-api.ts';
import { operatorPass, routerKeys } from '../keys/router-keys.ts';
import { servedCatalogue } from '../models/served-catalogue.ts';
import { lendWorkerdTab, type WorkerdTab } from '../testing/workerd-tab.ts';
import { createApp } from './app.ts';

const ORIGIN = 'https://shoal.test';
const tabs: WorkerdTab[] = [];

afterEach(async () => {
  for (const { tab } of tabs.splice(0)) await tab.close();
});

async function lendATab(): Promise<void> {
  const served = (await servedCatalogue(env)).find((entry) => entry.variant.id === 'q8_0')!;
  const table = new Uint8Array(await (await env.ASSETS.fetch(`${ORIGIN}${SENTENCE_EMBEDDING_PATH}`)).arrayBuffer());
  tabs.push(await lendWorkerdTab(served.class, table));
}

async function call<T>(method: string, path: string, key: string, body?: object | FormData): Promise<T> {
  const isJson = body !== undefined && !(body instanceof FormData);
  const response = await SELF.fetch(ORIGIN + path, {
    method,
    headers: { authorization: `Bearer ${key}`, ...(isJson && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: isJson ? JSON.stringify(body) : body }),
  });
  return response.json<T>();
}

interface Made {
  readonly id: string;
  readonly key: string;
  readonly account: string;
}

async function anAccount(): Promise<Made> {
  const operator = operatorPass(await routerKeys(env.SHOAL_ROUTER_SECRET));
  const made = await call<Made>('POST', '/v1/keys', await operator, {});
  await call('POST', '/v1/credits', await operator, { id: made.id, account: made.account, amount: 10_000_000 });
  return made;
}

function aFile(): FormData {
  const form = new FormData();
  const body = {
    model: 'shoal-pup-3m:q8_0',
    messages: [{ role: 'user', content: 'hello' }],
    max_tokens: 8,
    shoal: { level: 'none' },
  };
  const line = JSON.stringify({ custom_id: 'one', method: 'POST', url: '/v1/chat/completions', body });
  form.append('file', new File([line], 'in.jsonl'));
  form.append('purpose', 'batch');
  return form;
}

async function aBatch(key: string): Promise<BatchObjectView> {
  const { id } = await call<FileObject>('POST', '/v1/files', key, aFile());
  const body = { input_file_id: id, endpoint: '/v1/chat/completions', completion_window: '24h' };
  return call<BatchObjectView>('POST', '/v1/batches', key, body);
}

/** What the one line of a batch came to. */
async function statusOfLine(key: string, id: string): Promise<number> {
  const view = () => call<BatchObjectView>('GET', `/v1/batches/${id}`, key);
  await expect.poll(async () => (await view()).status, { timeout: 15_000, interval: 50 }).toBe('completed');
  const { output_file_id: output, error_file_id: errors } = await view();
  const response = await SELF.fetch(`${ORIGIN}/v1/files/${output ?? errors}/content`, {
    headers: { authorization: `Bearer ${key}` },
  });
  return (JSON.parse(await response.text()) as { response: { status_code: number } }).response.status_code;
}

it('[M8] keeps a key to its models in the lines of a batch', async () => {
  await lendATab();
  const { key } = await anAccount();
  const narrow = await call<Made>('POST', '/v1/keys', key, { models: ['another-model'] });
  expect(await statusOfLine(key, (await aBatch(narrow.key)).id)).toBe(403);
});

it('[M8] runs no line of a batch after the revocation of its key', async () => {
  const { key } = await anAccount();
  const second = await call<Made>('POST', '/v1/keys', key, {});
  const { id } = await aBatch(second.key);
  await call('DELETE', `/v1/keys/${second.id}`, key);
  await lendATab();
  expect(await statusOfLine(key, id)).toBe(401);
});

/** A request of somebody without a key. */
async function ask(setting: string, address: string, token: string, path: string, init: RequestInit = {}) {
  const headers = new Headers(init.headers);
  headers.set('cf-connecting-ip', address);
  headers.set('authorization', `Bearer ${token}`);
  const request = new Request(ORIGIN + path, { ...init, headers });
  return createApp().fetch(request, { ...env, SHOAL_ANONYMOUS: setting }, createExecutionContext());
}

it('[M9] keeps no file of anybody without a key where a key is needed', async () => {
  const refused = await ask('off', '203.0.113.7', 'none', '/v1/files', { method: 'POST', body: aFile() });
  expect(refused.status).toBe(401);
  expect((await ask('off', '203.0.113.7', 'none', '/v1/files')).status).toBe(401);
});

it('[M9] embeds nothing for anybody without a key where a key is needed, and counts it where the rate is limited', async () => {
  const init = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'shoal-embed-64', input: 'hello' }),
  };
  expect((await ask('off', '203.0.113.7', 'none', '/v1/embeddings', init)).status).toBe(401);
  const limited = await ask('limited', '198.51.100.7', 'none', '/v1/embeddings', init);
  expect(limited.headers.get('x-ratelimit-remaining-requests')).toBe('19');
});

it('[F1] shows two strangers who both give the apiKey of the README nothing of each other', async () => {
  const file = await ask('limited', '192.0.2.1', 'none', '/v1/files', { method: 'POST', body: aFile() });
  const { id } = await file.json<FileObject>();
  expect((await ask('limited', '192.0.2.1', 'none', `/v1/files/${id}/content`)).status).toBe(200);
  const list = await ask('limited', '198.51.100.9', 'none', '/v1/files');
  expect(await list.json()).toMatchObject({ data: [] });
  expect((await ask('limited', '198.51.100.9', 'none', `/v1/files/${id}/content`)).status).toBe(404);
});

it('[F1] gives the files of an account to nobody who only names the account', async () => {
  const { key, account } = await anAccount();
  const { id } = await call<FileObject>('POST', '/v1/files', key, aFile());
  const authorization = `account ${account.replace('acct_', '')}`;
  const read = await SELF.fetch(`${ORIGIN}/v1/files/${id}/content`, { headers: { authorization } });
  expect(read.status).toBe(404);
  const list = await SELF.fetch(`${ORIGIN}/v1/files`, { headers: { authorization } });
  expect(await list.json()).toMatchObject({ data: [] });
});

it('[M8] lets a key that ends make none that lasts longer', async () => {
  const { key } = await anAccount();
  const end = Date.now() + 60_000;
  const ending = await call<Made>('POST', '/v1/keys', key, { expires_at: end });
  const lasting = await call<{ expires_at: number | null }>('POST', '/v1/keys', ending.key, {});
  expect(lasting.expires_at).toBe(end);
  const longer = await call<{ expires_at: number | null }>('POST', '/v1/keys', ending.key, { expires_at: end + 1 });
  expect(longer.expires_at).toBe(end);
});
