import {
  abortError,
  type Engine,
  EngineError,
  type GenerateEvent,
  type GenerateRequest,
  type LoadedModel,
  type LoadOptions,
} from './engine.ts';

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
const DIMENSIONS = 16;

export class ScriptedEngine implements Engine {
  readonly #pace: ScriptedPace;
  #loaded: LoadOptions | null = null;
  #tail: Promise<unknown> = Promise.resolve();

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
    const before = this.#tail;
    const mine = Promise.withResolvers<void>();
    this.#tail = before.then(() => mine.promise);
    await before;
    try {
      if (signal.aborted) throw abortError();
      yield* this.#write(request, signal);
    } finally {
      mine.resolve();
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
      const state = scramble(hash(request.prompt + text) ^ salt);
      completionTokens++;
      const word = WORDS[(state >>> 8) % WORDS.length] ?? '';
      if ((state >>> 3) % 97 === 0) {
        finish = 'stop';
        break;
      }
      const piece = ` ${word}`;
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

  async embed(text: string, signal: AbortSignal): Promise<Float32Array> {
    signal.throwIfAborted();
    if (this.#loaded === null) throw new EngineError('not_loaded', 'No model is loaded.');
    if (!this.#loaded.embeddings) throw new EngineError('unsupported', 'The model was loaded without embeddings.');
    const vector = new Float32Array(DIMENSIONS);
    for (const word of text.split(/\s+/)) {
      const at = hash(word) >>> 0;
      vector[at % DIMENSIONS] = (vector[at % DIMENSIONS] ?? 0) + 1;
    }
    const norm = Math.hypot(...vector);
    return vector.map((x) => x / norm);
  }

  async dispose(): Promise<void> {
    this.#loaded = null;
  }
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
