import { type RawCompletionChunk, Wllama } from '@wllama/wllama/esm/index.js';
import * as v from 'valibot';
import { AsyncQueue } from '../../shared/async-queue.ts';
import { utf8 } from '../../shared/bytes.ts';
import { betterCut, type ForcedToken } from '../../shared/checking/next-token.ts';
import { type Arithmetic, EXACT_ARITHMETIC } from '../../shared/classes/catalogue.ts';
import { withDeadline } from '../../shared/deadline.ts';
import { PROBE_CANDIDATES } from '../../shared/limits.ts';
import { LIKELIEST, type Sampling } from '../../shared/protocol/lease.ts';
import { probeGpu } from '../preflight/gpu.ts';
import {
  abortError,
  type Embedded,
  type Engine,
  EngineError,
  type ForceRequest,
  type GenerateEvent,
  type GenerateRequest,
  isAbort,
  type LoadedModel,
  type LoadOptions,
  type ProbeRequest,
  type ProbeResult,
} from './engine.ts';
import { failureText } from './failure-text.ts';
import { literalGrammar } from './literal-grammar.ts';
import { noEngineCache } from './no-engine-cache.ts';
import { Turns } from './turns.ts';
import { hasWasmMemory64 } from './wasm-features.ts';

/** More than any model has. On a graphics processor this adapter is not tried: no adapter at hand had half-precision numbers. */
const EVERY_LAYER = 999;

/** An engine that stumbled must write a token within this time, ms, or it is taken for broken. */
const STUMBLE_DEADLINE_MS = 10_000;

/**
 * llama.cpp's default order, spelled out because it is part of the class: whoever changes it must raise `samplers` in the class traits.
 * Samplers that are switched off below are left out.
 */
const SAMPLERS = ['penalties', 'top_k', 'top_p', 'min_p', 'temperature'];

/** Numbers of candidates to ask for in turn: a list with a token that begins inside a character makes the whole request fail. */
const CANDIDATE_COUNTS = [PROBE_CANDIDATES, 20, 5, 1];

/** How often one answer is cut anew: each time costs up to a decode of the rest, and a hostile text could ask for it at every word. */
const MAX_RECUTS = 16;

/** How probes read: greedily, so that a grammar alone decides what is written. */
const PROBING = LIKELIEST;

/** What the engine answers when log-probabilities were asked for; its own types describe an older form. */
const candidate = v.object({ token: v.string(), logprob: v.number() });
const scoredCompletion = v.object({
  choices: v.tuple([
    v.object({
      text: v.string(),
      logprobs: v.object({ content: v.array(v.object({ ...candidate.entries, top_logprobs: v.array(candidate) })) }),
    }),
  ]),
});

/** What the engine's log says of a list with such a token. */
const INSIDE_A_CHARACTER = 'invalid UTF-8 byte';

type Progress = { readonly prompt_progress?: { readonly total: number } };

/**
 * wllama on the CPU, or on WebGPU where the class says so. Its traps are kept in here: loads that fail without rejecting, errors whose reason is only in the log, calls that never settle
 * after `exit()`, and a second request that hangs for ever (so requests queue).
 */
export class WllamaEngine implements Engine {
  readonly #wasmUrl: string;
  readonly #arithmetic: Arithmetic;
  readonly #log: string[] = [];
  #wllama: Wllama | null = null;
  #loaded: LoadOptions | null = null;
  readonly #turns = new Turns();
  #closed = Promise.withResolvers<never>();

  /** `wasmUrl` must be absolute: the package resolves it inside a blob worker. */
  constructor(wasmUrl: string, arithmetic: Arithmetic = EXACT_ARITHMETIC) {
    this.#wasmUrl = wasmUrl;
    this.#arithmetic = arithmetic;
    this.#closed.promise.catch(() => undefined);
  }

