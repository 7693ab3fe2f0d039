import { utf8 } from '../../shared/bytes.ts';
import { type Candidate, claimedCandidate, type ForcedToken } from '../../shared/checking/next-token.ts';
import { withDeadline } from '../../shared/deadline.ts';
import { PROBE_CANDIDATES } from '../../shared/limits.ts';
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
import type { ModelFile } from './model-files.ts';
import { likeliest, likeliestTokens, logSumExp, Sampler } from './sampler.ts';
import { spellText } from './spell-text.ts';
import { StopStrings } from './stop-strings.ts';
import { Turns } from './turns.ts';
import { loadWebLlm, MODEL, type WebLlm } from './web-llm-load.ts';

/** A step of the model that takes longer has hung, ms: by then the router waits no more for the first word (`FIRST_FRAME_DEADLINE_MS`). */
const STEP_DEADLINE_MS = 150_000;
/** A step of the prompt should take about this long: it is what an abort in prefill waits for, ms. */
const STEP_GOAL_MS = 125;
/** Tokens of prompt in one step at most; model libraries are compiled for 512 to 4,096. */
const MOST_STEP_TOKENS = 512;

/** What the GPU holds: tokens with their keys and values, and the logits behind them. */
interface HeldLogits {
  readonly ids: readonly number[];
  readonly logits: Float32Array;
}

type Held = HeldLogits | typeof NOTHING_HELD;

const NOTHING_HELD = { ids: [] as readonly number[], logits: null } as const;

/**
 * web-llm on WebGPU, at its lowest level: token ids go in, raw logits come out, and everything between (prompt, sampling, stop strings, log-probabilities) is
 * ours. So its answers mean the same as those of the other engine, up to the arithmetic of the GPU. Its files come from the verified weights: nothing is
 * fetched.
 */
export class WebLlmEngine implements Engine {
  #loaded: WebLlm | null = null;
  readonly #turns = new Turns();
  /** What the package's last step left. */
  #caught: Float32Array | null = null;
  /** `null`: unknown, after a step that failed. */
  #held: Held | null = null;
  #stepTokens = 1;
  /** Tokens of prompts that were read since an answer began. */
  #evaluated = 0;
  readonly #files: readonly ModelFile[];
  readonly #stepDeadlineMs: number;

  /** `files`: which part of the weights is which. Another deadline is for tests on adapters that only imitate a GPU. */
  constructor(files: readonly ModelFile[], stepDeadlineMs: number = STEP_DEADLINE_MS) {
    this.#files = files;
    this.#stepDeadlineMs = stepDeadlineMs;
  }

  async load(weights: Blob, options: LoadOptions, signal: AbortSignal): Promise<LoadedModel> {
    await this.dispose();
    signal.throwIfAborted();
    const onLogits = (logits: Float32Array) => {
      this.#caught = logits;
    };
    this.#loaded = await loadWebLlm(weights, this.#files, options, onLogits, signal);
    this.#held = null;
    this.#stepTokens = options.batchTokens;
    const { vocab_size: vocabularySize } = this.#loaded.config;
    return { contextTokens: options.contextTokens, vocabularySize, threads: 1 };
  }

