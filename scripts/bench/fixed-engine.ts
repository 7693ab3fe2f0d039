import {
  type Embedded,
  type Engine,
  EngineError,
  type GenerateEvent,
  type GenerateRequest,
  type LoadedModel,
} from '../../web-miner/engine/engine.ts';

/** Writes exactly as many tokens as it is asked for, at its pace or as fast as they are taken, after a pause in place of reading the prompt. */
export class FixedEngine implements Engine {
  prefillMs = 0;
  /** 0: as fast as they are taken. */
  msPerToken = 0;

  async load(): Promise<LoadedModel> {
    return { contextTokens: 512, vocabularySize: 1, threads: 1 };
  }

  async *generate({ sampling }: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateEvent, void, undefined> {
    yield { type: 'prompt', tokens: 3 };
    if (this.prefillMs > 0) await new Promise((resolve) => setTimeout(resolve, this.prefillMs));
    const startedAt = performance.now();
    for (let i = 0; i < sampling.maxTokens; i++) {
      // Held against the start: late timers do not add up.
      const aheadMs = startedAt + (i + 1) * this.msPerToken - performance.now();
      if (aheadMs > 0) await new Promise((resolve) => setTimeout(resolve, aheadMs));
      signal.throwIfAborted();
      yield { type: 'delta', text: 'token', tokens: 1 };
    }
    yield {
      type: 'end',
      finish: 'length',
      promptTokens: 3,
      completionTokens: sampling.maxTokens,
      prefillMs: 0,
      decodeMs: 1,
    };
  }

  embed(_text: string): Promise<Embedded> {
    return Promise.resolve({ vector: new Float32Array(1), tokens: 1 });
  }

  probe(): Promise<never> {
    return Promise.reject(new EngineError('unsupported', 'There is no model to ask.'));
  }

  force(): Promise<never> {
    return Promise.reject(new EngineError('unsupported', 'There is no model to ask.'));
  }

  async dispose(): Promise<void> {}
}
