import { type Candidate, claimedCandidate, type ForcedToken } from '../../shared/checking/next-token.ts';
import { PROBE_CANDIDATES } from '../../shared/limits.ts';
import {
  abortError,
  type Embedded,
  type Engine,
  EngineError,
  type ForceRequest,
  type GenerateEvent,
  type GenerateRequest,
  type LoadedModel,
  type LoadOptions,
  type ProbeRequest,
  type ProbeResult,
} from './engine.ts';
import { Turns } from './turns.ts';

/**
 * An engine without a model, for tests and benches: its words follow from prompt and sampling alone, as a real one's do. It sits the same exam
 * as the real engines. Never part of a page.
 */
export interface ScriptedPace {
  /** Time to read one token of the prompt, and to write one, ms. Zero yields to nobody but the event loop. */
  readonly prefillMsPerToken: number;
  readonly decodeMsPerToken: number;
}

const WORDS = [
  'tab',
  'shoal',
  'seals',
  'answers',
  'and',
  'checks',
  'the',
  'small',
  'fish',
  'write',
  'wörter',
  '🐟',
  '水',
];
export const SCRIPTED_DIMENSIONS = 16;
const DIMENSIONS = SCRIPTED_DIMENSIONS;

export class ScriptedEngine implements Engine {
  readonly #pace: ScriptedPace;
  #loaded: LoadOptions | null = null;
  readonly #turns = new Turns();

  constructor(pace: ScriptedPace = { prefillMsPerToken: 0, decodeMsPerToken: 0 }) {
    this.#pace = pace;
  }

  async load(weights: Blob, options: LoadOptions, signal: AbortSignal): Promise<LoadedModel> {
    await this.dispose();
    signal.throwIfAborted();
    const magic = await weights.slice(0, 4).text();
    if (magic !== 'GGUF') throw new EngineError('load_failed', 'The file is not a GGUF.');
    this.#loaded = options;
    return { contextTokens: options.contextTokens, vocabularySize: WORDS.length, threads: 1 };
  }