  async load(weights: Blob, options: LoadOptions, signal: AbortSignal): Promise<LoadedModel> {
    await this.dispose();
    signal.throwIfAborted();
    if (!hasWasmMemory64()) {
      // The package would fail, and not say why.
      throw new EngineError(
        'load_failed',
        'This browser’s WebAssembly has no 64-bit memory, for which the engine is built.',
      );
    }
    if (this.#arithmetic.backend === 'webgpu' && (await probeGpu())?.hasShaderF16 !== true) {
      // The package would compute on the processor in silence, and answer in the name of another class.
      throw new EngineError('load_failed', 'This browser has no graphics processor with half-precision numbers.');
    }
    const wllama = new Wllama(
      { default: this.#wasmUrl },
      {
        cacheManager: noEngineCache(),
        logger: { debug() {}, log() {}, warn() {}, error: (...parts: unknown[]) => this.#note(parts) },
      },
    );
    this.#wllama = wllama;
    const stop = Promise.withResolvers<never>();
    const onAbort = () => stop.reject(abortError());
    signal.addEventListener('abort', onAbort, { once: true });
    try {
      const load = wllama.loadModel([weights], {
        n_gpu_layers: this.#arithmetic.backend === 'webgpu' ? EVERY_LAYER : 0,
        flash_attn: this.#arithmetic.flashAttention, // Off: bit-identical answers whatever the batch, cache and threads; see docs/exactness.md.
        n_threads: options.threads,
        n_parallel: 1,
        n_ctx: options.contextTokens,
        n_batch: options.batchTokens,
        n_ubatch: options.batchTokens,
        ctx_shift: false,
        embeddings: options.embeddings,
        // A chat model's file names no pooling; without one, every text has the same vector.
        ...(options.embeddings && { pooling_type: options.pooling ?? 'mean' }),
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
      this.#loaded = options;
      return { contextTokens: info.n_ctx, vocabularySize: info.n_vocab, threads: wllama.getNumThreads() };
    } catch (cause) {
      await this.dispose();
      if (isAbort(cause) || cause instanceof EngineError) throw cause;
      throw new EngineError('load_failed', `The model could not be loaded: ${failureText(cause)}`);
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  async *generate(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateEvent, void, undefined> {
    const release = await this.#turns.take(signal);
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
      await running;
      release();
    }
  }

  embed(text: string, signal: AbortSignal): Promise<Embedded> {
    const embedded = this.#turns.run(signal, async () => {
      signal.throwIfAborted();
      const wllama = this.#ready();
      if (this.#loaded?.embeddings !== true) {
        throw new EngineError('unsupported', 'The model was loaded without embeddings.');
      }
      const response = await Promise.race([wllama.createEmbedding({ input: text }), this.#closed.promise]);
      const vector = response.data[0]?.embedding;
      if (!Array.isArray(vector)) throw new EngineError('crashed', 'The engine gave no vector.');
      return { vector: Float32Array.from(vector), tokens: response.usage.prompt_tokens };
    });
    return embedded.catch((cause) => {
      throw this.#translate(cause);
    });
  }

  probe(request: ProbeRequest, signal: AbortSignal): Promise<ProbeResult> {
    return this.#turns.run(signal, async () => {
      const [next] = await this.#scored(request.text, { ...PROBING, maxTokens: 1 }, null, signal);
      const choices: number[] = [];
      for (const choice of request.choices) {
        const listed = next?.candidates.find(({ text }) => text === choice);
        const tokens = listed === undefined ? await this.#forced(request.text, choice, signal) : [listed];
        choices.push(tokens.reduce((sum, token) => (token.text === '' ? sum : sum + token.logProbability), 0));
      }
      return { candidates: next?.candidates ?? [], choices };
    });
  }

  force(request: ForceRequest, signal: AbortSignal): Promise<readonly ForcedToken[]> {
    return this.#turns.run(signal, () => this.#forced(request.prompt, request.answer, signal));
  }

  /** The tokens of the answer, cut as its author will have done. */
  async #forced(prompt: string, answer: string, signal: AbortSignal): Promise<ForcedToken[]> {
    let tokens = await this.#forcedOnce(prompt, answer, signal);
    let from = 0;
    for (let recut = 0; recut < MAX_RECUTS; recut++) {
      const better = betterCut(tokens, from);
      if (better === null) break;
      const kept = tokens.slice(0, better.index);
      const taken = { ...better.token, candidates: tokens[better.index]?.candidates ?? [] };
      const written = [...kept, taken].map(({ text }) => text).join('');
      const rest = await this.#forcedOnce(prompt + written, answer.slice(written.length), signal);
      tokens = [...kept, taken, ...rest];
      from = better.index + 1;
    }
    return tokens;
  }

  async #forcedOnce(prompt: string, answer: string, signal: AbortSignal): Promise<ForcedToken[]> {
    const contextTokens = this.#loaded?.contextTokens ?? 0;
    // A token has one byte at least; one token more ends the answer.
    const maxTokens = Math.min(utf8(answer).byteLength + 1, contextTokens);
    const tokens = await this.#scored(prompt, { ...PROBING, maxTokens }, literalGrammar(answer), signal);
    if (tokens.at(-1)?.text !== '') {
      throw new EngineError('context_exceeded', 'The answer does not fit the context behind its prompt.');
    }
    if (tokens.map(({ text }) => text).join('') !== answer) {
      // Leading tokens of a character that takes several are not in the engine's list.
      throw new EngineError('unsupported', 'The answer has characters that this model writes in several tokens.');
    }
    return tokens;
  }

  async #scored(
    prompt: string,
    sampling: Sampling,
    grammar: string | null,
    signal: AbortSignal,
  ): Promise<ForcedToken[]> {
    for (const count of CANDIDATE_COUNTS) {
      signal.throwIfAborted();
      this.#log.length = 0;
      try {
        const done = this.#ready().createCompletion({
          ...samplingFields(sampling),
          prompt,
          stream: false,
          abortSignal: signal,
          ...({ n_probs: count, cache_prompt: true, ...(grammar !== null && { grammar }) } as object),
        });
        const { choices } = v.parse(scoredCompletion, await Promise.race([done, this.#closed.promise]));
        return choices[0].logprobs.content.map(({ token, logprob, top_logprobs }) => ({
          text: token,
          logProbability: logprob,
          candidates: top_logprobs.map((other) => ({ text: other.token, logProbability: other.logprob })),
        }));
      } catch (cause) {
        if (v.isValiError(cause)) throw new EngineError('crashed', 'The engine gave no log-probabilities.');
        if (!this.#log.some((note) => note.includes(INSIDE_A_CHARACTER))) throw this.#translate(cause);
      }
    }
    throw new EngineError('unsupported', 'A token of this answer begins inside a character.');
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
          ...(chunk.timings !== undefined && { evaluatedTokens: chunk.timings.prompt_n }),
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

  #translate(cause: unknown): unknown {
    if (isAbort(cause)) return abortError();
    if (cause instanceof EngineError) return cause;
    const text = failureText(cause);
    if (/exceeds? the available context size|context size has been exceeded|is too large to process/i.test(text)) {
      return new EngineError('context_exceeded', text.replace(/(,|\. increase the).*$/s, '.'));
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
