import { type RawCompletionChunk, Wllama } from '@wllama/wllama/esm/index.js';
import { AsyncQueue } from '../../shared/async-queue.ts';
import { withDeadline } from '../../shared/deadline.ts';
import type { Sampling } from '../../shared/protocol/lease.ts';
import {
  abortError,
  type Engine,
  EngineError,
  type GenerateEvent,
  type GenerateRequest,
  isAbort,
  type LoadedModel,
  type LoadOptions,
} from './engine.ts';

/** The model must be ready within this time, ms: a wrong address of the wasm file never settles by itself. */
const LOAD_DEADLINE_MS = 180_000;

/** An engine that stumbled must write a token within this time, ms, or it is taken for broken. */
const STUMBLE_DEADLINE_MS = 10_000;

/** An abort that is not answered in this time ends with a new engine, ms. */
const ABORT_DEADLINE_MS = 2_000;

/**
 * llama.cpp's default order, spelled out because it is part of the class: whoever changes it must raise `samplers` in the class traits.
 * Samplers that are switched off below are left out.
 */
const SAMPLERS = ['penalties', 'top_k', 'top_p', 'min_p', 'temperature'];

type Progress = { readonly prompt_progress?: { readonly total: number } };

/**
 * wllama on the CPU. Its traps are kept in here: loads that fail without rejecting, errors whose reason is only in the log, calls that never settle
 * after `exit()`, and a second request that hangs for ever (so requests queue).
 */
export class WllamaEngine implements Engine {
  readonly #wasmUrl: string;
  readonly #log: string[] = [];
  #wllama: Wllama | null = null;
  #loaded: { readonly weights: Blob; readonly options: LoadOptions } | null = null;
  #tail: Promise<unknown> = Promise.resolve();
  #closed = Promise.withResolvers<never>();

  /** `wasmUrl` must be absolute: the package resolves it inside a blob worker. */
  constructor(wasmUrl: string) {
    this.#wasmUrl = wasmUrl;
    this.#closed.promise.catch(() => undefined);
  }

