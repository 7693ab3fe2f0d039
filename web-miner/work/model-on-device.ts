import type { SentenceEmbedding } from '../../shared/checking/sentence-embedding.ts';
import { kindOf, type ServedVariant } from '../../shared/classes/catalogue.ts';
import type { SelfTestQuestion } from '../../shared/classes/self-tests.ts';
import type { Engine, LoadedModel } from '../engine/engine.ts';
import type { PromptRenderer } from '../engine/render-prompt.ts';
import { type EngineDeadlines, Watchdog } from '../engine/watchdog.ts';
import { type SelfTestResult, SlowDevice, selfTest, WrongDevice } from '../preflight/self-test.ts';
import { batchTokensFor, loadOptionsOf, rendererOf, warmUpEmbedding } from './load-model.ts';
import { isBreakdown } from './work-failure.ts';
import type { WorkModel } from './work-model.ts';

export interface ModelPorts {
  /** A fresh engine for the variant. */
  readonly engineFor: (served: ServedVariant) => Engine;
  readonly deadlines?: EngineDeadlines;
  /** For its own test, ms; left out: as long as a person waits for it. */
  readonly selfTestMs?: number;
  /** Questions of this class whose answers are published. */
  readonly known: readonly SelfTestQuestion[];
  /** The engine was ended between two pieces of work, and why. */
  readonly onEnded: (reason: string) => void;
  readonly signal: AbortSignal;
}

/** When a model was tested on this device, ms since the epoch, and what was found. */
export type Tested = { readonly at: number; readonly outcome: SelfTestResult['outcome'] };

/** One model with its engine, how to load it again, and what its last test found. */
export class ModelOnDevice {
  readonly served: ServedVariant;
  readonly name: string;
  readonly engine: Engine;
  readonly renderer: PromptRenderer;
  readonly #ports: ModelPorts;
  readonly #load: () => Promise<LoadedModel>;
  #threads = 1;
  #tested: Tested = { at: 0, outcome: 'steady' };
  #last: SelfTestResult = { outcome: 'steady', speed: null };

  constructor(served: ServedVariant, weights: Blob, ports: ModelPorts) {
    const { engineFor, deadlines, onEnded, signal } = ports;
    this.served = served;
    this.name = nameOf(served);
    this.renderer = rendererOf(served.model);
    this.#ports = ports;
    const engine = new Watchdog(() => engineFor(served), {
      ...(deadlines !== undefined && { deadlines }),
      onEnded: ({ message }) => onEnded(message),
    });
    this.engine = engine;
    const options = loadOptionsOf(served.model, batchTokensFor(served.variant.weights.bytes));
    this.#load = () => engine.load(weights, options, signal);
  }

  get threads(): number {
    return this.#threads;
  }

  get tested(): Tested {
    return this.#tested;
  }

  /** Tokens per second at its last test; null when that did not show it. */
  get speed(): number | null {
    return 'speed' in this.#last ? this.#last.speed : null;
  }

  /** Throws `EngineError`. A model that is loaded is loaded afresh. */
  async load(): Promise<void> {
    this.#threads = (await this.#load()).threads;
  }

  /** Asks it a question whose answer is known. Throws {@link WrongDevice} when it writes something else than its class, twice; and `EngineError`. */
  async prove(): Promise<void> {
    const { engine, renderer } = this;
    const { signal, known, selfTestMs } = this.#ports;
    if (kindOf(this.served.model) === 'embed') {
      return this.#found({ outcome: 'steady', speed: await warmUpEmbedding(engine, signal) });
    }
    const question = known[Math.floor(Math.random() * known.length)] ?? null;
    let result = await selfTest(engine, renderer, question, signal, selfTestMs);
    if (result.outcome === 'wrong') {
      await this.load(); // A process that went wrong may be the only thing that is.
      result = await selfTest(engine, renderer, question, signal, selfTestMs);
    }
    this.#found(result);
    if (result.outcome !== 'wrong') return;
    throw new WrongDevice(
      `This device computes wrongly: it wrote “${result.wrote}” where “${result.expected}” is right.`,
    );
  }

  /** As {@link prove}; an engine that breaks down at it is loaded again, once. */
  async proveAnew(): Promise<void> {
    try {
      await this.prove();
    } catch (cause) {
      if (!isBreakdown(cause)) throw cause;
      await this.load();
      await this.prove();
    }
  }

  /** Throws {@link SlowDevice} where the last test found that it writes next to nothing. */
  mustBeFast(smaller: string | null): void {
    if (this.#last.outcome === 'slow') throw new SlowDevice(this.name, this.#last, smaller);
  }

  work(sentence: SentenceEmbedding): WorkModel {
    const { served, engine, renderer } = this;
    return { model: served.model.id, variant: served.variant.id, class: served.class, engine, renderer, sentence };
  }

  #found(result: SelfTestResult): void {
    this.#last = result;
    this.#tested = { at: Date.now(), outcome: result.outcome };
  }
}

export function nameOf(served: ServedVariant): string {
  return `${served.model.id}:${served.variant.id}${served.arithmetic.flashAttention ? ', flash attention' : ''}`;
}
