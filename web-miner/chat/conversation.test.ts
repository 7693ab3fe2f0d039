import { describe, expect, it } from 'vitest';
import type { Question } from '../../client/sealed-client.ts';
import { ShoalError } from '../../shared/errors.ts';
import { parseTranscript } from '../../shared/receipt/transcript.ts';
import type { TaskUpdate } from '../../shared/sealed-task/sealed-task.ts';
import { DEFAULT_SETTINGS } from './chat-settings.ts';
import { Conversation, type ConversationPorts } from './conversation.ts';
import type { Turn } from './exchange.ts';
import type { AskingClient, FollowedAnswer } from './following.ts';

const SALT = 'A'.repeat(22);

const WRITTEN: readonly TaskUpdate[] = [
  { type: 'waiting', ahead: 0, etaMs: 900 },
  { type: 'accepted', promptTokens: 7 },
  { type: 'text', text: 'Tea ', tokens: 1, path: 'relay' },
  { type: 'text', text: 'is hot.', tokens: 3, path: 'direct' },
  { type: 'answered', finish: 'stop', promptTokens: 7, completionTokens: 5 },
  { type: 'committed' },
  { type: 'similarity', cosine: 1 },
  { type: 'ended', verdict: { value: 'unchecked', reason: 'nobody_fit' }, receipt: null },
];

/** A client that answers with these updates, and remembers what it was asked. */
class FakeClient implements AskingClient {
  readonly asked: Question[] = [];
  readonly #answer: (signal: AbortSignal) => AsyncGenerator<TaskUpdate, void, undefined>;

  constructor(answer: (signal: AbortSignal) => AsyncGenerator<TaskUpdate, void, undefined>) {
    this.#answer = answer;
  }

  async ask(question: Question, { signal }: { readonly signal?: AbortSignal }): Promise<FollowedAnswer> {
    this.asked.push(question);
    const updates = this.#answer(signal ?? new AbortController().signal);
    return {
      updates: () => updates,
      salt: SALT,
      promptPath: 'relay',
      traffic: async () => ({ relayBytes: 10, directBytes: 20 }),
    };
  }

  routerKey(): Promise<string> {
    return Promise.resolve('key');
  }
}

async function* written(): AsyncGenerator<TaskUpdate, void, undefined> {
  yield* WRITTEN;
}

function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const fail = () => reject(new ShoalError('cancelled', 'The request was stopped.'));
    if (signal.aborted) fail();
    signal.addEventListener('abort', fail);
  });
}

function conversation(client: AskingClient, part: Partial<ConversationPorts> = {}) {
  const seen: { readonly turns: readonly Turn[]; readonly busy: boolean }[] = [];
  const talk = new Conversation({
    model: async () => 'pup',
    settings: () => DEFAULT_SETTINGS,
    client: () => client,
    readableBytes: async () => 0,
    onChange: (turns, busy) => seen.push({ turns, busy }),
    ...part,
  });
  return { talk, seen, last: () => seen.at(-1)?.turns ?? [] };
}

