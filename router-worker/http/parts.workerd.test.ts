import { env, SELF } from 'cloudflare:test';
import OpenAI from 'openai';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { SENTENCE_EMBEDDING_PATH } from '../../shared/classes/catalogue.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { servedCatalogue } from '../models/served-catalogue.ts';
import { lendWorkerdTab, type WorkerdTab } from '../testing/workerd-tab.ts';

const ORIGIN = 'https://shoal.test';
const SLOW = { prefillMsPerToken: 0, decodeMsPerToken: 4 };

const openai = new OpenAI({
  baseURL: `${ORIGIN}/v1`,
  apiKey: 'any',
  maxRetries: 0,
  fetch: (input, init) => SELF.fetch(input as string, init as RequestInit),
});

let table: Uint8Array<ArrayBuffer>;
let q8: string;
let tabs: WorkerdTab[] = [];

async function lend(count: number, engine: () => ScriptedEngine = () => new ScriptedEngine()): Promise<void> {
  for (let i = 0; i < count; i++) tabs.push(await lendWorkerdTab(q8, table, engine()));
}

beforeAll(async () => {
  table = new Uint8Array(await (await env.ASSETS.fetch(`${ORIGIN}${SENTENCE_EMBEDDING_PATH}`)).arrayBuffer());
  q8 = (await servedCatalogue(env)).find(({ variant }) => variant.id === 'q8_0')!.class;
});

afterEach(async () => {
  await Promise.all(tabs.map(({ tab }) => tab.close()));
  tabs = [];
});

interface Notes {
  readonly task: string;
  readonly receipt: string;
  readonly seed: number;
  readonly index: number;
}

const chat = {
  model: 'shoal-pup-3m',
  messages: [{ role: 'user' as const, content: 'What is a shoal?' }],
  temperature: 0.8,
  seed: 11,
  max_tokens: 12,
};

async function receiptOf({ receipt }: Pick<Notes, 'receipt'>): Promise<unknown> {
  for (;;) {
    const response = await SELF.fetch(`${ORIGIN}/v1/receipts/${receipt}`);
    if (response.ok) return response.json();
    await response.body?.cancel();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('n choices', () => {
  it('come from tasks of their own, each with its seed and receipt, in order', async () => {
    await lend(3);
    const { data, response } = await openai.chat.completions.create({ ...chat, n: 3 }).withResponse();
    expect(data.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    const texts = data.choices.map(({ message }) => message.content);
    expect(new Set(texts).size).toBe(3);
    const notes = data.choices.map((choice) => (choice as unknown as { shoal: Notes }).shoal);
    expect(notes.map(({ seed }) => seed)).toEqual([11, 12, 13]);
    expect(new Set(notes.map(({ task }) => task)).size).toBe(3);
    expect(response.headers.get('shoal-task')).toBe(notes.map(({ task }) => task).join(', '));
    expect(data.usage).toMatchObject({ completion_tokens: 36 });
    expect(data.usage!.total_tokens).toBe(data.usage!.prompt_tokens + 36);
    const routerKey = (
      await (await SELF.fetch(`${ORIGIN}/.well-known/shoal.json`)).json<{ router_keys: { key: string }[] }>()
    ).router_keys[0]!.key;
    for (const note of notes) {
      const { problems, receipt } = await verifyReceipt(await receiptOf(note), { routerKey });
      expect(problems).toEqual([]);
      expect(`rcpt_${receipt!.task}`).toBe(note.receipt);
    }
    // The same request has the same choices, and the first of them is the answer to one without `n`.
    const again = await openai.chat.completions.create({ ...chat, n: 3 });
    expect(again.choices.map(({ message }) => message.content)).toEqual(texts);
    const single = await openai.chat.completions.create(chat);
    expect(single.choices[0]!.message.content).toBe(texts[0]);
  });

  it('are streamed side by side, with one id, one finish reason each, and one usage', async () => {
    await lend(2, () => new ScriptedEngine(SLOW));
    const whole = await openai.chat.completions.create({ ...chat, n: 2 });
    const stream = await openai.chat.completions.create({
      ...chat,
      n: 2,
      stream: true,
      stream_options: { include_usage: true },
    });
    const texts = ['', ''];
    const ids = new Set<string>();
    const finishes: unknown[] = [];
    const order: number[] = [];
    let usage: unknown = null;
    for await (const chunk of stream) {
      ids.add(chunk.id);
      usage = chunk.usage ?? usage;
      for (const { index, delta, finish_reason: finish } of chunk.choices) {
        texts[index] += delta.content ?? '';
        if (delta.content) order.push(index);
        if (finish !== null)
          finishes.push({ index, finish, shoal: (chunk as unknown as { shoal: Notes }).shoal.index });
      }
    }
    expect(texts).toEqual(whole.choices.map(({ message }) => message.content));
    expect(ids.size).toBe(1);
    expect(finishes).toHaveLength(2);
    expect(finishes).toContainEqual({ index: 0, finish: 'length', shoal: 0 });
    expect(finishes).toContainEqual({ index: 1, finish: 'length', shoal: 1 });
    expect(usage).toEqual(whole.usage);
    expect(order.lastIndexOf(0)).toBeGreaterThan(order.indexOf(1)); // Side by side.
    expect(order.lastIndexOf(1)).toBeGreaterThan(order.indexOf(0));
  });

  it('may be more than there are tabs', async () => {
    await lend(2);
    const { choices } = await openai.chat.completions.create({ ...chat, n: 20 });
    expect(choices.map(({ index }) => index)).toEqual(Array.from({ length: 20 }, (_, index) => index));
  });

  it('are all stopped when their client hangs up', async () => {
    await lend(2, () => new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 50 }));
    const stream = await openai.chat.completions.create({ ...chat, max_tokens: 400, n: 4, stream: true });
    for await (const _ of stream) break;
    stream.controller.abort();
    while (tabs.some(({ snapshot }) => snapshot()?.working !== null)) await new Promise((next) => setTimeout(next, 10));
    expect(tabs.map(({ snapshot }) => snapshot()?.counts.stopped)).toEqual([1, 1]);
  });

  it('[T8] that still waited for a tab when they were stopped take none', async () => {
    await lend(1, () => new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 20 }));
    const stream = await openai.chat.completions.create({ ...chat, max_tokens: 400, n: 4, stream: true });
    for await (const _ of stream) break;
    stream.controller.abort();
    const { choices } = await openai.chat.completions.create({ ...chat, max_tokens: 2 });
    expect(choices).toHaveLength(1);
    expect(tabs[0]!.snapshot()?.counts).toMatchObject({ stopped: 1, answers: 1, failed: 0 });
  });

  it('are refused as one request is when nobody serves the model', async () => {
    await expect(openai.chat.completions.create({ ...chat, n: 2 })).rejects.toMatchObject({
      status: 503,
      code: 'no_tab',
    });
    await expect(openai.chat.completions.create({ ...chat, n: 2, stream: true })).rejects.toMatchObject({
      status: 503,
    });
  });

  it('withheld until they are verified say so', async () => {
    await lend(3);
    const { data, response } = await openai.chat.completions
      .create({ ...chat, n: 2, shoal: { level: 'strict' } } as never)
      .withResponse();
    expect(response.headers.get('shoal-sure')).toBe('verified');
    expect(data).toMatchObject({ choices: [{ shoal: { sure: 'verified' } }, { shoal: { sure: 'verified' } }] });
  });
});

