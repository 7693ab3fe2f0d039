import { env, evictDurableObject, runDurableObjectAlarm, runInDurableObject, SELF } from 'cloudflare:test';
import { afterEach, describe, expect, it } from 'vitest';
import { SENTENCE_EMBEDDING_PATH } from '../../shared/classes/catalogue.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { routerKeys } from '../keys/router-keys.ts';
import { servedCatalogue } from '../models/served-catalogue.ts';
import { lendWorkerdTab, type WorkerdTab } from '../testing/workerd-tab.ts';
import { batchStub } from './batch-address.ts';
import type { BatchObjectView, FileObject, ListPage } from './batch-api.ts';
import { MAX_FILE_BYTES } from './batch-limits.ts';
import { SqlBatchStore } from './batch-store.ts';
import { SqlFileStore } from './file-store.ts';
import { STORE_EXAM } from './store-exam.ts';

const ORIGIN = 'https://shoal.test';
const tabs: WorkerdTab[] = [];

afterEach(async () => {
  for (const { tab } of tabs.splice(0)) await tab.close();
});

async function aTab(decodeMsPerToken = 0): Promise<WorkerdTab> {
  const served = (await servedCatalogue(env)).find((entry) => entry.variant.id === 'q8_0')!;
  const table = new Uint8Array(await (await env.ASSETS.fetch(`${ORIGIN}${SENTENCE_EMBEDDING_PATH}`)).arrayBuffer());
  const tab = await lendWorkerdTab(served.class, table, new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken }));
  tabs.push(tab);
  return tab;
}

/** A caller of its own for each test: owners see nothing of each other. */
function callerOf(key: string) {
  const headers = { authorization: `Bearer ${key}` };
  const call = async <T>(path: string, init: RequestInit = {}): Promise<T> => {
    const response = await SELF.fetch(`${ORIGIN}/v1/${path}`, {
      ...init,
      headers: { ...headers, ...(init.headers as Record<string, string> | undefined) },
    });
    return response.json<T>();
  };
  const upload = (content: string | Blob, fields: Record<string, string> = { purpose: 'batch' }) => {
    const form = new FormData();
    const blob = typeof content === 'string' ? new Blob([content]) : content;
    form.append('file', new File([blob], 'in.jsonl')); // The file first, as OpenAI's client for Node sends it.
    for (const [name, value] of Object.entries(fields)) form.append(name, value);
    return call<FileObject & Refusal>('files', { method: 'POST', body: form });
  };
  const create = (input: string, part: object = {}) =>
    call<BatchObjectView & Refusal>('batches', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        input_file_id: input,
        endpoint: '/v1/chat/completions',
        completion_window: '24h',
        ...part,
      }),
    });
  const text = async (file: string | null) =>
    (await SELF.fetch(`${ORIGIN}/v1/files/${file}/content`, { headers })).text();
  const rows = async (file: string | null) =>
    (await text(file)).split('\n').flatMap((line) => (line === '' ? [] : [JSON.parse(line) as Row]));
  const stub = async () => {
    const keys = await routerKeys(env.SHOAL_ROUTER_SECRET);
    const { toBase64Url } = await import('../../shared/bytes.ts');
    const mac = await keys.mac('owner', `network  ${headers.authorization}`);
    return batchStub(env, toBase64Url(mac.subarray(0, 16)));
  };
  return { call, upload, create, text, rows, stub };
}

interface Refusal {
  readonly error?: { readonly code: string; readonly param: string | null };
}

interface Row {
  readonly custom_id: string | null;
  readonly response: { readonly status_code: number; readonly body: { readonly shoal: { readonly receipt: string } } };
  readonly error: { readonly code: string; readonly line?: number } | null;
}

const line = (customId: string, part: object = {}) =>
  JSON.stringify({
    custom_id: customId,
    method: 'POST',
    url: '/v1/chat/completions',
    body: { model: 'shoal-pup-3m:q8_0', messages: [{ role: 'user', content: customId }], max_tokens: 20, ...part },
  });

async function over(caller: ReturnType<typeof callerOf>, id: string): Promise<BatchObjectView> {
  let batch: BatchObjectView | null = null;
  await expect
    .poll(
      async () => {
        batch = await caller.call<BatchObjectView>(`batches/${id}`);
        return ['completed', 'failed', 'expired', 'cancelled'].includes(batch.status);
      },
      { timeout: 15_000, interval: 50 },
    )
    .toBe(true);
  return batch!;
}

describe('the SQL stores on the SQLite of workerd', () => {
  it.each(STORE_EXAM.map((examCase, index) => ({ ...examCase, index })))('$title', async ({ run, index }) => {
    await runInDurableObject(batchStub(env, `exam ${index}`), (_, { storage }) => {
      run(new SqlFileStore(storage.sql), new SqlBatchStore(storage.sql));
    });
  });
});