describe('a conversation', () => {
  it('shows an answer as it is written, and what became of it', async () => {
    const { talk, seen, last } = conversation(new FakeClient(written));
    const exchange = await talk.ask('How is tea?', { maxTokens: 9 });
    expect(exchange).toMatchObject({
      question: 'How is tea?',
      answer: 'Tea is hot.',
      state: 'done',
      tokens: 5,
      framesByRelay: 1,
      framesDirect: 1,
      relayBytes: 10,
      directBytes: 20,
      cosine: 1,
      verdict: { value: 'unchecked', reason: 'nobody_fit' },
    });
    expect(last()).toEqual([{ question: 'How is tea?', answers: [exchange], picked: 0 }]);
    const answers = seen.map(({ turns }) => turns[0]?.answers[0]?.answer);
    expect(new Set(answers)).toEqual(new Set(['', 'Tea ', 'Tea is hot.']));
    expect(seen.map(({ busy }) => busy).slice(-2)).toEqual([true, false]);
  });

  it('keeps of a whole answer what an audit will ask for', async () => {
    const task = 'A'.repeat(46);
    const leased = { type: 'leased', lease: { task, tab: 'tab' } } as unknown as TaskUpdate;
    const client = new FakeClient(async function* () {
      yield leased;
      yield* WRITTEN;
    });
    const { transcript } = await conversation(client).talk.ask('How is tea?', { maxTokens: 9 });
    expect(transcript).toEqual({
      request: { model: 'pup', messages: [{ role: 'user', content: 'How is tea?' }], max_tokens: 9 },
      response: {
        choices: [{ index: 0, message: { role: 'assistant', content: 'Tea is hot.' }, finish_reason: 'stop' }],
        shoal: { receipt: `rcpt_${task}`, salt: SALT },
      },
    });
    expect(parseTranscript(transcript)).toMatchObject({ task, answer: 'Tea is hot.', salt: SALT });
  });

  it('goes on with the turns that were answered, and leaves out those that failed', async () => {
    let fails = false;
    const client = new FakeClient(async function* () {
      if (fails) throw new ShoalError('tab_lost', 'The tab went away.');
      yield* WRITTEN;
    });
    const { talk } = conversation(client);
    await talk.ask('one');
    fails = true;
    expect(await talk.ask('two')).toMatchObject({
      state: 'failed',
      note: expect.stringMatching(/send the (request|question)/i),
    });
    fails = false;
    await talk.ask('three');
    expect(client.asked.at(-1)?.messages.map(({ content }) => content)).toEqual(['one', 'Tea is hot.', 'three']);
  });

  it('begins anew when asked to, and not while a question is under way', async () => {
    const client = new FakeClient(written);
    const { talk, seen } = conversation(client);
    const asking = talk.ask('one');
    talk.take([]);
    await asking;
    expect(seen.at(-1)?.turns).toHaveLength(1);
    talk.take([]);
    expect(seen.at(-1)?.turns).toEqual([]);
    await talk.ask('two');
    expect(client.asked.at(-1)?.messages.map(({ content }) => content)).toEqual(['two']);
  });

  it('says why when there is no model to ask', async () => {
    const model = () => Promise.reject(new ShoalError('model_not_found', 'The router offers no model.'));
    const { talk } = conversation(new FakeClient(written), { model });
    expect(await talk.ask('x')).toMatchObject({ state: 'failed', note: expect.stringContaining('no model') });
  });

  it('stops while the list of models is on its way', async () => {
    const { talk, seen } = conversation(new FakeClient(written), { model: () => new Promise(() => undefined) });
    const asking = talk.ask('x');
    talk.stop();
    expect(await asking).toMatchObject({ state: 'stopped', note: 'Stopped' });
    expect(seen.at(-1)?.busy).toBe(false);
  });

  it('stops while the question is being opened', async () => {
    const client: AskingClient = {
      ask: (_, { signal }) => aborted(signal ?? new AbortController().signal),
      routerKey: async () => 'key',
    };
    const { talk } = conversation(client);
    const asking = talk.ask('x');
    await Promise.resolve();
    talk.stop();
    expect(await asking).toMatchObject({ state: 'stopped' });
  });

  it('stops in the middle of an answer, and keeps what was written', async () => {
    const begun = Promise.withResolvers<void>();
    const client = new FakeClient(async function* (signal) {
      yield* WRITTEN.slice(0, 3);
      begun.resolve();
      await aborted(signal);
    });
    const { talk } = conversation(client);
    const asking = talk.ask('x');
    await begun.promise;
    talk.stop();
    expect(await asking).toMatchObject({ state: 'stopped', answer: 'Tea ' });
  });

  it('says a system prompt first, and asks with the values that were chosen', async () => {
    const client = new FakeClient(written);
    const settings = {
      ...DEFAULT_SETTINGS,
      system: 'Be brief.',
      temperature: 0,
      topP: 0.9,
      maxTokens: 7,
      level: 'cross',
    } as const;
    const { talk } = conversation(client, { settings: () => settings });
    const { request } = await talk.ask('x');
    const messages = [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'x' },
    ];
    expect(client.asked).toEqual([
      { model: 'pup', messages, sampling: { temperature: 0, topP: 0.9, maxTokens: 7 }, level: 'cross' },
    ]);
    expect(request).toEqual({ model: 'pup', messages, temperature: 0, top_p: 0.9, max_tokens: 7 });
  });

  it('asks for several answers side by side, each with a seed of its own, and goes on with the one that was picked', async () => {
    let number = 0;
    const client = new FakeClient(async function* () {
      const mine = number++;
      for (const update of WRITTEN) yield update.type === 'text' ? { ...update, text: `${mine}` } : update;
    });
    let settings = { ...DEFAULT_SETTINGS, answers: 3, seed: 0xffff_fffe };
    const { talk, last } = conversation(client, { settings: () => settings });
    await talk.ask('one');
    expect(client.asked.map(({ sampling }) => sampling?.seed)).toEqual([0xffff_fffe, 0, 1]);
    expect(last()[0]?.answers.map(({ answer }) => answer)).toEqual(['00', '11', '22']);
    talk.pick(0, 2);
    settings = { ...DEFAULT_SETTINGS, answers: 1, seed: 0 };
    await talk.ask('two');
    expect(client.asked.at(-1)?.messages.map(({ content }) => content)).toEqual(['one', '22', 'two']);
  });

  it('goes on with an answer that came when the first of several failed', async () => {
    let number = 0;
    const client = new FakeClient(async function* () {
      if (number++ === 0) throw new ShoalError('tab_lost', 'The tab went away.');
      yield* WRITTEN;
    });
    const { talk, last } = conversation(client, { settings: () => ({ ...DEFAULT_SETTINGS, answers: 2 }) });
    await talk.ask('one');
    expect(last()[0]?.picked).toBe(1);
  });

  it('asks in place of an earlier turn: what came after it is gone', async () => {
    const client = new FakeClient(written);
    const { talk, last } = conversation(client);
    for (const question of ['one', 'two', 'three']) await talk.ask(question);
    await talk.askInstead(1, 'another two');
    expect(last().map(({ question }) => question)).toEqual(['one', 'another two']);
    expect(client.asked.at(-1)?.messages.map(({ content }) => content)).toEqual(['one', 'Tea is hot.', 'another two']);
  });

  it('stops all answers side by side at once', async () => {
    const client: AskingClient = {
      ask: (_, { signal }) => aborted(signal ?? new AbortController().signal),
      routerKey: async () => 'key',
    };
    const { talk, last } = conversation(client, { settings: () => ({ ...DEFAULT_SETTINGS, answers: 3 }) });
    const asking = talk.ask('x');
    await Promise.resolve();
    talk.stop();
    await asking;
    expect(last()[0]?.answers.map(({ state }) => state)).toEqual(['stopped', 'stopped', 'stopped']);
  });
});