  async *generate(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateEvent, void, undefined> {
    const release = await this.#turns.take(signal);
    try {
      yield* this.#write(request, signal);
    } catch (cause) {
      throw failureOf(cause);
    } finally {
      release();
    }
  }

  async *#write(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateEvent, void, undefined> {
    const { options, stopTokens } = this.#chatting();
    const { sampling } = request;
    const prompt = this.#encode(request.prompt);
    if (prompt.length >= options.contextTokens) throw tooLong(prompt.length, options.contextTokens);
    yield { type: 'prompt', tokens: prompt.length };
    const startedAt = performance.now();
    this.#evaluated = 0;
    let logits = await this.#read(prompt, signal);
    const evaluatedTokens = this.#evaluated;
    const prefillMs = performance.now() - startedAt;
    const room = Math.min(sampling.maxTokens, options.contextTokens - prompt.length);
    const sampler = new Sampler(sampling);
    const stops = new StopStrings(request.stop);
    const decoder = new TextDecoder();
    let finish: 'stop' | 'length' = 'length';
    let written = 0;
    /** Tokens whose text has not come out yet. */
    let pending = 0;
    while (written < room) {
      const id = sampler.next(logits);
      written++;
      if (stopTokens.has(id)) {
        finish = 'stop';
        break;
      }
      pending++;
      const { text, stopped } = stops.push(decoder.decode(this.#bytesOf(id), { stream: true }));
      if (text !== '') {
        yield { type: 'delta', text, tokens: pending };
        pending = 0;
      }
      if (stopped) {
        finish = 'stop';
        break;
      }
      if (written < room) logits = await this.#goOn(id, signal);
    }
    const rest = stops.push(decoder.decode());
    const text = rest.text + stops.rest();
    if (text !== '' || (pending > 0 && finish === 'length')) yield { type: 'delta', text, tokens: pending };
    const decodeMs = performance.now() - startedAt - prefillMs;
    yield {
      type: 'end',
      finish,
      promptTokens: prompt.length,
      completionTokens: written,
      evaluatedTokens,
      prefillMs,
      decodeMs,
    };
  }

  embed(text: string, signal: AbortSignal): Promise<Embedded> {
    return this.#inTurn(signal, async () => {
      const { mlc, inside, options, over } = this.#ready();
      if (!options.embeddings) throw new EngineError('unsupported', 'The model was loaded without embeddings.');
      const tokens = inside.tokenizer.encode(text).length;
      if (tokens > options.contextTokens) throw tooLong(tokens, options.contextTokens);
      const asked = mlc.embeddings.create({ model: MODEL, input: text });
      const reply = await withDeadline(Promise.race([asked, over]), this.#stepDeadlineMs, null);
      if (reply === null) throw hung(this.#stepDeadlineMs);
      const vector = Float32Array.from(reply.data[0]?.embedding ?? []);
      const norm = Math.hypot(...vector);
      if (!(norm > 0)) throw new EngineError('crashed', 'The engine gave no vector.');
      return { vector: vector.map((x) => x / norm), tokens };
    });
  }

  probe(request: ProbeRequest, signal: AbortSignal): Promise<ProbeResult> {
    return this.#inTurn(signal, async () => {
      const text = this.#encode(request.text);
      const first = await this.#read(text, signal);
      const choices: number[] = [];
      for (const choice of request.choices) {
        const ids = this.#continuation(request.text, text, choice);
        let sum = 0;
        for (const [index, id] of ids.entries()) {
          const logits = index === 0 ? first : await this.#read([...text, ...ids.slice(0, index)], signal);
          sum += logProbability(logits, id);
        }
        choices.push(sum);
      }
      return { candidates: this.#candidates(first), choices };
    });
  }

  force(request: ForceRequest, signal: AbortSignal): Promise<readonly ForcedToken[]> {
    return this.#inTurn(signal, () => this.#forced(request, signal));
  }

  /**
   * The answer in the tokenizer's own pieces, which are nearly always the author's. Where the model would not have written the next piece, but has a likely one that
   * fits, that one is taken and the rest is cut anew.
   */
  async #forced({ prompt, answer }: ForceRequest, signal: AbortSignal): Promise<ForcedToken[]> {
    const { options } = this.#chatting();
    const promptIds = this.#encode(prompt);
    let ids = this.#continuation(prompt, promptIds, answer);
    const needed = promptIds.length + ids.length + 1;
    if (needed > options.contextTokens) throw tooLong(needed, options.contextTokens);
    let logits = await this.#read(promptIds, signal);
    const tokens: ForcedToken[] = [];
    for (let at = 0; at < answer.length; ) {
      const candidates = this.#candidates(logits);
      const [own = 0] = ids;
      const ownText = this.#wholeText(own);
      const fitting = claimedCandidate(candidates, answer.slice(at));
      const isOwnLikely = candidates.some(({ text }) => text === ownText);
      const taken =
        isOwnLikely || fitting === null ? { text: ownText, logProbability: logProbability(logits, own) } : fitting;
      const id = taken.text === ownText ? own : this.#idOf(logits, taken);
      ids = taken.text === ownText ? ids.slice(1) : this.#encodeAnswer(answer.slice(at + taken.text.length));
      tokens.push({ ...taken, candidates });
      at += taken.text.length;
      if (promptIds.length + tokens.length >= options.contextTokens) {
        throw tooLong(promptIds.length + tokens.length + 1, options.contextTokens);
      }
      logits = await this.#goOn(id, signal);
    }
    const candidates = this.#candidates(logits);
    const end = Math.max(...[...this.#chatting().stopTokens].map((id) => logProbability(logits, id)));
    tokens.push({ text: '', logProbability: end, candidates });
    return tokens;
  }

  async dispose(): Promise<void> {
    const loaded = this.#loaded;
    this.#loaded = null;
    this.#caught = null;
    this.#held = null;
    await loaded?.close(new EngineError('not_loaded', 'The engine was closed.'));
  }

  /** Throws {@link EngineError} and `AbortError`, whatever the package throws. */
  async #inTurn<T>(signal: AbortSignal, act: () => Promise<T>): Promise<T> {
    try {
      return await this.#turns.run(signal, act);
    } catch (cause) {
      throw failureOf(cause);
    }
  }

  #ready(): WebLlm {
    if (this.#loaded === null) throw new EngineError('not_loaded', 'No model is loaded.');
    return this.#loaded;
  }

  #chatting(): WebLlm {
    const loaded = this.#ready();
    if (loaded.options.embeddings) throw new EngineError('unsupported', 'The model was loaded for embeddings.');
    return loaded;
  }