describe('the batch object', () => {
  it('runs a batch from upload to output, with a receipt for each answer and an error for each bad line', async () => {
    await aTab();
    const caller = callerOf('journey');
    const lines = [
      ...Array.from({ length: 8 }, (_, i) => line(`${i}`)),
      'not JSON',
      line('refused', { temperature: 'hot' }),
      line('unknown', { model: 'gpt-4' }),
    ];
    const file = await caller.upload(lines.join('\n'));
    expect(file).toMatchObject({ object: 'file', purpose: 'batch', filename: 'in.jsonl', status: 'processed' });
    const made = await caller.create(file.id, { metadata: { run: '1' } });
    expect(made).toMatchObject({ object: 'batch', status: 'validating', input_file_id: file.id });
    const batch = await over(caller, made.id);
    expect(batch).toMatchObject({
      status: 'completed',
      request_counts: { total: 11, completed: 8, failed: 3 },
      errors: { object: 'list', data: [{ code: 'invalid_json_line', line: 9 }] },
      metadata: { run: '1' },
    });
    const output = await caller.rows(batch.output_file_id);
    expect(output.map(({ custom_id }) => custom_id)).toEqual(['0', '1', '2', '3', '4', '5', '6', '7']);
    const receipts = output.map(({ response }) => response.body.shoal.receipt);
    expect(new Set(receipts).size).toBe(8);
    for (const receipt of receipts) {
      await expect.poll(async () => (await SELF.fetch(`${ORIGIN}/v1/receipts/${receipt}`)).status).toBe(200);
    }
    const errors = await caller.rows(batch.error_file_id);
    expect(errors.map(({ custom_id, response, error }) => [custom_id, response?.status_code ?? error?.code])).toEqual([
      [null, 'invalid_json_line'],
      ['refused', 400],
      ['unknown', 404],
    ]);
    expect(await caller.call('batches?limit=1')).toMatchObject({ data: [{ id: made.id }], has_more: false });
    const files = await caller.call<ListPage<FileObject>>('files');
    expect(files.data.map(({ purpose }) => purpose).sort()).toEqual(['batch', 'batch_output', 'batch_output']);
  });

  it('[F2] goes on after an eviction in the middle, and counts each line once', async () => {
    await aTab(3);
    await aTab(3);
    const caller = callerOf('evicted');
    const file = await caller.upload(Array.from({ length: 12 }, (_, i) => line(`${i}`)).join('\n'));
    const made = await caller.create(file.id);
    const stub = await caller.stub();
    const done = async () => (await caller.call<BatchObjectView>(`batches/${made.id}`)).request_counts.completed;
    for (const least of [2, 6]) {
      await expect.poll(done, { timeout: 10_000, interval: 20 }).toBeGreaterThanOrEqual(least);
      await evictDurableObject(stub);
      await runDurableObjectAlarm(stub).catch(() => false);
    }
    const batch = await over(caller, made.id);
    expect(batch.request_counts).toEqual({ total: 12, completed: 12, failed: 0 });
    const output = await caller.rows(batch.output_file_id);
    expect(output.map(({ custom_id }) => custom_id)).toEqual(Array.from({ length: 12 }, (_, i) => `${i}`));
  }, 20_000);

  it('is finished by other tabs when one is killed in mid-answer', async () => {
    const victim = await aTab(20);
    const caller = callerOf('killed');
    const file = await caller.upload(Array.from({ length: 4 }, (_, i) => line(`${i}`)).join('\n'));
    const made = await caller.create(file.id);
    await expect.poll(() => victim.snapshot()?.working).toBe('answer');
    victim.break();
    await aTab();
    const batch = await over(caller, made.id);
    expect(batch.request_counts).toEqual({ total: 4, completed: 4, failed: 0 });
  }, 20_000); // A tab has five seconds to come back.

  it('lets a user go first', async () => {
    await aTab(5);
    const caller = callerOf('polite');
    const file = await caller.upload(Array.from({ length: 6 }, (_, i) => line(`${i}`)).join('\n'));
    const made = await caller.create(file.id);
    const counts = async () => (await caller.call<BatchObjectView>(`batches/${made.id}`)).request_counts;
    await expect.poll(async () => (await counts()).completed, { interval: 5 }).toBeGreaterThanOrEqual(1);
    const before = (await counts()).completed;
    const answer = await SELF.fetch(`${ORIGIN}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'shoal-pup-3m:q8_0',
        messages: [{ role: 'user', content: 'a user' }],
        shoal: { level: 'none' },
      }),
    });
    expect(answer.status).toBe(200);
    expect((await counts()).completed - before).toBeLessThanOrEqual(2);
    expect((await over(caller, made.id)).request_counts).toEqual({ total: 6, completed: 6, failed: 0 });
  }, 20_000);

  it('stops at a cancel, and twice is as once', async () => {
    await aTab(50);
    const caller = callerOf('cancels');
    const file = await caller.upload(Array.from({ length: 5 }, (_, i) => line(`${i}`)).join('\n'));
    const made = await caller.create(file.id);
    await expect
      .poll(async () => (await caller.call<BatchObjectView>(`batches/${made.id}`)).status)
      .toBe('in_progress');
    const cancelled = await Promise.all(
      [1, 2].map(() => caller.call<BatchObjectView>(`batches/${made.id}/cancel`, { method: 'POST' })),
    );
    for (const { status } of cancelled) expect(['cancelling', 'cancelled']).toContain(status);
    const batch = await over(caller, made.id);
    expect(batch).toMatchObject({ status: 'cancelled', request_counts: { total: 5, completed: 0, failed: 5 } });
  });

  it('[F1] keeps owners apart: to another one there is no such file and no such batch', async () => {
    const caller = callerOf('mine');
    const other = callerOf('theirs');
    const file = await caller.upload(line('x'));
    const made = await caller.create(file.id);
    const refusals = await Promise.all([
      other.call<Refusal>(`files/${file.id}`),
      other.call<Refusal>(`files/${file.id}/content`),
      other.call<Refusal>(`files/${file.id}`, { method: 'DELETE' }),
      other.create(file.id),
      other.call<Refusal>(`batches/${made.id}`),
      other.call<Refusal>(`batches/${made.id}/cancel`, { method: 'POST' }),
    ]);
    expect(refusals.map(({ error }) => error?.code)).toEqual([
      ...Array(4).fill('file_not_found'),
      ...Array(2).fill('batch_not_found'),
    ]);
    expect((await other.call<ListPage<FileObject>>('files')).data).toEqual([]);
    expect((await other.call<ListPage<BatchObjectView>>('batches')).data).toEqual([]);
    await caller.call(`batches/${made.id}/cancel`, { method: 'POST' });
    expect((await over(caller, made.id)).status).toBe('cancelled');
  });

  it('keeps a long file byte by byte, and nothing of it once it is deleted', async () => {
    const caller = callerOf('bytes');
    const content = new Uint8Array(1_300_000).map((_, i) => (i * 31) % 251);
    const file = await caller.upload(new Blob([content]));
    expect(file.bytes).toBe(content.byteLength);
    const response = await SELF.fetch(`${ORIGIN}/v1/files/${file.id}/content`, {
      headers: { authorization: 'Bearer bytes' },
    });
    expect(Buffer.compare(new Uint8Array(await response.arrayBuffer()), content)).toBe(0);
    expect(await caller.call(`files/${file.id}`, { method: 'DELETE' })).toEqual({
      id: file.id,
      object: 'file',
      deleted: true,
    });
    expect((await caller.call<Refusal>(`files/${file.id}`)).error?.code).toBe('file_not_found');
    await runInDurableObject(await caller.stub(), (_, { storage }) => {
      expect(storage.sql.exec('SELECT COUNT(*) AS n FROM piece').one()).toEqual({ n: 0 });
    });
  });

  it('refuses what is no upload, no batch and no page by name', async () => {
    const caller = callerOf('refusals');
    const file = await caller.upload(line('x'));
    const json = { 'content-type': 'application/json' };
    const codes = await Promise.all([
      caller.upload('x', {}),
      caller.upload('x', { purpose: 'fine-tune' }),
      caller.upload('x', { purpose: 'batch', extra: '1' }),
      caller.upload('x', { purpose: 'batch', 'expires_after[seconds]': '60' }),
      caller.call<Refusal>('files', { method: 'POST', headers: json, body: '{}' }),
      caller.call<Refusal>('files', {
        method: 'POST',
        headers: { 'content-type': 'multipart/form-data; boundary=b' },
        body: '--b\r\ncontent-disposition: form-data; name="file"; filename="x"\r\n\r\ncut off',
      }),
      caller.call<Refusal>('files', { method: 'POST', headers: { 'content-type': 'multipart/form-data' }, body: 'x' }),
      caller.upload(new Blob([new Uint8Array(MAX_FILE_BYTES + 1)])),
      caller.create('file-none'),
      caller.create(file.id, { endpoint: '/v1/images' }),
      caller.create(file.id, { completion_window: '25h' }),
      caller.create(file.id, { completion_window: undefined }),
      caller.create(file.id, { metadata: { a: 1 } }),
      caller.create(file.id, { priority: 1 }),
      caller.call<Refusal>('batches?limit=101'),
      caller.call<Refusal>('batches?after=batch_x'),
      caller.call<Refusal>('files?order=up'),
    ]);
    expect(codes.map(({ error }) => [error?.code, error?.param])).toEqual([
      ['missing_field', 'purpose'],
      ['invalid_value', 'purpose'],
      ['unknown_field', 'extra'],
      ['invalid_value', 'expires_after'],
      ['unsupported_media_type', null],
      ['invalid_multipart', null],
      ['invalid_multipart', null],
      ['file_too_large', 'file'],
      ['file_not_found', null],
      ['invalid_value', 'endpoint'],
      ['invalid_value', 'completion_window'],
      ['missing_field', 'completion_window'],
      ['invalid_value', 'metadata.a'],
      ['unknown_field', 'priority'],
      ['invalid_value', 'limit'],
      ['batch_not_found', null],
      ['invalid_value', 'order'],
    ]);
    const { data } = await caller.call<ListPage<FileObject>>('files');
    expect(data.map(({ id }) => id)).toEqual([file.id]);
    expect((await caller.upload(new Blob([new Uint8Array(MAX_FILE_BYTES)]))).bytes).toBe(MAX_FILE_BYTES);
  }, 20_000);
});
