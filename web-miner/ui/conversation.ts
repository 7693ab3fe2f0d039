import type { CallOptions, Question, SealedAnswer } from '../../client/sealed-client.ts';
import type { Verdict } from '../../shared/checking/verdict.ts';
import { type ErrorCode, ShoalError } from '../../shared/errors.ts';
import type { ChatMessage } from '../../shared/protocol/sealed-body.ts';
import { receiptId, tailOf, taskId } from '../../shared/protocol/task-ids.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import type { TaskPath, TaskUpdate } from '../../shared/sealed-task/sealed-task.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';

/** One question and all that is known of its answer. Read by the demo and the page tests too. */
export interface Exchange {
  readonly question: string;
  readonly answer: string;
  /** The answer stopped at a limit of tokens, not at its own end. */
  readonly isCut: boolean;
  readonly state: 'waiting' | 'writing' | 'checking' | 'done' | 'stopped' | 'failed';
  readonly note: string;
  readonly task: string | null;
  readonly tab: string | null;
  readonly promptPath: TaskPath | null;
  readonly framesByRelay: number;
  readonly framesDirect: number;
  readonly firstTokenMs: number | null;
  readonly tokens: number;
  readonly tokensPerSecond: number | null;
  readonly relayBytes: number;
  readonly directBytes: number;
  /** Content that the router could read, by its own count; null before the end, or when it cannot be asked. */
  readonly readableBytes: number | null;
  readonly verdict: Verdict | null;
  readonly cosine: number | null;
  readonly receipt: Signed | null;
  readonly receiptHolds: boolean | null;
  /** What an audit of this answer needs beside its receipt; null until it is whole. */
  readonly transcript: SavedTranscript | null;
}

/** The exchange in the shape that an audit reads. */
export interface SavedTranscript {
  readonly request: { readonly model: string; readonly messages: readonly ChatMessage[]; readonly max_tokens?: number };
  readonly response: {
    readonly choices: readonly [
      {
        readonly index: 0;
        readonly message: { readonly role: 'assistant'; readonly content: string };
        readonly finish_reason: 'stop' | 'length';
      },
    ];
    readonly shoal: { readonly receipt: string; readonly salt: string };
  };
}

const EMPTY: Omit<Exchange, 'question'> = {
  answer: '',
  isCut: false,
  state: 'waiting',
  note: 'Looking for a tab',
  task: null,
  tab: null,
  promptPath: null,
  framesByRelay: 0,
  framesDirect: 0,
  firstTokenMs: null,
  tokens: 0,
  tokensPerSecond: null,
  relayBytes: 0,
  directBytes: 0,
  readableBytes: null,
  verdict: null,
  cosine: null,
  receipt: null,
  receiptHolds: null,
  transcript: null,
};

/** What a person can do on this page, where the vocabulary speaks to programs or the message has said it already. */
const NEXT_ON_A_PAGE: Partial<Record<ErrorCode, string>> = {
  context_length_exceeded: 'Begin a new conversation, ask for less, or choose a model with a longer context.',
  model_not_found: '',
  no_tab: '',
  tab_lost: 'Send the question again.',
  engine_failed: 'Send the question again.',
};

/** The part of a sealed client that a conversation uses. */
export interface AskingClient {
  ask(question: Question, options: CallOptions): Promise<SealedAnswer>;
  routerKey(): Promise<string>;
}

export interface ConversationPorts {
  /** The model to ask, once it is known. Throws `model_not_found` when there is none. */
  model(): Promise<string>;
  client(): AskingClient;
  /** Bytes of a task that the router could read; null when it cannot be asked. */
  readableBytes(task: string): Promise<number | null>;
  /** Called with every change; `busy` as long as a question is under way. */
  readonly onChange: (exchanges: readonly Exchange[], busy: boolean) => void;
}

export interface AskLimits {
  readonly maxTokens?: number;
}

/** Questions and answers, one at a time, each followed to its verdict. */
export class Conversation {
  readonly #ports: ConversationPorts;
  #exchanges: readonly Exchange[] = [];
  #abort: AbortController | null = null;

  constructor(ports: ConversationPorts) {
    this.#ports = ports;
  }

  /** Stops the question that is under way, at whatever point it is. */
  stop(): void {
    this.#abort?.abort();
  }

  /** Begins anew: the next question is asked without the ones before it. Not while one is under way. */
  clear(): void {
    if (this.#abort !== null) return;
    this.#exchanges = [];
    this.#changed();
  }

  /** Asks, and follows the answer to its verdict. Never throws: what goes wrong is shown beside the question. */
  async ask(question: string, limits: AskLimits = {}): Promise<Exchange> {
    const index = this.#exchanges.length;
    const messages = this.#turns(question);
    const following = new Following(this.#ports, question, (exchange) => {
      this.#exchanges = this.#exchanges.map((other, i) => (i === index ? exchange : other));
      this.#changed();
    });
    const abort = new AbortController();
    this.#exchanges = [...this.#exchanges, following.exchange];
    this.#abort = abort;
    this.#changed();
    await following.run(messages, limits, abort.signal);
    if (this.#abort === abort) this.#abort = null;
    this.#changed();
    return following.exchange;
  }

  /** The turns so far, without those that failed. */
  #turns(question: string): ChatMessage[] {
    const turns = this.#exchanges
      .filter((exchange) => exchange.state === 'done')
      .flatMap((exchange): ChatMessage[] => [
        { role: 'user', content: exchange.question },
        { role: 'assistant', content: exchange.answer },
      ]);
    return [...turns, { role: 'user', content: question }];
  }