  /** Logits behind these tokens. What the GPU holds of them already is not read again. */
  async #read(ids: readonly number[], signal: AbortSignal): Promise<Float32Array> {
    const { mlc } = this.#chatting();
    let held = this.#held;
    if (held === null || held.ids.length > ids.length || held.ids.some((id, index) => id !== ids[index])) {
      await mlc.resetChat(false, MODEL);
      held = NOTHING_HELD;
      this.#held = held; // An abort before the next step must not leave the old one.
    }
    while (held.logits === null || held.ids.length < ids.length) {
      const part = ids.slice(held.ids.length, held.ids.length + this.#stepTokens);
      const startedAt = performance.now();
      held = await this.#step(held, part, signal);
      this.#evaluated += part.length;
      this.#fitStep(part.length, performance.now() - startedAt);
    }
    return held.logits;
  }

  /** The next steps of a prompt take about as long as one should. */
  #fitStep(tokens: number, tookMs: number): void {
    if (tokens < this.#stepTokens) return;
    if (tookMs > 2 * STEP_GOAL_MS) this.#stepTokens = Math.max(1, this.#stepTokens >> 1);
    else if (tookMs < STEP_GOAL_MS / 2) this.#stepTokens = Math.min(MOST_STEP_TOKENS, this.#stepTokens * 2);
  }

