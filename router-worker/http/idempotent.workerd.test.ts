import { env, evictDurableObject, SELF } from 'cloudflare:test';
import { afterEach, describe, expect, it } from 'vitest';
import { toBase64Url } from '../../shared/bytes.ts';
import { SENTENCE_EMBEDDING_PATH } from '../../shared/classes/catalogue.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { routerKeys } from '../keys/router-keys.ts';
import { servedCatalogue } from '../models/served-catalogue.ts';
import { lendWorkerdTab, type WorkerdTab } from '../testing/workerd-tab.ts';

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

function ask(key: string, part: object = {}, caller = 'Bearer idempotent'): Promise<Response> {
  return SELF.fetch(`${ORIGIN}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key, authorization: caller },
    body: JSON.stringify({
      model: 'shoal-pup-3m:q8_0',
      messages: [{ role: 'user', content: 'hello' }],
      max_tokens: 20,
      shoal: { level: 'none' },
      ...part,
    }),
  });
}

const codeOf = async (response: Response) =>
  (await response.json<{ error?: { code: string } }>()).error?.code ?? response.status;

describe('[F5] an Idempotency-Key', () => {
  it('answers once: the second request is pointed to the task of the first, whose text was not kept', async () => {
    const tab = await aTab();
    const first = await ask('plain');
    const task = first.headers.get('shoal-task');
    await first.text();
    const second = await ask('plain');
    expect([second.status, second.headers.get('shoal-task'), await codeOf(second)]).toEqual([
      409,
      task,
      'idempotency_done',
    ]);
    expect(await codeOf(await ask('plain', { temperature: 0 }))).toBe('idempotency_mismatch');
    expect((await ask('plain', {}, 'Bearer somebody else')).status).toBe(200);
    expect(tab.snapshot()?.counts.answers).toBe(2);
  });

  it('gives the same answer again where it was to be stored, whole or as a stream, and after an eviction', async () => {
    const tab = await aTab();
    for (const stream of [false, true]) {
      const key = `stored-${stream}`;
      const first = await ask(key, { store: true, stream });
      const text = await first.text();
      const keys = await routerKeys(env.SHOAL_ROUTER_SECRET);
      const owner = toBase64Url((await keys.mac('owner', 'network  Bearer idempotent')).subarray(0, 16));
      await evictDurableObject(env.IDEMPOTENCY.get(env.IDEMPOTENCY.idFromName(owner)));
      const second = await ask(key, { store: true, stream });
      expect(await second.text()).toBe(text);
      expect(second.headers.get('idempotency-replayed')).toBe('true');
      expect(second.headers.get('content-type')).toBe(first.headers.get('content-type'));
      expect(second.headers.get('shoal-task')).toBe(first.headers.get('shoal-task'));
    }
    expect(tab.snapshot()?.counts.answers).toBe(2);
  });

  it('refuses a second request while the first runs, and names its task', async () => {
    await aTab(20);
    const first = ask('running');
    let task: string | null = null;
    await expect
      .poll(async () => {
        const second = await ask('running');
        task = second.headers.get('shoal-task');
        return [await codeOf(second), second.headers.get('retry-after'), task !== null];
      })
      .toEqual(['idempotency_in_progress', '2', true]);
    const answered = await first;
    await answered.text();
    expect(answered.headers.get('shoal-task')).toBe(task);
  });

  it('is free again when the request was refused, or its stream was given up', async () => {
    expect(await codeOf(await ask('refused', { temperature: 'hot' }))).toBe('invalid_type');
    expect(await codeOf(await ask('refused', { model: 'gpt-4' }))).toBe('model_not_found');
    await aTab(50);
    const hungUp = await ask('hung-up', { stream: true });
    await hungUp.body?.cancel();
    await expect
      .poll(async () => codeOf(await ask('hung-up', { max_tokens: 1 })), { timeout: 4_000, interval: 200 })
      .toBe(200);
  });

  it('is kept where the client was gone before it had read the whole answer: it is not written and charged again', async () => {
    const tab = await aTab();
    const lost = await ask('lost', { store: true });
    await lost.body?.cancel();
    await new Promise((resolve) => setTimeout(resolve, 200));
    const again = await ask('lost', { store: true });
    expect([again.status, again.headers.get('idempotency-replayed')]).toEqual([200, 'true']);
    expect(await again.text()).toContain(lost.headers.get('shoal-task')?.replace('task_', '') ?? 'none');
    expect(tab.snapshot()?.counts.answers).toBe(1);
  });

  it('must be visible ASCII, and store needs one', async () => {
    expect(await codeOf(await ask('x'.repeat(256)))).toBe('invalid_value');
    const response = await SELF.fetch(`${ORIGIN}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'shoal-pup-3m', messages: [{ role: 'user', content: 'x' }], store: true }),
    });
    expect(await codeOf(response)).toBe('unsupported_field');
  });

  it('makes one batch of two requests for it', async () => {
    const headers = { authorization: 'Bearer one batch' };
    const form = new FormData();
    form.append('purpose', 'batch');
    form.append('file', new File(['x'], 'x.jsonl'));
    const file = await (await SELF.fetch(`${ORIGIN}/v1/files`, { method: 'POST', headers, body: form })).json<{
      id: string;
    }>();
    const create = async () =>
      (
        await SELF.fetch(`${ORIGIN}/v1/batches`, {
          method: 'POST',
          headers: { ...headers, 'content-type': 'application/json', 'idempotency-key': 'b' },
          body: JSON.stringify({
            input_file_id: file.id,
            endpoint: '/v1/chat/completions',
            completion_window: '24h',
          }),
        })
      ).json<{ id: string }>();
    const first = await create();
    expect(await create()).toEqual(first);
    const list = await (await SELF.fetch(`${ORIGIN}/v1/batches`, { headers })).json<{ data: { id: string }[] }>();
    expect(list.data.map(({ id }) => id)).toEqual([first.id]);
    await expect
      .poll(async () => {
        const batch = await SELF.fetch(`${ORIGIN}/v1/batches/${first.id}`, { headers });
        return (await batch.json<{ status: string }>()).status;
      })
      .toBe('failed');
  });
});
