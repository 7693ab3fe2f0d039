import type { AnswerTraffic, CallOptions, Question } from '../../client/sealed-client.ts';
import { type ErrorCode, ShoalError } from '../../shared/errors.ts';
import type { Sampling } from '../../shared/protocol/lease.ts';
import type { ChatMessage } from '../../shared/protocol/sealed-body.ts';
import { receiptId, tailOf, taskId } from '../../shared/protocol/task-ids.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import type { TaskPath, TaskUpdate } from '../../shared/sealed-task/sealed-task.ts';
import { type ChatSettings, samplingOf } from './chat-settings.ts';
import { type AskedRequest, type Exchange, newExchange, type SavedTranscript } from './exchange.ts';

/** What a page hears of an answer: of one by plain HTTP, which has no lease to show, its names alone. */
export type PageUpdate = TaskUpdate | { readonly type: 'named'; readonly task: string; readonly tab: string | null };

/** An answer on its way, sealed or plain. */
export interface FollowedAnswer {
  updates(): AsyncGenerator<PageUpdate, void, undefined>;
  readonly salt: string;
  readonly promptPath: TaskPath | null;
  traffic(): Promise<AnswerTraffic>;
}

/** The part of a client that a conversation uses. */
export interface AskingClient {
  ask(question: Question, options: CallOptions): Promise<FollowedAnswer>;
  routerKey(): Promise<string>;
}

export interface FollowingPorts {
  /** The model to ask, once it is known. Throws `model_not_found` when there is none. */
  model(): Promise<string>;
  client(isPrivate: boolean): AskingClient;
  /** Bytes of a task that the router could read; null when it cannot be asked. */
  readableBytes(task: string): Promise<number | null>;
}

/** What a person can do on this page, where the vocabulary speaks to programs or the message has said it already. */
const NEXT_ON_A_PAGE: Partial<Record<ErrorCode, string>> = {
  context_length_exceeded: 'Begin a new conversation, ask for less, or choose a model with a longer context.',
  model_not_found: '',
  no_tab: '',
  tab_lost: 'Send the question again.',
  engine_failed: 'Send the question again.',
};

/** One answer on its way, followed to its verdict. */
export class Following {
  readonly #ports: FollowingPorts;
  readonly #settings: ChatSettings;
  readonly #sampling: Partial<Sampling>;
  readonly #onChange: (exchange: Exchange) => void;
  readonly #frames = { relay: 0, direct: 0 };
  #askedAt = 0;
  #firstAt = 0;
  exchange: Exchange;

  /** `index`: its place among the answers side by side. */
  constructor(
    ports: FollowingPorts,
    question: string,
    settings: ChatSettings,
    index: number,
    onChange: (exchange: Exchange) => void,
  ) {
    this.#ports = ports;
    this.#settings = settings;
    this.#sampling = samplingOf(settings, index);
    this.#onChange = onChange;
    this.exchange = newExchange(question, settings.level, settings.isPrivate);
  }

  /** Never throws: what goes wrong is shown beside the question. */
  async run(messages: readonly ChatMessage[], signal: AbortSignal): Promise<void> {
    const { level, isPrivate } = this.#settings;
    try {
      // Whoever is quicker than the list of models waits for it.
      const model = await orStopped(this.#ports.model(), signal);
      const client = this.#ports.client(isPrivate);
      this.#change({ request: this.#requestOf(model, messages) });
      this.#askedAt = performance.now();
      const answer = await client.ask({ model, messages, sampling: this.#sampling, level }, { signal });
      for await (const update of answer.updates()) await this.#show(update, answer, client);
    } catch (cause) {
      const error = ShoalError.from(cause);
      if (error.code === 'cancelled') this.#change({ state: 'stopped', note: 'Stopped' });
      else this.#change({ state: 'failed', note: `${error.message} ${NEXT_ON_A_PAGE[error.code] ?? error.nextStep}` });
    }
  }

  #requestOf(model: string, messages: readonly ChatMessage[]): AskedRequest {
    const { temperature, topP, maxTokens, seed } = this.#sampling;
    return {
      model,
      messages,
      ...(temperature !== undefined && { temperature }),
      ...(topP !== undefined && { top_p: topP }),
      ...(maxTokens !== undefined && { max_tokens: maxTokens }),
      ...(seed !== undefined && { seed }),
    };
  }

  async #show(update: PageUpdate, running: FollowedAnswer, client: AskingClient): Promise<void> {
    switch (update.type) {
      case 'waiting':
        return this.#change({
          note: `Waiting for a tab: ${update.ahead === 0 ? 'you are next' : `${update.ahead} before you`}, about ${Math.max(1, Math.round(update.etaMs / 1000))} s`,
        });
      case 'leased':
        return this.#change({ note: 'Sealed and sent', task: taskId(update.lease.task), tab: update.lease.tab });
      case 'named':
        return this.#change({ task: update.task, tab: update.tab });
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
    const { task, answer, request } = this.exchange;
    if (request === null || task === null) return null;
    const choice = { index: 0, message: { role: 'assistant', content: answer }, finish_reason: finish } as const;
    return { request, response: { choices: [choice], shoal: { receipt: receiptId(tailOf(task)), salt } } };
  }

  async #ended(
    update: Extract<TaskUpdate, { type: 'ended' }>,
    running: FollowedAnswer,
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