  /** Logits behind one token more. */
  async #goOn(id: number, signal: AbortSignal): Promise<Float32Array> {
    const { logits } = await this.#step(this.#held ?? NOTHING_HELD, [id], signal);
    return logits;
  }

  /** Puts these tokens behind those that are held. */
  async #step(before: Held, ids: readonly number[], signal: AbortSignal): Promise<HeldLogits> {
    if (signal.aborted) throw abortError();
    const { mlc, table, over } = this.#chatting();
    this.#held = null;
    this.#caught = null;
    const run = mlc.forwardTokensAndSample([...ids], ids.length > 1, MODEL);
    const done = await withDeadline(Promise.race([run, over]), this.#stepDeadlineMs, null);
    if (done === null) throw hung(this.#stepDeadlineMs);
    const logits = this.#takeCaught()?.subarray(0, table.size) ?? new Float32Array();
    if (!Number.isFinite(logits[likeliest(logits)])) {
      throw new EngineError('crashed', 'The graphics processor gave no numbers.');
    }
    const held = { ids: [...before.ids, ...ids], logits };
    this.#held = held;
    return held;
  }

  #takeCaught(): Float32Array | null {
    return this.#caught;
  }

  #encode(text: string): number[] {
    const ids = [...this.#chatting().inside.tokenizer.encode(text)];
    if (ids.length === 0) throw new EngineError('unsupported', 'There is nothing to go on from.');
    return ids;
  }

  #encodeAnswer(text: string): number[] {
    const { tokenizer } = this.#chatting().inside;
    const ids = spellText({ encode: (part) => tokenizer.encode(part), bytesOf: (id) => this.#bytesOf(id) }, text);
    if (ids === null) throw new EngineError('unsupported', 'The tokenizer of this model cannot spell the answer.');
    for (const id of ids) this.#wholeText(id);
    return ids;
  }

  /** How `text` goes on with `more`: as the tokenizer cuts both together where it leaves the text alone, else by itself. */
  #continuation(text: string, textIds: readonly number[], more: string): number[] {
    if (more === '') return [];
    const both = this.#encode(text + more);
    const rest = both.slice(textIds.length);
    const isApart = textIds.every((id, index) => id === both[index]);
    return isApart && this.#isSpelling(rest, more) ? rest : this.#encodeAnswer(more);
  }

  #isSpelling(ids: readonly number[], text: string): boolean {
    const bytes = ids.flatMap((id) => [...this.#bytesOf(id)]);
    const wanted = utf8(text);
    return (
      bytes.length === wanted.length &&
      bytes.every((byte, index) => byte === wanted[index]) &&
      ids.every((id) => this.#ready().table.textOf(id) !== null)
    );
  }

  #bytesOf(id: number): Uint8Array {
    return this.#ready().table.bytesOf(id) ?? new Uint8Array();
  }

  #wholeText(id: number): string {
    const text = this.#ready().table.textOf(id);
    if (text === null || text === '') {
      throw new EngineError('unsupported', 'The answer has characters that this model writes in several tokens.');
    }
    return text;
  }

  #candidates(logits: Float32Array): Candidate[] {
    return likeliestTokens(logits, PROBE_CANDIDATES).flatMap(({ id, logProbability }) => {
      const text = this.#ready().table.textOf(id);
      return text === null ? [] : [{ text, logProbability }];
    });
  }

  /** The token of a candidate: two tokens with one text have different probabilities. */
  #idOf(logits: Float32Array, { text, logProbability }: Candidate): number {
    const found = likeliestTokens(logits, PROBE_CANDIDATES).find(
      (token) => token.logProbability === logProbability && this.#ready().table.textOf(token.id) === text,
    );
    if (found === undefined) throw new EngineError('crashed', 'A candidate has no token.');
    return found.id;
  }
}

function logProbability(logits: Float32Array, id: number): number {
  return Math.min(0, (logits[id] ?? Number.NEGATIVE_INFINITY) - logSumExp(logits));
}

function tooLong(tokens: number, contextTokens: number): EngineError {
  return new EngineError('context_exceeded', `${tokens} tokens do not fit a context of ${contextTokens}.`);
}

function hung(ms: number): EngineError {
  return new EngineError('crashed', `The graphics processor did not answer within ${ms / 1000} s.`);
}

function failureOf(cause: unknown): unknown {
  if (isAbort(cause)) return abortError();
  return cause instanceof EngineError ? cause : new EngineError('crashed', failureText(cause));
}
