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

/** Writes what no honest engine would. */
class EditingEngine extends ScriptedEngine {
  override async *generate(...asked: Parameters<ScriptedEngine['generate']>): ReturnType<ScriptedEngine['generate']> {
    for await (const event of super.generate(...asked)) {
      yield event.type === 'delta' ? { ...event, text: ' LIE' } : event;
    }
  }
}

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
  it('[P1] come from tasks of their own, each with its seed and receipt, in order', async () => {
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

  it('[P4] are all stopped when their client hangs up', async () => {
    await lend(2, () => new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 50 }));
    const stream = await openai.chat.completions.create({ ...chat, max_tokens: 400, n: 4, stream: true });
    for await (const _ of stream) break;
    stream.controller.abort();
    while (tabs.some(({ snapshot }) => snapshot()?.working !== null)) await new Promise((next) => setTimeout(next, 10));
    expect(tabs.map(({ snapshot }) => snapshot()?.counts.stopped)).toEqual([1, 1]);
  });

  it('[P4] [T8] that still waited for a tab when they were stopped take none', async () => {
    await lend(1, () => new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 20 }));
    const stream = await openai.chat.completions.create({ ...chat, max_tokens: 400, n: 4, stream: true });
    for await (const _ of stream) break;
    stream.controller.abort();
    const { choices } = await openai.chat.completions.create({ ...chat, max_tokens: 2 });
    expect(choices).toHaveLength(1);
    expect(tabs[0]!.snapshot()?.counts).toMatchObject({ stopped: 1, answers: 1, failed: 0 });
  });

  it('are refused as one request is when nobody serves the model', async () => {
    const refused = await openai.chat.completions.create({ ...chat, n: 2 }).catch((cause: unknown) => cause);
    expect(refused).toMatchObject({ status: 503, code: 'no_tab' });
    expect((refused as InstanceType<typeof OpenAI.APIError>).headers?.get('shoal-task')?.split(', ')).toHaveLength(2);
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
    ['a prompt that cannot fit', { prompt: ['a', 'x'.repeat(50_000)] }, 'context_length_exceeded', 'prompt'],
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

describe('a redundant chat', () => {
  it('is answered by as many tabs, and its answer is the one that they agree on', async () => {
    await lend(3);
    const asked = { ...chat, shoal: { redundancy: 3 } } as never;
    const { data, response } = await openai.chat.completions.create(asked).withResponse();
    const alone = await openai.chat.completions.create(chat);
    const { choices, shoal } = data as unknown as { choices: unknown[]; shoal: { redundancy: { answers: Notes[] } } };
    expect(choices).toEqual(alone.choices);
    expect(shoal.redundancy).toMatchObject({ asked: 3, answered: 3, agree: 3, by: 'digest' });
    const told = shoal.redundancy.answers as unknown as { tab: string; agrees: boolean }[];
    expect(told.map(({ agrees }) => agrees)).toEqual([true, true, true]);
    expect(new Set(told.map(({ tab }) => tab)).size).toBe(3);
    expect(response.headers.get('shoal-task')?.split(', ')).toHaveLength(3);
  });

  it('is outvoted where one tab writes something else', async () => {
    await lend(2);
    await lend(1, () => new EditingEngine());
    const { choices, shoal } = (await openai.chat.completions.create({
      ...chat,
      shoal: { redundancy: 3 },
    } as never)) as unknown as { choices: { message: { content: string } }[]; shoal: { redundancy: object } };
    expect(shoal.redundancy).toMatchObject({ asked: 3, answered: 3, agree: 2, by: 'digest' });
    expect(choices[0]!.message.content).not.toContain('LIE');
  });

  it('says how many answered where there are fewer tabs', async () => {
    await lend(1);
    const { shoal } = (await openai.chat.completions.create({
      ...chat,
      shoal: { redundancy: 2 },
    } as never)) as unknown as { shoal: { redundancy: object } };
    expect(shoal.redundancy).toMatchObject({ asked: 2, answered: 1, agree: 1, by: 'only' });
  });

  it('is streamed when it is chosen', async () => {
    await lend(2);
    const alone = await openai.chat.completions.create(chat);
    let text = '';
    const stream = await openai.chat.completions.create({ ...chat, stream: true, shoal: { redundancy: 2 } } as never);
    for await (const chunk of stream as unknown as AsyncIterable<OpenAI.ChatCompletionChunk>) {
      text += chunk.choices[0]?.delta.content ?? '';
    }
    expect(text).toBe(alone.choices[0]!.message.content);
  });
});

describe('embeddings', () => {
  const model = 'shoal-embed-64';

  it('are listed under their own name, as no model that chats', async () => {
    const listed = (await openai.models.list()).data.find(({ id }) => id === model);
    expect(listed).toMatchObject({ shoal: { capabilities: ['embed'], dimensions: 64, variants: [] } });
    expect(await openai.models.retrieve(model)).toEqual(listed);
    await expect(openai.chat.completions.create({ ...chat, model })).rejects.toMatchObject({ code: 'model_not_found' });
  });

  it('are unit vectors of the embedded table, the same in both encodings', async () => {
    const input = ['a shoal of fish', 'many fish that swim together', 'the price of steel'];
    const floats = await openai.embeddings.create({ model, input, encoding_format: 'float' });
    const decoded = await openai.embeddings.create({ model, input }); // The client asks for base64 and decodes it.
    expect(floats.data.map(({ index }) => index)).toEqual([0, 1, 2]);
    for (const [at, { embedding }] of floats.data.entries()) {
      expect(embedding).toHaveLength(64);
      expect(Math.hypot(...embedding)).toBeCloseTo(1, 5);
      expect([...decoded.data[at]!.embedding]).toEqual(embedding);
    }
    const cosine = (a: number, b: number) =>
      floats.data[a]!.embedding.reduce((sum, x, i) => sum + x * floats.data[b]!.embedding[i]!, 0);
    expect(cosine(0, 1)).toBeGreaterThan(cosine(0, 2));
    expect(floats.usage.prompt_tokens).toBe(floats.usage.total_tokens);
    const { data } = await openai.embeddings.create({ model, input: input[0]!, dimensions: 64 });
    expect([...data[0]!.embedding]).toEqual(floats.data[0]!.embedding);
  });

  it.each([
    ['another number of dimensions', { dimensions: 32 }, 'unsupported_field', 'dimensions'],
    ['a model that chats', { model: 'shoal-pup-3m' }, 'invalid_value', 'model'],
    ['a model that nobody has', { model: 'text-embedding-3-small' }, 'model_not_found', 'model'],
    ['tokens', { input: [1, 2] }, 'invalid_type', 'input[0]'],
    ['no text', { input: ['a', ''] }, 'invalid_value', 'input[1]'],
    ['an unknown encoding', { encoding_format: 'int8' }, 'invalid_value', 'encoding_format'],
    ['too many inputs', { input: Array(2_049).fill('a') }, 'invalid_value', 'input'],
  ])('[E2] with %s are refused by name', async (_, changes, code, param) => {
    const asked = { model, input: 'a', ...changes };
    await expect(openai.embeddings.create(asked as never)).rejects.toMatchObject({ code, param });
  });
});

describe('a map', () => {
  const document = Array.from({ length: 40 }, (_, at) => `This is sentence number ${at} of the story. `).join('');
  const asked = {
    model: 'shoal-pup-3m',
    document,
    instruction: 'Say it shorter.',
    reduce: 'Make it one.',
    part_bytes: 400,
  };

  function post(body: unknown): Promise<Response> {
    const headers = { 'content-type': 'application/json' };
    return SELF.fetch(`${ORIGIN}/v1/map`, { method: 'POST', headers, body: JSON.stringify(body) });
  }

  it('is cut, run on all tabs, and reduced', async () => {
    await lend(2);
    const response = await post({ ...asked, max_tokens: 8 });
    const result = await response.json<{ parts: { part: string; text: string }[]; result: string }>();
    expect(result).toMatchObject({ object: 'map', status: 'completed', error: null, model: 'shoal-pup-3m:q8_0' });
    expect(result.parts.map(({ part }) => part)).toEqual(result.parts.map((_, at) => String(at + 1)));
    expect(result.parts.length).toBeGreaterThan(4);
    expect(result.result).not.toBe('');
    expect(response.headers.get('shoal-task')?.split(', ').length).toBeGreaterThan(result.parts.length);
  });

  it('tells its progress and partial results as they come', async () => {
    await lend(2);
    const whole = await (await post({ ...asked, max_tokens: 8, seed: 1 })).json<{ result: string }>();
    const response = await post({ ...asked, max_tokens: 8, seed: 1, stream: true });
    expect(response.headers.get('content-type')).toContain('text/event-stream');
    const lines = (await response.text()).split('\n').filter((line) => line.startsWith('data: '));
    expect(lines.at(-1)).toBe('data: [DONE]');
    const events = lines.slice(0, -1).map((line) => JSON.parse(line.slice(6)) as { type: string; result?: string });
    expect(new Set(events.map(({ type }) => type))).toEqual(
      new Set(['planned', 'part', 'progress', 'reducing', 'result']),
    );
    expect(events.at(-1)?.result).toBe(whole.result);
  });

  it('is over at its deadline, with what there is', async () => {
    await lend(1, () => new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 20 }));
    const response = await post({ ...asked, max_tokens: 20, temperature: 0.8, deadline_ms: 1_000 });
    expect(await response.json()).toMatchObject({
      status: 'incomplete',
      result: null,
      error: { code: 'deadline_exceeded' },
    });
  });

  it('is refused when nobody serves its model', async () => {
    expect((await post(asked)).status).toBe(503);
  });
});