describe('text completions', () => {
  const asked = { model: 'shoal-pup-3m', seed: 3, max_tokens: 8 };

  it('answer one prompt or many, n times each, in order', async () => {
    await lend(3);
    const one = await openai.completions.create({ ...asked, prompt: 'a shoal' });
    expect(one).toMatchObject({
      object: 'text_completion',
      choices: [{ index: 0, logprobs: null, finish_reason: 'length' }],
    });
    expect(one.id).toMatch(/^cmpl-/);
    const many = await openai.completions.create({
      ...asked,
      prompt: ['a tab', 'a shoal', 'a fish'],
      n: 2,
      temperature: 0,
    });
    expect(many.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3, 4, 5]);
    const texts = many.choices.map(({ text }) => text);
    expect([texts[0], texts[2], texts[4]]).toEqual([texts[1], texts[3], texts[5]]); // Greedy.
    const single = await openai.completions.create({ ...asked, prompt: 'a shoal', temperature: 0 });
    expect(single.choices[0]!.text).toBe(texts[2]);
  });

  it('are streamed', async () => {
    await lend(2);
    const whole = await openai.completions.create({ ...asked, prompt: ['a', 'b'] });
    const texts = ['', ''];
    for await (const chunk of await openai.completions.create({ ...asked, prompt: ['a', 'b'], stream: true })) {
      expect(chunk.object).toBe('text_completion');
      for (const { index, text } of chunk.choices) texts[index] += text;
    }
    expect(texts).toEqual(whole.choices.map(({ text }) => text));
  });

  it.each([
    ['echo', { echo: true }, 'unsupported_field', 'echo'],
    ['a suffix', { suffix: 'end' }, 'unsupported_field', 'suffix'],
    ['log-probabilities', { logprobs: 1 }, 'unsupported_field', 'logprobs'],
    ['the best of several', { best_of: 3 }, 'unsupported_field', 'best_of'],
    ['no text', { prompt: ['a', ' '] }, 'empty_messages', 'prompt[1]'],
    ['tokens', { prompt: [1, 2] }, 'invalid_type', 'prompt[0]'],
    ['no prompt', { prompt: undefined }, 'missing_field', 'prompt'],
    ['too many answers', { prompt: Array(100).fill('a'), n: 3 }, 'invalid_value', 'n'],
    ['an unknown field', { promt: 'a' }, 'unknown_field', 'promt'],
  ])('[E2] with %s are refused by name', async (_, changes, code, param) => {
    await expect(openai.completions.create({ ...asked, prompt: 'a', ...changes } as never)).rejects.toMatchObject({
      code,
      param,
    });
  });
});
