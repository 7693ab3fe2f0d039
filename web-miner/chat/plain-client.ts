import * as v from 'valibot';
import { RouterCalls } from '../../client/router-calls.ts';
import type { CallOptions, Question } from '../../client/sealed-client.ts';
import { type Verdict, verdict as verdictSchema } from '../../shared/checking/verdict.ts';
import { ShoalError } from '../../shared/errors.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';
import { eventData } from './event-data.ts';
import type { AskingClient, FollowedAnswer, PageUpdate } from './following.ts';

const said = v.object({ task: v.string(), tab: v.string(), salt: v.string(), receipt: v.string() });
const chunk = v.object({
  choices: v.array(
    v.object({
      delta: v.object({ content: v.optional(v.nullable(v.string())) }),
      finish_reason: v.optional(v.nullable(v.string())),
    }),
  ),
  usage: v.optional(v.nullable(v.object({ prompt_tokens: v.number(), completion_tokens: v.number() }))),
  shoal: v.optional(v.looseObject({ verdict: v.optional(v.unknown()) })),
});
const failure = v.object({ error: v.looseObject({ code: v.unknown(), message: v.unknown() }) });

/** How often a receipt is asked for that is not there yet, and after which time, ms. */
const RECEIPT_TRIES = 5;
const RECEIPT_AFTER_MS = 400;

/** Asks by plain HTTP, as any OpenAI client does: the router reads prompt and answer. */
export class PlainClient implements AskingClient {
  readonly #origin: string;
  readonly #apiKey: string | null;
  readonly #calls: RouterCalls;

  constructor(origin: string, apiKey: string | null) {
    this.#origin = origin;
    this.#apiKey = apiKey;
    this.#calls = new RouterCalls(origin, (...call) => fetch(...call));
  }

  async routerKey(): Promise<string> {
    const [key] = await this.#calls.routerKeys();
    if (key === undefined) throw new ShoalError('integrity_failed', 'The router publishes no key.');
    return key;
  }

  /** Throws {@link ShoalError}: what the router refused, or that it cannot be reached. */
  async ask({ model, messages, sampling = {}, level }: Question, { signal }: CallOptions): Promise<FollowedAnswer> {
    const { temperature, topP, maxTokens, seed } = sampling;
    const response = await fetch(`${this.#origin}/v1/chat/completions`, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        ...(this.#apiKey !== null && { authorization: `Bearer ${this.#apiKey}` }),
      },
      body: JSON.stringify({
        ...{ model, messages, temperature, top_p: topP, max_tokens: maxTokens, seed },
        stream: true,
        stream_options: { include_usage: true },
        shoal: { await_verdict: true, ...(level != null && { level }) },
      }),
      signal: signal ?? null,
    }).catch((cause: unknown) => {
      throw unreachable(cause, signal);
    });
    if (!response.ok || response.body === null) throw await refusalOf(response);
    return new PlainAnswer(response.body, this.#calls, signal);
  }
}

class PlainAnswer implements FollowedAnswer {
  readonly promptPath = 'relay';
  salt = '';
  #bytes = 0;
  readonly #body: ReadableStream<Uint8Array>;
  readonly #calls: RouterCalls;
  readonly #signal: AbortSignal | undefined;

  constructor(body: ReadableStream<Uint8Array>, calls: RouterCalls, signal: AbortSignal | undefined) {
    this.#body = body;
    this.#calls = calls;
    this.#signal = signal;
  }

  traffic() {
    return Promise.resolve({ relayBytes: this.#bytes, directBytes: 0 });
  }

  async *updates(): AsyncGenerator<PageUpdate, void, undefined> {
    let finish: 'stop' | 'length' | null = null;
    let isTold = false;
    let receipt: string | null = null;
    let verdict: Verdict | null = null;
    let tokens = 0;
    for await (const data of this.#events()) {
      const { choices, usage, shoal } = v.parse(chunk, data);
      if (shoal !== undefined && v.is(said, shoal)) {
        this.salt = shoal.salt;
        receipt = shoal.receipt;
        yield { type: 'named', task: shoal.task, tab: shoal.tab };
      }
      if (v.is(verdictSchema, shoal?.verdict)) verdict = shoal.verdict;
      for (const { delta, finish_reason: reason } of choices) {
        if (delta.content) {
          tokens++;
          yield { type: 'text', text: delta.content, tokens: 1, path: 'relay' };
        }
        if (reason === 'stop' || reason === 'length') finish = reason;
      }
      if (finish !== null && !isTold && (usage != null || verdict !== null)) {
        isTold = true;
        yield answered(finish, usage ?? { prompt_tokens: 0, completion_tokens: tokens });
      }
    }
    if (finish === null) throw new ShoalError('tab_lost', 'The answer broke off.');
    if (!isTold) yield answered(finish, { prompt_tokens: 0, completion_tokens: tokens });
    const signed = receipt === null ? null : await this.#receipt(receipt);
    yield { type: 'ended', verdict: verdict ?? { value: 'unchecked', reason: 'client_gone' }, receipt: signed };
  }

  async *#events(): AsyncGenerator<unknown, void, undefined> {
    try {
      for await (const data of eventData(this.#body, (bytes) => {
        this.#bytes += bytes;
      })) {
        if (data === '[DONE]') return;
        const parsed: unknown = JSON.parse(data);
        if (v.is(failure, parsed)) throw ShoalError.fromWire(parsed.error);
        yield parsed;
      }
    } catch (cause) {
      throw cause instanceof ShoalError ? cause : unreachable(cause, this.#signal);
    }
  }

  /** Null when the router does not have it, whatever it says. */
  async #receipt(id: string): Promise<Signed | null> {
    for (let i = 0; i < RECEIPT_TRIES; i++) {
      try {
        return await this.#calls.receipt(id);
      } catch (cause) {
        if (ShoalError.from(cause).code !== 'receipt_pending') return null;
        await new Promise((resolve) => setTimeout(resolve, RECEIPT_AFTER_MS));
      }
    }
    return null;
  }
}

function answered(
  finish: 'stop' | 'length',
  usage: { readonly prompt_tokens: number; readonly completion_tokens: number },
): PageUpdate {
  return {
    type: 'answered',
    finish,
    promptTokens: usage.prompt_tokens,
    completionTokens: usage.completion_tokens,
  };
}

function unreachable(cause: unknown, signal: AbortSignal | undefined): ShoalError {
  if (signal?.aborted === true) return new ShoalError('cancelled', 'The question was stopped.');
  return new ShoalError('tab_lost', 'The connection to the router broke.', { cause });
}

async function refusalOf(response: Response): Promise<ShoalError> {
  const body: unknown = await response.json().catch(() => null);
  if (v.is(failure, body)) return ShoalError.fromWire(body.error);
  return new ShoalError('internal_error', `The router answered ${response.status}.`);
}
