import { createExecutionContext, env, SELF, waitOnExecutionContext } from 'cloudflare:test';
import OpenAI from 'openai';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import {
  CATALOGUE_PATH,
  type Catalogue,
  type ModelEntry,
  SENTENCE_EMBEDDING_PATH,
} from '../../shared/classes/catalogue.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import type { Embedded } from '../../web-miner/engine/engine.ts';
import { SCRIPTED_DIMENSIONS, ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import type { Env } from '../env.ts';
import { operatorPass, routerKeys } from '../keys/router-keys.ts';
import { servedCatalogue } from '../models/served-catalogue.ts';
import { lendWorkerdTab, type WorkerdTab } from '../testing/workerd-tab.ts';
import { createApp } from './app.ts';

const ORIGIN = 'https://shoal.test';
const MODEL = 'test-embedder';

/** The router with one model more in its catalogue, which embeds. Tabs connect to the same pool. */
let withEmbedder: Env;
let table: Uint8Array<ArrayBuffer>;
let classes: Record<string, string>;
let tabs: WorkerdTab[] = [];

async function ask(path: string, init: RequestInit = {}): Promise<Response> {
  const context = createExecutionContext();
  const response = await createApp().fetch(new Request(`${ORIGIN}${path}`, init), withEmbedder, context);
  const whole = new Response(await response.arrayBuffer(), response);
  await waitOnExecutionContext(context);
  return whole;
}

const post = (path: string, body: object, headers: Record<string, string> = {}) =>
  ask(path, {
    method: 'POST',
    body: JSON.stringify(body),
    headers: { 'content-type': 'application/json', ...headers },
  });

const openai = new OpenAI({
  baseURL: `${ORIGIN}/v1`,
  apiKey: 'any',
  maxRetries: 0,
  fetch: (input, init) => ask(String(input).slice(ORIGIN.length), init as RequestInit),
});

/** Counts what it is asked for. */
class CountingEngine extends ScriptedEngine {
  readonly texts: string[] = [];

  override embed(text: string, signal: AbortSignal): Promise<Embedded> {
    this.texts.push(text);
    return super.embed(text, signal);
  }
}

async function lend(engine: ScriptedEngine = new ScriptedEngine(), variant = 'q8_0'): Promise<WorkerdTab> {
  const served = { model: MODEL, variant, embeds: true };
  const tab = await lendWorkerdTab(classes[variant]!, table, engine, served);
  tabs.push(tab);
  return tab;
}

/** What an honest engine computes. */
async function vectorsOf(texts: readonly string[]): Promise<number[][]> {
  const engine = new ScriptedEngine();
  const { signal } = new AbortController();
  const options = { contextTokens: 512, threads: 1, batchTokens: 64, embeddings: true };
  await engine.load(new Blob(['GGUF']), options, signal);
  const vectors: number[][] = [];
  for (const text of texts) vectors.push([...(await engine.embed(text, signal)).vector]);
  return vectors;
}

beforeAll(async () => {
  table = new Uint8Array(await (await env.ASSETS.fetch(`${ORIGIN}${SENTENCE_EMBEDDING_PATH}`)).arrayBuffer());
  const { v, models } = await (await env.ASSETS.fetch(`${ORIGIN}${CATALOGUE_PATH}`)).json<Catalogue>();
  const [pup] = models;
  const embedder: ModelEntry = {
    ...pup!,
    id: MODEL,
    capabilities: ['embed'],
    chat: null,
    defaults: null,
    embed: { dimensions: SCRIPTED_DIMENSIONS, pooling: 'mean' },
  };
  const assets = {
    fetch: (url: string) =>
      new URL(url).pathname === CATALOGUE_PATH
        ? Promise.resolve(Response.json({ v, models: [...models, embedder] }))
        : env.ASSETS.fetch(url),
  };
  withEmbedder = { ...env, ASSETS: assets as unknown as Env['ASSETS'] };
  const served = (await servedCatalogue(withEmbedder)).filter(({ model }) => model.id === MODEL);
  classes = Object.fromEntries(served.map((one) => [one.variant.id, one.class]));
});

afterEach(async () => {
  await Promise.all(tabs.map(({ tab }) => tab.close()));
  tabs = [];
});

interface Answer {
  readonly data: readonly { readonly index: number; readonly embedding: number[] }[];
  readonly usage: unknown;
  readonly model: string;
  readonly shoal: {
    readonly tasks: readonly string[];
    readonly receipts: readonly string[];
    readonly sure: string;
    readonly parts: readonly { readonly from: number; readonly inputs: number; readonly class: string }[];
  };
}

describe('POST /v1/embeddings with a model in tabs', () => {
  it('gives OpenAI’s client the vectors that the tab computed, as base64 and as numbers', async () => {
    await lend();
    const texts = ['a cup of tea', 'the blue sky'];
    const whole = await openai.embeddings.create({ model: MODEL, input: texts });
    expect(whole.data.map(({ embedding }) => embedding)).toEqual(await vectorsOf(texts));
    expect(whole.data.map(({ index }) => index)).toEqual([0, 1]);
    expect(whole).toMatchObject({
      object: 'list',
      model: `${MODEL}:q8_0`,
      usage: { prompt_tokens: 6, total_tokens: 6 },
    });
    const one = await openai.embeddings.create({
      model: `${MODEL}:q8_0`,
      input: 'a cup of tea',
      encoding_format: 'float',
    });
    expect(one.data[0]!.embedding).toEqual((await vectorsOf(['a cup of tea']))[0]);
    expect(one.usage).toEqual({ prompt_tokens: 3, total_tokens: 3 });
  });

  it('[X3] [P1] [P2] cuts many texts into tasks for all tabs, and keeps their order', async () => {
    const engines = [new CountingEngine(), new CountingEngine(), new CountingEngine()];
    for (const engine of engines) await lend(engine);
    const input = Array.from({ length: 100 }, (_, at) => `text number ${at} of them`);
    const response = await post('/v1/embeddings', { model: MODEL, input, shoal: { level: 'none' } });
    const { data, shoal } = await response.json<Answer>();
    expect(data.map(({ embedding }) => embedding)).toEqual(await vectorsOf(input));
    expect(shoal.tasks).toHaveLength(7);
    expect(shoal.parts.map(({ from, inputs }) => [from, inputs])).toEqual([
      [0, 16],
      [16, 16],
      [32, 16],
      [48, 16],
      [64, 16],
      [80, 16],
      [96, 4],
    ]);
    expect(response.headers.get('shoal-task')).toContain(shoal.tasks[0]);
    for (const { texts } of engines) expect(texts.length).toBeGreaterThan(0);
    expect(engines.flatMap(({ texts }) => texts).sort()).toEqual([...input].sort());
  });

  it('[X1] [K15] at level strict gives vectors that another tab computed too, with receipts that hold', async () => {
    await lend();
    await lend();
    const response = await post('/v1/embeddings', { model: MODEL, input: ['tea', 'sky'] }, { 'shoal-level': 'strict' });
    const { shoal, data } = await response.json<Answer>();
    expect(data).toHaveLength(2);
    expect([shoal.sure, response.headers.get('shoal-sure'), response.headers.get('shoal-level')]).toEqual([
      'verified',
      'verified',
      'strict',
    ]);
    const { router_keys: keys } = await (await SELF.fetch(`${ORIGIN}/.well-known/shoal.json`)).json<{
      router_keys: { key: string }[];
    }>();
    for (const id of shoal.receipts) {
      const receipt = await (await SELF.fetch(`${ORIGIN}/v1/receipts/${id}`)).json();
      expect(await verifyReceipt(receipt, { routerKey: keys[0]!.key })).toMatchObject({ valid: true, problems: [] });
    }
  });

  it('[K15] at level strict gives nothing where nobody can compute them again', async () => {
    await lend();
    const response = await post('/v1/embeddings', { model: MODEL, input: 'tea', shoal: { level: 'strict' } });
    expect(response.status).toBe(502);
    expect(await response.json()).toMatchObject({ error: { code: 'answer_not_verified' } });
  });

  it('[X3] asks another tab where one gives no vectors', async () => {
    class Mute extends ScriptedEngine {
      override async embed(text: string, signal: AbortSignal): Promise<Embedded> {
        return { ...(await super.embed(text, signal)), vector: new Float32Array(3) };
      }
    }
    await lend(new Mute());
    await lend();
    for (let i = 0; i < 3; i++) {
      const response = await post('/v1/embeddings', { model: MODEL, input: ['tea'], shoal: { level: 'none' } });
      const { data } = await response.json<Answer>();
      expect(data.map(({ embedding }) => embedding)).toEqual(await vectorsOf(['tea']));
    }
  });

  it('[X3] takes all vectors of a response from one class', async () => {
    await lend(new ScriptedEngine(), 'q4_0');
    await lend(new ScriptedEngine(), 'q8_0');
    await lend(new ScriptedEngine(), 'q4_0');
    const input = Array.from({ length: 40 }, (_, at) => `text ${at}`);
    const { model, shoal } = await (
      await post('/v1/embeddings', { model: MODEL, input, shoal: { level: 'none' } })
    ).json<Answer>();
    expect(model).toBe(`${MODEL}:q4_0`);
    expect(new Set(shoal.parts.map((part) => part.class))).toEqual(new Set([classes.q4_0]));
  });

  it('names the text that is too long, before and after a tab counted its tokens', async () => {
    await lend();
    const hopeless = await post('/v1/embeddings', { model: MODEL, input: ['tea', 'x'.repeat(50_000)] });
    expect(await hopeless.json()).toMatchObject({
      error: {
        code: 'context_length_exceeded',
        param: 'input[1]',
        message: expect.stringContaining('This text has at least'),
      },
    });
    const input = Array.from({ length: 40 }, (_, at) => (at === 21 ? 'long '.repeat(80) : `text ${at}`));
    const counted = await post('/v1/embeddings', { model: MODEL, input });
    expect([counted.status, await counted.json()]).toMatchObject([
      400,
      {
        error: {
          code: 'context_length_exceeded',
          param: 'input[21]',
          message: expect.stringContaining('has 100 tokens'),
        },
      },
    ]);
    const alone = await post('/v1/embeddings', { model: MODEL, input: 'long '.repeat(80) });
    expect(await alone.json()).toMatchObject({ error: { code: 'context_length_exceeded', param: 'input' } });
  });

  it('tells of no more tokens than the texts can have, whatever the tab says', async () => {
    class BoastingEngine extends ScriptedEngine {
      override async embed(text: string, signal: AbortSignal): Promise<Embedded> {
        return { ...(await super.embed(text, signal)), tokens: 30_000 };
      }
    }
    await lend(new BoastingEngine());
    const body = { model: MODEL, input: ['tea', 'sky'], shoal: { level: 'none' } };
    const { usage } = await (await post('/v1/embeddings', body)).json<Answer>();
    expect(usage).toEqual({ prompt_tokens: 14, total_tokens: 14 }); // Six bytes, and four around each text.
  });

  it('refuses by name what it does not honour', async () => {
    await lend();
    const refusal = async (body: object) => {
      const { error } = await (await post('/v1/embeddings', body)).json<{ error: { code: string; param: string } }>();
      return [error.code, error.param];
    };
    const input = 'tea';
    expect(await refusal({ model: MODEL, input, dimensions: 8 })).toEqual(['unsupported_field', 'dimensions']);
    expect(await refusal({ model: 'shoal-pup-3m', input })).toEqual(['invalid_value', 'model']);
    expect(await refusal({ model: 'nobody', input })).toEqual(['model_not_found', 'model']);
    expect(await refusal({ model: MODEL, input: ['tea', ''] })).toEqual(['invalid_value', 'input[1]']);
    expect(await refusal({ model: MODEL, input: [[1, 2]] })).toEqual(['invalid_type', 'input[0]']);
    expect(await refusal({ model: MODEL, input, shoal: { level: 'high' } })).toEqual(['invalid_value', 'shoal.level']);
    expect(await refusal({ model: 'shoal-embed-64', input, shoal: { level: 'cross' } })).toEqual([
      'unsupported_field',
      'shoal',
    ]);
    expect((await post('/v1/embeddings', { model: MODEL, input, dimensions: SCRIPTED_DIMENSIONS })).status).toBe(200);
  });

  it('refuses by name to chat with a model that embeds, on every path', async () => {
    await lend();
    const messages = [{ role: 'user', content: 'Hello!' }];
    const bodies: [string, object][] = [
      ['/v1/chat/completions', { messages }],
      ['/v1/chat/completions', { messages, n: 2 }],
      ['/v1/completions', { prompt: 'Hello!' }],
      ['/v1/quotes', { messages }],
    ];
    for (const [path, body] of bodies) {
      const response = await post(path, { model: MODEL, ...body });
      expect({ path, status: response.status, ...(await response.json<object>()) }).toMatchObject({
        path,
        status: 400,
        error: { code: 'invalid_value', param: 'model', message: expect.stringContaining('not chat') },
      });
    }
  });

  it('says that nobody serves the model where nobody does', async () => {
    const response = await post('/v1/embeddings', { model: MODEL, input: 'tea' });
    expect([response.status, await response.json()]).toMatchObject([503, { error: { code: 'no_tab' } }]);
  });

  it('[F5] is not run again under its Idempotency-Key', async () => {
    const engine = new CountingEngine();
    await lend(engine);
    const key = { 'idempotency-key': crypto.randomUUID() };
    const body = { model: MODEL, input: 'tea', store: true, shoal: { level: 'none' } };
    const first = await (await post('/v1/embeddings', body, key)).text();
    const again = await post('/v1/embeddings', body, key);
    expect([await again.text(), again.headers.get('idempotency-replayed'), engine.texts]).toEqual([
      first,
      'true',
      ['tea'],
    ]);
  });
});

describe('texts that are embedded within a session', () => {
  const setUp = async (body: object) =>
    (await (await post('/v1/sessions', { level: 'none', ...body })).json<{ id: string }>()).id;
  const within = (session: string, part: object = {}, headers: Record<string, string> = {}) =>
    post('/v1/embeddings', { model: MODEL, input: 'a cup of tea', ...part }, { 'shoal-session': session, ...headers });
  const useOf = async (session: string) =>
    (await (await ask(`/v1/sessions/${session}`)).json<{ use: Record<string, number> }>()).use;
  const refusal = async (response: Response) => {
    const { error } = await response.json<{ error: { code: string; param: string | null } }>();
    return [error.code, error.param];
  };
  const MANY = Array.from({ length: 40 }, (_, at) => `text ${at}`);

  it('[B2] [B4] are tasks of it: read by the tabs that it allows, paid from its budget, and listed', async () => {
    const allowed = [(await lend()).identity, (await lend()).identity];
    const other = await lend();
    const session = await setUp({ model: MODEL, budget: 100_000, placement: { allow: allowed } });
    const answer = await (await within(session, { model: undefined, input: MANY })).json<Answer>();
    expect(answer.data.map(({ embedding }) => embedding)).toEqual(await vectorsOf(MANY));
    const { data } = await (await ask(`/v1/sessions/${session}/tasks`)).json<{
      data: { id: string; tab: string; price: unknown; usage: { total_tokens: number } }[];
    }>();
    expect(data.map(({ id }) => id).toSorted()).toEqual([...answer.shoal.tasks].toSorted());
    expect(data.length).toBeGreaterThan(1);
    expect(data.every(({ tab }) => allowed.includes(tab) && tab !== other.identity)).toBe(true);
    await expect.poll(() => useOf(session)).toMatchObject({ tasks: data.length, answering: 0, held: 0 });
    expect((await useOf(session)).spent).toBeGreaterThan(0);
  });

  it('[B3] [B4] [B6] are refused as everything else in it', async () => {
    const tab = await lend();
    expect(await refusal(await within(await setUp({ budget: 1 }), { input: MANY }))).toEqual([
      'session_exhausted',
      'budget',
    ]);
    expect(await refusal(await within(await setUp({ price_ceiling: 1 }), { input: MANY }))).toEqual([
      'price_above_ceiling',
      'price_ceiling',
    ]);
    const few = await setUp({ max_tasks: 2 });
    expect(await refusal(await within(few, { input: MANY }))).toEqual(['session_exhausted', 'max_tasks']);
    expect((await useOf(few)).tasks).toBe(0);
    expect(await refusal(await within(await setUp({ tabs: { min: 2 } })))).toEqual(['no_tab', 'tabs.min']);
    const blocked = await setUp({ placement: { block: [tab.identity] } });
    expect(await refusal(await within(blocked))).toEqual(['no_tab', null]);
    const elsewhere = await setUp({ placement: { regions: ['EU'] } });
    expect(await refusal(await within(elsewhere))).toEqual(['no_tab', 'placement.regions']);
    expect(await refusal(await within(await setUp({ model: 'shoal-pup-3m' })))).toEqual(['session_mismatch', 'model']);
    const storing = await setUp({ store: true });
    expect(await refusal(await within(storing, { store: true }))).toEqual(['invalid_type', 'store']);
    const other = { authorization: 'Bearer other' };
    expect(await refusal(await within(storing, {}, other))).toEqual(['session_not_found', 'session']);
  });

  it('[B6] have its level, its variant, and its deadline, and the name in the body', async () => {
    await lend();
    await lend(new ScriptedEngine(), 'q4_0');
    const narrow = await setUp({ model: `${MODEL}:q4_0` });
    const named = await post('/v1/embeddings', { model: MODEL, input: 'tea', shoal: { session: narrow } });
    expect((await named.json<Answer>()).model).toBe(`${MODEL}:q4_0`);
    const checked = await setUp({ model: `${MODEL}:q4_0`, level: 'cross' });
    expect((await within(checked)).headers.get('shoal-level')).toBe('cross');
    class Late extends ScriptedEngine {
      override async embed(text: string, signal: AbortSignal): Promise<Embedded> {
        await new Promise((resolve) => setTimeout(resolve, 3_000));
        return super.embed(text, signal);
      }
    }
    for (const { tab } of tabs.splice(0)) await tab.close();
    await lend(new Late());
    expect(await refusal(await within(await setUp({ deadline_ms: 1_000 })))).toEqual(['deadline_exceeded', null]);
  });
});

describe('the bill of texts that were embedded', () => {
  it('[M5] is for what was done where a text of the request was too long for all of them to be given', async () => {
    await lend();
    const operator = `Bearer ${await operatorPass(await routerKeys(env.SHOAL_ROUTER_SECRET))}`;
    const made = await (await post('/v1/keys', {}, { authorization: operator })).json<{
      key: string;
      account: string;
    }>();
    const credits = { id: crypto.randomUUID(), account: made.account, amount: 100_000 };
    expect((await post('/v1/credits', credits, { authorization: operator })).status).toBe(200);
    const input = [...Array.from({ length: 16 }, () => 'a cup of tea'), 'long '.repeat(200)];
    const body = { model: `${MODEL}:q8_0`, input, shoal: { level: 'none' } };
    const refused = await post('/v1/embeddings', body, { authorization: `Bearer ${made.key}` });
    expect(await refused.json()).toMatchObject({ error: { code: 'context_length_exceeded', param: 'input[16]' } });
    const [first] = refused.headers.get('shoal-task')!.split(', ');
    const price = async () => (await (await ask(`/v1/tasks/${first}`)).json<{ price: object }>()).price;
    await expect.poll(price, { timeout: 4_000 }).toMatchObject({ status: 'settled', charged: 48 });
  });

  it('[M3] [M5] is for the tokens that were read, at the price of the model and the level', async () => {
    await lend();
    await lend();
    const operator = `Bearer ${await operatorPass(await routerKeys(env.SHOAL_ROUTER_SECRET))}`;
    const made = await (await post('/v1/keys', {}, { authorization: operator })).json<{
      key: string;
      account: string;
    }>();
    const credits = { id: crypto.randomUUID(), account: made.account, amount: 10_000 };
    expect((await post('/v1/credits', credits, { authorization: operator })).status).toBe(200);
    const body = { model: `${MODEL}:q8_0`, input: ['a cup of tea', 'the blue sky'], shoal: { level: 'strict' } };
    const { shoal } = await (
      await post('/v1/embeddings', body, { authorization: `Bearer ${made.key}` })
    ).json<Answer>();
    expect(shoal.tasks).toHaveLength(2); // A part for each tab that is free.
    const price = async () =>
      (await (await ask(`/v1/tasks/${shoal.tasks[0]}`)).json<{ price: { status: string } }>()).price;
    await expect.poll(async () => (await price()).status, { timeout: 10_000 }).toBe('settled');
    // Three tokens of a model of 3 MiB, at 110 percent and one check; held were as many as the text has bytes, and four.
    expect(await price()).toMatchObject({
      charged: 7,
      held: 34,
      per_token: 1,
      percent: { level: 210, sla: 100 },
      paid: [
        { role: 'answer', amount: 2 },
        { role: 'check', amount: 2 },
      ],
    });
  });
});

describe('GET /v1/models', () => {
  it('says of a model that embeds what its vectors are, what a token costs, and how many tabs serve it', async () => {
    await lend();
    const { shoal } = await (await ask(`/v1/models/${MODEL}`)).json<{
      shoal: { variants: readonly { id: string; price_per_token: number; classes: readonly unknown[] }[] };
    }>();
    expect(shoal).toMatchObject({ capabilities: ['embed'], dimensions: SCRIPTED_DIMENSIONS, defaults: null, tabs: 1 });
    const [variant] = shoal.variants;
    expect(variant).toMatchObject({ id: 'q8_0', price_per_token: 1 });
    const demand = { waiting_requests: 0, unserved_requests: expect.any(Number) };
    expect(variant?.classes).toEqual([
      { id: classes.q8_0, exact: true, tabs: 1, free_tabs: 1, check_only_tabs: 0, ...demand },
    ]);
  });
});

describe('the embedded table', () => {
  it('is named for what it is, and embeds as before', async () => {
    const { data, model } = await openai.embeddings.create({ model: 'shoal-embed-64', input: ['a cup of tea'] });
    expect([model, data[0]!.embedding.length]).toEqual(['shoal-embed-64', 64]);
  });
});
