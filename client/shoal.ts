import { utf8 } from '../shared/bytes.ts';
import { ShoalError } from '../shared/errors.ts';
import { LEVEL_HEADER, type Level, levelInHeader, strongest } from '../shared/protocol/level.ts';
import { SESSION_HEADER } from '../shared/protocol/sealed-task-api.ts';
import {
  type Completion,
  type CompletionChunk,
  type CompletionOptions,
  collectCompletion,
  completionChunks,
} from '../shared/sealed-task/completion.ts';
import { areEmbeddings, type EmbeddingParams, type Embeddings } from './embeddings.ts';
import { RouterCalls } from './router-calls.ts';
import { type CallOptions, type SealedAnswer, SealedClient, type SealedClientOptions } from './sealed-client.ts';

/** A chat request in OpenAI's shape; the fields that this network honours are listed in the README. */
export interface ChatParams {
  readonly model: string;
  readonly messages: readonly {
    readonly role: 'system' | 'developer' | 'user' | 'assistant';
    readonly content: string;
  }[];
  readonly max_tokens?: number;
  readonly max_completion_tokens?: number;
  readonly temperature?: number;
  readonly top_p?: number;
  readonly frequency_penalty?: number;
  readonly presence_penalty?: number;
  readonly seed?: number;
  readonly stop?: string | readonly string[];
  readonly stream_options?: { readonly include_usage?: boolean };
  readonly shoal?: {
    readonly level?: Level;
    readonly checks?: 1 | 2 | 3;
    readonly await_verdict?: boolean;
    /** One that was set up: `sess_…`. */
    readonly session?: string;
  };
}

/** Chunks of an answer as they arrive. Read once; leaving the loop early stops the tab. */
export interface ChatStream extends AsyncIterable<CompletionChunk> {
  readonly answer: SealedAnswer;
}

/**
 * OpenAI's calls, with the prompt sealed here and the answer opened here: the router passes both on and reads neither. Errors are
 * {@link ShoalError}s with a code and the next step.
 */
export class Shoal {
  readonly sealed: SealedClient;
  readonly #passOn: typeof fetch;
  readonly #calls: RouterCalls;
  readonly #apiKey: string | null;

  constructor(options: SealedClientOptions) {
    this.sealed = new SealedClient(options);
    this.#passOn = options.fetch ?? ((...call) => globalThis.fetch(...call));
    this.#calls = new RouterCalls(options.baseUrl, this.#passOn);
    this.#apiKey = options.apiKey ?? null;
  }