  #changed(): void {
    this.#ports.onChange(this.#exchanges, this.#abort !== null);
  }
}

/** One question on its way. */
class Following {
  readonly #ports: ConversationPorts;
  readonly #onChange: (exchange: Exchange) => void;
  readonly #frames = { relay: 0, direct: 0 };
  #request: SavedTranscript['request'] | null = null;
  #askedAt = 0;
  #firstAt = 0;
  exchange: Exchange;

  constructor(ports: ConversationPorts, question: string, onChange: (exchange: Exchange) => void) {
    this.#ports = ports;
    this.#onChange = onChange;
    this.exchange = { question, ...EMPTY };
  }

  async run(messages: readonly ChatMessage[], limits: AskLimits, signal: AbortSignal): Promise<void> {
    try {
      // Whoever is quicker than the list of models waits for it.
      const model = await orStopped(this.#ports.model(), signal);
      const client = this.#ports.client();
      this.#request = { model, messages, ...(limits.maxTokens !== undefined && { max_tokens: limits.maxTokens }) };
      this.#askedAt = performance.now();
      const answer = await client.ask({ model, messages, sampling: limits }, { signal });
      for await (const update of answer.updates()) await this.#show(update, answer, client);
    } catch (cause) {
      const error = ShoalError.from(cause);
      if (error.code === 'cancelled') this.#change({ state: 'stopped', note: 'Stopped' });
      else this.#change({ state: 'failed', note: `${error.message} ${NEXT_ON_A_PAGE[error.code] ?? error.nextStep}` });
    }
  }

  async #show(update: TaskUpdate, running: SealedAnswer, client: AskingClient): Promise<void> {
    switch (update.type) {
      case 'waiting':
        return this.#change({
          note: `Waiting for a tab: ${update.ahead === 0 ? 'you are next' : `${update.ahead} before you`}, about ${Math.max(1, Math.round(update.etaMs / 1000))} s`,
        });
      case 'leased':
        return this.#change({ note: 'Sealed and sent', task: taskId(update.lease.task), tab: update.lease.tab });
      case 'accepted':
        return this.#change({ note: `The tab reads ${update.promptTokens} tokens`, promptPath: running.promptPath });
      case 'text':
        return this.#text(update, running.promptPath);
      case 'answered': {
        const seconds = (performance.now() - this.#firstAt) / 1000;
        return this.#change({
          state: 'checking',
          isCut: update.finish === 'length',
          transcript: this.#transcript(update.finish, running.salt),
          note: 'Written; waiting for the check',
          tokens: update.completionTokens,
          tokensPerSecond: seconds > 0 ? update.completionTokens / seconds : null,
        });
      }
      case 'committed':
        return;
      case 'checking':
        return this.#change({ note: 'Another tab writes it again to check it' });
      case 'similarity':
        return this.#change({ cosine: update.cosine });
      case 'ended':
        return this.#ended(update, running, client);
    }
  }

  #text(update: Extract<TaskUpdate, { type: 'text' }>, promptPath: TaskPath | null): void {
    const now = performance.now();
    if (this.#firstAt === 0) this.#firstAt = now;
    const writingMs = now - this.#firstAt;
    const tokens = this.exchange.tokens + update.tokens;
    this.#frames[update.path]++;
    this.#change({
      state: 'writing',
      note: 'Writing',
      answer: this.exchange.answer + update.text,
      tokens,
      promptPath,
      firstTokenMs: this.#firstAt - this.#askedAt,
      tokensPerSecond: writingMs > 50 ? ((tokens - 1) * 1000) / writingMs : null,
      framesByRelay: this.#frames.relay,
      framesDirect: this.#frames.direct,
    });
  }

  #transcript(finish: 'stop' | 'length', salt: string): SavedTranscript | null {
    const { task, answer } = this.exchange;
    if (this.#request === null || task === null) return null;
    const choice = { index: 0, message: { role: 'assistant', content: answer }, finish_reason: finish } as const;
    const receipt = receiptId(tailOf(task));
    return { request: this.#request, response: { choices: [choice], shoal: { receipt, salt } } };
  }

  async #ended(
    update: Extract<TaskUpdate, { type: 'ended' }>,
    running: SealedAnswer,
    client: AskingClient,
  ): Promise<void> {
    const { verdict, receipt } = update;
    this.#change({ state: 'done', verdict, receipt, ...(await running.traffic()) });
    if (receipt !== null) {
      const { valid } = await verifyReceipt(receipt, { routerKey: await client.routerKey() });
      this.#change({ receiptHolds: valid });
    }
    if (this.exchange.task === null) return;
    this.#change({ readableBytes: await this.#ports.readableBytes(this.exchange.task) });
  }

  #change(part: Partial<Exchange>): void {
    this.exchange = { ...this.exchange, ...part };
    this.#onChange(this.exchange);
  }
}

/** The value, unless the signal aborts first. */
async function orStopped<T>(value: Promise<T>, signal: AbortSignal): Promise<T> {
  const stopped = Promise.withResolvers<never>();
  const onAbort = () => stopped.reject(new ShoalError('cancelled', 'The question was stopped.'));
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([value, stopped.promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
