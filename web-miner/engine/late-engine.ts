import {
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

/** An engine whose code is fetched when it is first loaded: six megabytes that a tab without a graphics processor never sees. */
export class LateEngine implements Engine {
  readonly #fetchEngine: () => Promise<Engine>;
  #engine: Engine | null = null;

  constructor(fetchEngine: () => Promise<Engine>) {
    this.#fetchEngine = fetchEngine;
  }

  async load(weights: Blob, options: LoadOptions, signal: AbortSignal): Promise<LoadedModel> {
    try {
      this.#engine ??= await this.#fetchEngine();
    } catch (cause) {
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new EngineError('load_failed', `The engine itself could not be fetched: ${reason}`);
    }
    signal.throwIfAborted();
    return this.#engine.load(weights, options, signal);
  }

  async *generate(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateEvent, void, undefined> {
    yield* this.#fetched().generate(request, signal);
  }

  async embed(text: string, signal: AbortSignal): ReturnType<Engine['embed']> {
    return this.#fetched().embed(text, signal);
  }

  async probe(request: ProbeRequest, signal: AbortSignal): Promise<ProbeResult> {
    return this.#fetched().probe(request, signal);
  }

  async force(request: ForceRequest, signal: AbortSignal): ReturnType<Engine['force']> {
    return this.#fetched().force(request, signal);
  }

  async dispose(): Promise<void> {
    await this.#engine?.dispose();
  }

  #fetched(): Engine {
    if (this.#engine === null) throw new EngineError('not_loaded', 'No model is loaded.');
    return this.#engine;
  }
}