  async *generate(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateEvent, void, undefined> {
    const release = await this.#turns.take(signal);
    try {
      yield* this.#write(request, signal);
    } finally {
      release();
    }
  }

  async *#write(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateEvent, void, undefined> {
    const options = this.#loaded;
    if (options === null) throw new EngineError('not_loaded', 'No model is loaded.');
    const promptTokens = Math.max(1, Math.ceil(request.prompt.length / 4));
    if (promptTokens >= options.contextTokens) {
      throw new EngineError('context_exceeded', `The prompt has ${promptTokens} tokens.`);
    }
    yield { type: 'prompt', tokens: promptTokens };
    for (let read = 0; read < promptTokens; read += options.batchTokens) {
      await pause(this.#pace.prefillMsPerToken * options.batchTokens, signal);
    }
    const greedy = request.sampling.temperature === 0;
    const salt = greedy ? 0 : hash(JSON.stringify({ ...request.sampling, maxTokens: 0 }));
    const room = Math.min(request.sampling.maxTokens, options.contextTokens - promptTokens);
    let completionTokens = 0;
    let text = '';
    let finish: 'stop' | 'length' = 'length';
    while (completionTokens < room) {
      await pause(this.#pace.decodeMsPerToken, signal);
      // The next word follows from all the text so far, so an answer can be continued from its middle.
      const piece = nextPiece(scramble(hash(request.prompt + text) ^ salt));
      completionTokens++;
      if (piece === '') {
        finish = 'stop';
        break;
      }
      const stop = request.stop.find((candidate) => (text + piece).includes(candidate));
      if (stop !== undefined) {
        const kept = (text + piece).slice(text.length, (text + piece).indexOf(stop));
        if (kept !== '') yield { type: 'delta', text: kept, tokens: 1 };
        finish = 'stop';
        break;
      }
      text += piece;
      yield { type: 'delta', text: piece, tokens: 1 };
    }
    yield { type: 'end', finish, promptTokens, completionTokens, prefillMs: 0, decodeMs: 0 };
  }

  embed(text: string, signal: AbortSignal): Promise<Embedded> {
    return this.#turns.run(signal, () => this.#vector(text, signal));
  }

  async #vector(text: string, signal: AbortSignal): Promise<Embedded> {
    if (this.#loaded === null) throw new EngineError('not_loaded', 'No model is loaded.');
    if (!this.#loaded.embeddings) throw new EngineError('unsupported', 'The model was loaded without embeddings.');
    const tokens = Math.max(1, Math.ceil(text.length / 4));
    if (tokens > this.#loaded.batchTokens) throw new EngineError('context_exceeded', `The text has ${tokens} tokens.`);
    await pause(this.#pace.prefillMsPerToken * tokens, signal);
    const vector = new Float32Array(DIMENSIONS);
    for (const word of text.split(/\s+/)) {
      const at = hash(word) >>> 0;
      vector[at % DIMENSIONS] = (vector[at % DIMENSIONS] ?? 0) + 1;
    }
    const norm = Math.hypot(...vector);
    return { vector: vector.map((x) => x / norm), tokens };
  }

  probe(request: ProbeRequest, signal: AbortSignal): Promise<ProbeResult> {
    return this.#turns.run(signal, async () => {
      const candidates = this.#candidates(request.text);
      const choices = request.choices.map((choice) =>
        this.#forced(request.text, choice).reduce(
          (sum, { text, logProbability }) => (text === '' ? sum : sum + logProbability),
          0,
        ),
      );
      return { candidates: candidates.slice(0, PROBE_CANDIDATES), choices };
    });
  }

  force(request: ForceRequest, signal: AbortSignal): Promise<readonly ForcedToken[]> {
    return this.#turns.run(signal, async () => this.#forced(request.prompt, request.answer));
  }

  #forced(prompt: string, answer: string): ForcedToken[] {
    const tokens: ForcedToken[] = [];
    if ((prompt.length + answer.length) / 4 >= (this.#loaded?.contextTokens ?? Number.POSITIVE_INFINITY)) {
      throw new EngineError('context_exceeded', 'The answer does not fit the context behind its prompt.');
    }
    for (let at = 0; ; ) {
      const candidates = this.#candidates(prompt + answer.slice(0, at));
      const rest = answer.slice(at);
      const letter = { text: [...rest][0] ?? '', logProbability: SPELLED_OUT };
      const taken = claimedCandidate(candidates, rest) ?? letter;
      tokens.push({ ...taken, candidates: candidates.slice(0, PROBE_CANDIDATES) });
      if (rest === '') return tokens;
      at += taken.text.length;
    }
  }

  /** What greedy writing takes has a half; the other words and the end follow, each with half of what the one before it has. */
  #candidates(text: string): Candidate[] {
    if (this.#loaded === null) throw new EngineError('not_loaded', 'No model is loaded.');
    const best = nextPiece(scramble(hash(text)));
    const others = [...WORDS.map((word) => ` ${word}`), ''].filter((piece) => piece !== best);
    return [best, ...others].map((piece, index) => ({ text: piece, logProbability: -Math.LN2 * (index + 1) }));
  }

  async dispose(): Promise<void> {
    this.#loaded = null;
  }
}

/** Log-probability of a letter that no word of this engine begins with. */
const SPELLED_OUT = -20;

/** The next word behind a space, or the empty text that ends an answer. */
function nextPiece(state: number): string {
  return (state >>> 3) % 97 === 0 ? '' : ` ${WORDS[(state >>> 8) % WORDS.length] ?? ''}`;
}

function scramble(state: number): number {
  const mixed = Math.imul(state ^ (state >>> 15), 0x2c1b3c6d);
  return mixed ^ (mixed >>> 13);
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let state = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) state = Math.imul(state ^ text.charCodeAt(i), 0x01000193);
  return state | 0;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.reject(abortError());
  if (ms <= 0) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      clearTimeout(timer);
      reject(abortError());
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    }, ms);
    signal.addEventListener('abort', onAbort, { once: true });
  });
}