  readonly chat = {
    completions: {
      create: ((params: ChatParams & { readonly stream?: boolean }, options: CallOptions = {}) =>
        this.#create(params, options)) as CreateChat,
    },
  };

  readonly embeddings = {
    /** Vectors of texts, by plain HTTP: these texts are not sealed here, the router reads them. {@link Shoal.fetch} therefore refuses the path. */
    create: async (params: EmbeddingParams, { signal, apiKey }: CallOptions = {}): Promise<Embeddings> => {
      const answer = await this.#calls.post('/v1/embeddings', params, apiKey ?? this.#apiKey, signal);
      if (areEmbeddings(answer)) return answer;
      throw new ShoalError('integrity_failed', 'That is no list of embeddings.');
    },
  };

  /**
   * A `fetch` that seals chat completions and passes on what carries no prompt: `new OpenAI({ baseURL, apiKey, fetch: shoal.fetch })` gives any code
   * written for that client a sealed path. Any other POST is refused, because the router could read it.
   */
  readonly fetch: typeof fetch = async (input, init) => {
    const request = new Request(input, init);
    if (request.method !== 'POST') return this.#passOn(request);
    const { pathname } = new URL(request.url);
    try {
      if (!pathname.endsWith('/chat/completions')) {
        throw new ShoalError(
          'route_not_found',
          `${pathname} cannot be sealed: ask the router itself, which can read it.`,
        );
      }
      const body = (await request.json()) as ChatParams & { readonly stream?: boolean };
      const least = levelInHeader(request.headers.get(LEVEL_HEADER));
      const apiKey = /^Bearer\s+(\S+)$/i.exec(request.headers.get('authorization') ?? '')?.[1];
      const session = request.headers.get(SESSION_HEADER);
      const result = await this.#create(body, { signal: request.signal, apiKey, session }, least);
      if (!(Symbol.asyncIterator in result)) return Response.json(result);
      return new Response(eventsOf(result), { headers: { 'content-type': 'text/event-stream; charset=utf-8' } });
    } catch (cause) {
      const error = ShoalError.from(cause);
      return Response.json({ error: error.toWire() }, { status: error.status === 499 ? 400 : error.status });
    }
  };

  async #create(
    params: ChatParams & { readonly stream?: boolean },
    options: CallOptions,
    least: Level | null = null,
  ): Promise<Completion | ChatStream> {
    const { parseChatRequest } = await import('../shared/protocol/chat-api.ts'); // Whoever seals by `sealed` needs none of it.
    const request = parseChatRequest(params);
    const { dryRun, background, n, redundancy } = request;
    if (dryRun || background || n > 1 || redundancy > 1) {
      const what = dryRun ? 'is not quoted' : background ? 'is read here' : 'has one answer: ask again for another';
      throw new ShoalError('unsupported_field', `A sealed prompt ${what}.`, {
        param: dryRun ? 'shoal.dry_run' : background ? 'shoal.background' : n > 1 ? 'n' : 'shoal.redundancy',
      });
    }
    const { model, messages, stop, sampling, checks } = request;
    const level = least === null ? request.level : strongest(request.level, least);
    const call = linkedTo(options.signal);
    try {
      const { apiKey } = options;
      const session = request.session ?? options.session;
      const question = { model, messages, stop, sampling, level, checks };
      const answer = await this.sealed.ask(question, { signal: call.signal, apiKey, session });
      if (request.stream) return { answer, [Symbol.asyncIterator]: () => chunksOf(answer, request, call.release) };
      const completion = await collectCompletion(answer, answer.updates(), request.awaitVerdict || level === 'strict');
      call.release();
      return completion;
    } catch (cause) {
      call.release();
      throw cause;
    }
  }
}

/** A signal that follows the caller's until it is released: what the caller aborts after its call must not stop the check. */
function linkedTo(signal: AbortSignal | undefined): { readonly signal: AbortSignal; readonly release: () => void } {
  const own = new AbortController();
  const onAbort = () => own.abort();
  if (signal?.aborted === true) own.abort();
  signal?.addEventListener('abort', onAbort);
  return { signal: own.signal, release: () => signal?.removeEventListener('abort', onAbort) };
}

/**
 * No generator: its `return` would wait for the chunk that is being waited for, and a reader who leaves during the prefill would keep the tab
 * at work until the first token.
 */
function chunksOf(
  answer: SealedAnswer,
  options: CompletionOptions,
  release: () => void,
): AsyncIterator<CompletionChunk, void, undefined> {
  const chunks = completionChunks(answer, answer.updates(), options);
  let isWhole = false;
  const leave = async () => {
    release();
    if (!isWhole) await answer.stop();
  };
  return {
    async next() {
      try {
        const result = await chunks.next();
        if (result.done === true) release();
        else isWhole ||= result.value.choices[0]?.finish_reason != null;
        return result;
      } catch (cause) {
        await leave();
        throw cause;
      }
    },
    async return() {
      await leave();
      void chunks.return();
      return { done: true, value: undefined };
    },
  };
}

/** The two forms of `create`: with `stream: true` chunks, else the whole. */
interface CreateChat {
  (params: ChatParams & { readonly stream: true }, options?: CallOptions): Promise<ChatStream>;
  (params: ChatParams & { readonly stream?: false }, options?: CallOptions): Promise<Completion>;
}

function eventsOf(stream: ChatStream): ReadableStream<Uint8Array> {
  const chunks = stream[Symbol.asyncIterator]();
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      try {
        const { done, value } = await chunks.next();
        if (done !== true) return controller.enqueue(utf8(`data: ${JSON.stringify(value)}\n\n`));
        controller.enqueue(utf8('data: [DONE]\n\n'));
      } catch (cause) {
        controller.enqueue(utf8(`data: ${JSON.stringify({ error: ShoalError.from(cause).toWire() })}\n\n`));
      }
      controller.close();
    },
    async cancel() {
      await chunks.return?.();
    },
  });
}