  async load(weights: Blob, options: LoadOptions, signal: AbortSignal): Promise<LoadedModel> {
    await this.dispose();
    signal.throwIfAborted();
    const wllama = new Wllama(
      { default: this.#wasmUrl },
      { logger: { debug() {}, log() {}, warn() {}, error: (...parts: unknown[]) => this.#note(parts) } },
    );
    this.#wllama = wllama;
    const stop = Promise.withResolvers<never>();
    const timer = setTimeout(
      () =>
        stop.reject(new EngineError('load_failed', `The engine did not start within ${LOAD_DEADLINE_MS / 1000} s.`)),
      LOAD_DEADLINE_MS,
    );
    const onAbort = () => stop.reject(abortError());
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const load = wllama.loadModel([weights], {
        n_gpu_layers: 0,
        flash_attn: false, // Bit-identical answers whatever the batch, cache and threads; see docs/exactness.md.
        n_threads: options.threads,
        n_parallel: 1,
        n_ctx: options.contextTokens,
        n_batch: options.batchTokens,
        n_ubatch: options.batchTokens,
        ctx_shift: false,
        embeddings: options.embeddings,
        // A chat model's file names no pooling; without one, every text has the same vector.
        ...(options.embeddings && { pooling_type: 'mean' as const }),
        warmup: false,
      });
      await Promise.race([load, stop.promise, this.#closed.promise]);
      const info = wllama.getLoadedContextInfo() as ReturnType<Wllama['getLoadedContextInfo']> & { success?: boolean };
      if (info.success !== true || info.n_vocab === 0) throw new EngineError('load_failed', this.#lastNote());
      if (info.n_ctx !== options.contextTokens) {
        // The engine rounds sizes up in silence; another size would be another class.
        throw new EngineError(
          'load_failed',
          `The context came out as ${info.n_ctx} instead of ${options.contextTokens} tokens.`,
        );
      }
      this.#loaded = { weights, options };
      return { contextTokens: info.n_ctx, vocabularySize: info.n_vocab, threads: wllama.getNumThreads() };
    } catch (cause) {
      await this.dispose();
      if (isAbort(cause) || cause instanceof EngineError) throw cause;
      throw new EngineError('load_failed', `The model could not be loaded: ${messageOf(cause)}`);
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
    }
  }

  async *generate(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateEvent, void, undefined> {
    const release = await this.#turn(signal);
    const stopped = new AbortController();
    const both = AbortSignal.any([signal, stopped.signal]);
    const events = new AsyncQueue<GenerateEvent>();
    let running: Promise<void> | null = null;
    try {
      signal.throwIfAborted();
      running = this.#complete(request, both, events).then(
        () => events.close(),
        (cause) => events.fail(cause),
      );
      yield* events.take();
    } finally {
      stopped.abort();
      if (running !== null) await this.#settled(running);
      release();
    }
  }

  async embed(text: string, signal: AbortSignal): Promise<Float32Array> {
    const release = await this.#turn(signal);
    try {
      signal.throwIfAborted();
      const wllama = this.#ready();
      if (this.#loaded?.options.embeddings !== true) {
        throw new EngineError('unsupported', 'The model was loaded without embeddings.');
      }
      const response = await Promise.race([wllama.createEmbedding({ input: text }), this.#closed.promise]);
      const vector = response.data[0]?.embedding;
      if (!Array.isArray(vector)) throw new EngineError('crashed', 'The engine gave no vector.');
      return Float32Array.from(vector);
    } catch (cause) {
      throw this.#translate(cause);
    } finally {
      release();
    }
  }

  async dispose(): Promise<void> {
    const wllama = this.#wllama;
    this.#wllama = null;
    this.#loaded = null;
    this.#closed.reject(new EngineError('not_loaded', 'The engine was closed.'));
    this.#closed = Promise.withResolvers<never>();
    this.#closed.promise.catch(() => undefined);
    await wllama?.exit().catch(() => undefined);
  }

  /** One request at a time. Throws `AbortError` when the signal aborts while waiting. */
  async #turn(signal: AbortSignal): Promise<() => void> {
    const before = this.#tail;
    const mine = Promise.withResolvers<void>();
    this.#tail = before.then(() => mine.promise);
    await before;
    if (signal.aborted) {
      mine.resolve();
      throw abortError();
    }
    return mine.resolve;
  }

  #ready(): Wllama {
    if (this.#wllama === null || this.#loaded === null) throw new EngineError('not_loaded', 'No model is loaded.');
    return this.#wllama;
  }

  async #complete(request: GenerateRequest, signal: AbortSignal, events: AsyncQueue<GenerateEvent>): Promise<void> {
    const wllama = this.#ready();
    const startedAt = performance.now();
    let announced = false;
    let written = 0;
    let prefillMs = 0;
    const onData = (chunk: RawCompletionChunk) => {
      const progress = (chunk as Progress).prompt_progress;
      if (progress !== undefined) {
        if (!announced) events.push({ type: 'prompt', tokens: progress.total });
        announced = true;
        return;
      }
      const choice = chunk.choices[0];
      const total = chunk.timings?.predicted_n ?? written;
      if (written === 0 && total > 0) prefillMs = performance.now() - startedAt;
      if (choice?.text) {
        events.push({ type: 'delta', text: choice.text, tokens: total - written });
        written = total;
      }
      const usage = chunk.usage;
      if (choice?.finish_reason && usage) {
        events.push({
          type: 'end',
          finish: choice.finish_reason === 'length' ? 'length' : 'stop',
          promptTokens: usage.prompt_tokens,
          completionTokens: usage.completion_tokens,
          prefillMs,
          decodeMs: performance.now() - startedAt - prefillMs,
        });
      }
    };
    try {
      const done = wllama.createCompletion({
        ...samplingFields(request.sampling),
        prompt: request.prompt,
        stop: [...request.stop],
        stream: true,
        return_progress: true,
        abortSignal: signal,
        onData,
        ...({ timings_per_token: true, cache_prompt: true } as object),
      });
      await Promise.race([done, this.#closed.promise]);
    } catch (cause) {
      const failure = this.#translate(cause);
      const isUnexplained = failure instanceof EngineError && failure.reason === 'crashed';
      if (isUnexplained && (await this.#stillWrites(wllama))) throw new EngineError('answer_failed', failure.message);
      throw failure;
    }
  }

  /** Sampled bytes that are no text make the engine throw, and harm it no further: whoever sends such prompts must not cost the tab its engine. */
  #stillWrites(wllama: Wllama): Promise<boolean> {
    const one = wllama.createCompletion({ prompt: 'a', max_tokens: 1 });
    const written = Promise.race([one, this.#closed.promise]).then(
      () => true,
      () => false,
    );
    return withDeadline(written, STUMBLE_DEADLINE_MS, false);
  }

  /** Waits until the engine has stopped; a deaf one is replaced by a fresh one with the same model. */
  async #settled(running: Promise<void>): Promise<void> {
    const deaf = Symbol('deaf');
    const winner = await withDeadline(running, ABORT_DEADLINE_MS, deaf);
    if (winner !== deaf || this.#loaded === null) return;
    const { weights, options } = this.#loaded;
    await this.load(weights, options, new AbortController().signal).catch(() => undefined);
  }

  #translate(cause: unknown): unknown {
    if (isAbort(cause)) return abortError();
    if (cause instanceof EngineError) return cause;
    const text = messageOf(cause);
    if (/exceeds? the available context size|context size has been exceeded/i.test(text)) {
      return new EngineError('context_exceeded', text.replace(/,.*$/s, '.'));
    }
    return new EngineError('crashed', `${text} ${this.#lastNote()}`.trim());
  }

  #note(parts: readonly unknown[]): void {
    this.#log.push(parts.map(String).join(' ').slice(0, 300));
    if (this.#log.length > 20) this.#log.shift();
  }

  #lastNote(): string {
    return this.#log.at(-1) ?? 'The engine gave no reason.';
  }
}

/** llama-server's names: the package's own typed names are ignored in silence. Every value is sent, or a default would change the class. */
export function samplingFields(sampling: Sampling): object {
  return {
    samplers: SAMPLERS,
    temperature: sampling.temperature,
    top_p: sampling.topP,
    top_k: sampling.topK,
    min_p: sampling.minP,
    frequency_penalty: sampling.frequencyPenalty,
    presence_penalty: sampling.presencePenalty,
    repeat_penalty: 1,
    seed: sampling.seed,
    max_tokens: sampling.maxTokens,
  };
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
