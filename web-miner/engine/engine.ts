import type { Candidate, ForcedToken } from '../../shared/checking/next-token.ts';
import type { Sampling } from '../../shared/protocol/lease.ts';

/** The engine port: what a tab needs of whatever runs a model. Every implementation sits the exam of `engine-exam.ts`. */

export interface LoadOptions {
  readonly contextTokens: number;
  /** Threads for the CPU; 1 is right unless the machine is idle. */
  readonly threads: number;
  /** Tokens of prompt that are read between two looks at the abort signal. */
  readonly batchTokens: number;
  /** Whether {@link Engine.embed} will be asked for. Then `batchTokens` is also the longest text that can be embedded. */
  readonly embeddings: boolean;
  /** How the vectors of the tokens become one; left out: their mean. */
  readonly pooling?: Pooling;
}

export type Pooling = 'mean' | 'cls' | 'last';

export interface LoadedModel {
  readonly contextTokens: number;
  readonly vocabularySize: number;
  readonly threads: number;
}

export interface GenerateRequest {
  /** Rendered prompt, control tokens included; without the first token where the engine adds that itself. */
  readonly prompt: string;
  readonly sampling: Sampling;
  readonly stop: readonly string[];
}

export type GenerateEvent =
  /** The prompt's length, before it is read. */
  | { readonly type: 'prompt'; readonly tokens: number }
  /** Whole characters; `tokens` is how many tokens they took. */
  | { readonly type: 'delta'; readonly text: string; readonly tokens: number }
  | {
      readonly type: 'end';
      readonly finish: 'stop' | 'length';
      readonly promptTokens: number;
      /** Tokens written, the one that ends the answer included. */
      readonly completionTokens: number;
      /** Tokens of the prompt that were read, by the engine's own count; the others it still held. Left out by an engine that does not say. */
      readonly evaluatedTokens?: number;
      readonly prefillMs: number;
      readonly decodeMs: number;
    };

export interface ProbeRequest {
  /** Rendered prompt and the answer so far. The cut should lie between two tokens, or the model sees a word that nobody would cut there. */
  readonly text: string;
  /** Words whose log-probability is asked for whether or not they are among the likeliest, as in `Yes` and `No`. */
  readonly choices: readonly string[];
}

export interface ProbeResult {
  /** The likeliest next tokens, best first: `PROBE_CANDIDATES` of them, fewer where one of them is a part of a character. */
  readonly candidates: readonly Candidate[];
  /** For each choice, the log-probability that the text goes on with exactly these characters. */
  readonly choices: readonly number[];
}

export interface ForceRequest {
  readonly prompt: string;
  /** What the model is made to write. */
  readonly answer: string;
}

export interface Embedded {
  /** Of length one. */
  readonly vector: Float32Array;
  /** Tokens that were read, those included that the model adds. */
  readonly tokens: number;
}

export interface Engine {
  /** Throws {@link EngineError}. After a failure the engine may be loaded again. */
  load(weights: Blob, options: LoadOptions, signal: AbortSignal): Promise<LoadedModel>;
  /**
   * One answer at a time; a second call waits for the first. Throws `AbortError` when the signal aborts, {@link EngineError} otherwise. Leaving
   * the loop early stops the engine.
   */
  generate(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateEvent, void, undefined>;
  /** Throws `unsupported` when the model was loaded without embeddings, and `context_exceeded`, with the count of tokens in its message. */
  embed(text: string, signal: AbortSignal): Promise<Embedded>;
  /**
   * What the model would write next. Waits its turn as {@link generate} does. Throws {@link EngineError}, `unsupported` where the engine
   * cannot say, and `AbortError`.
   */
  probe(request: ProbeRequest, signal: AbortSignal): Promise<ProbeResult>;
  /**
   * Writes the given answer instead of its own, and says at every token what it would rather have written. The last entry is the end of the answer, with an
   * empty text. Costs about as much as writing the answer. Throws as {@link probe} does, and `context_exceeded`.
   */
  force(request: ForceRequest, signal: AbortSignal): Promise<readonly ForcedToken[]>;
  /** Gives the memory back. The engine may be loaded again. */
  dispose(): Promise<void>;
}

/** `answer_failed`: this answer cannot be given, and the engine works on. `crashed`: it does not. */
export type EngineFailure =
  | 'load_failed'
  | 'not_loaded'
  | 'context_exceeded'
  | 'unsupported'
  | 'answer_failed'
  | 'crashed';

export class EngineError extends Error {
  override readonly name = 'EngineError';
  readonly reason: EngineFailure;

  constructor(reason: EngineFailure, message: string) {
    super(message);
    this.reason = reason;
  }
}

export function abortError(): DOMException {
  return new DOMException('The work was stopped.', 'AbortError');
}

export function isAbort(cause: unknown): boolean {
  return cause instanceof Error && cause.name === 'AbortError';
}
