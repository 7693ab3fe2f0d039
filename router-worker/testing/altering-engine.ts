import type { ForcedToken } from '../../shared/checking/next-token.ts';
import type {
  Embedded,
  Engine,
  ForceRequest,
  GenerateEvent,
  GenerateRequest,
  LoadedModel,
  LoadOptions,
  ProbeRequest,
  ProbeResult,
} from '../../web-miner/engine/engine.ts';

/** An honest engine with one lie: what it writes passes through `alter` first. */
export class AlteringEngine implements Engine {
  readonly #engine: Engine;
  readonly #alter: (event: GenerateEvent, index: number) => GenerateEvent | null;

  constructor(engine: Engine, alter: (event: GenerateEvent, index: number) => GenerateEvent | null) {
    this.#engine = engine;
    this.#alter = alter;
  }

  load(weights: Blob, options: LoadOptions, signal: AbortSignal): Promise<LoadedModel> {
    return this.#engine.load(weights, options, signal);
  }

  async *generate(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateEvent, void, undefined> {
    let index = 0;
    for await (const event of this.#engine.generate(request, signal)) {
      const altered = this.#alter(event, event.type === 'delta' ? index++ : -1);
      if (altered !== null) yield altered;
    }
  }

  embed(text: string, signal: AbortSignal): Promise<Embedded> {
    return this.#engine.embed(text, signal);
  }

  probe(request: ProbeRequest, signal: AbortSignal): Promise<ProbeResult> {
    return this.#engine.probe(request, signal);
  }

  force(request: ForceRequest, signal: AbortSignal): Promise<readonly ForcedToken[]> {
    return this.#engine.force(request, signal);
  }

  dispose(): Promise<void> {
    return this.#engine.dispose();
  }
}

/** One token of the answer, another one of the same length. */
export function oneTokenAltered(at: number): (event: GenerateEvent, index: number) => GenerateEvent {
  return (event, index) =>
    event.type === 'delta' && index === at
      ? { ...event, text: event.text.replace(/[\s\S]/g, (unit) => (unit === 'x' ? 'y' : 'x')) }
      : event;
}
