import { CHECK_DEADLINE_MS, FIRST_FRAME_DEADLINE_MS, FRAME_GAP_DEADLINE_MS } from '../../shared/limits.ts';
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
import { Patience, withPatience } from './patience.ts';
import { Turns } from './turns.ts';

/** How long each wait for an engine may take, ms. */
export interface EngineDeadlines {
  readonly loadMs: number;
  /** From the request to the first piece of text: the prompt is read meanwhile. */
  readonly firstTokenMs: number;
  /** Between two pieces of text. */
  readonly nextTokenMs: number;
  /** A whole vector, probe or forced decode. */
  readonly wholeMs: number;
  /** To come to rest after an abort. */
  readonly abortMs: number;
  readonly disposeMs: number;
}

/** Later than the router's own, so that slow work ends there and not here: what is left is an engine that hangs. */
export const ENGINE_DEADLINES: EngineDeadlines = {
  // Gigabytes are copied to a graphics processor and a few hundred shaders compiled; a wrong address of the engine's code never settles.
  loadMs: 300_000,
  firstTokenMs: FIRST_FRAME_DEADLINE_MS,
  nextTokenMs: 2 * FRAME_GAP_DEADLINE_MS,
  wholeMs: CHECK_DEADLINE_MS,
  abortMs: 2_000,
  disposeMs: 10_000,
};

export interface WatchdogOptions {
  readonly deadlines?: EngineDeadlines;
  /** The engine was ended, and nobody waits who could be told by an error: it did not rest after its answer was cut off. */
  readonly onEnded?: (why: EngineError) => void;
}

/**
 * An engine with a deadline for each wait. One that hangs is ended, with whatever worker it runs in, and the request fails with `crashed` (`load_failed` while
 * it loads); so does one that is deaf to an abort. The next `load` makes a fresh engine.
 */
export class Watchdog implements Engine {
  readonly #open: () => Engine;
  readonly #deadlines: EngineDeadlines;
  readonly #onEnded: (why: EngineError) => void;
  readonly #turns = new Turns();
  #engine: Engine | null = null;
  /** The engine that was ended last lets go of its memory. */
  #ending: Promise<unknown> = Promise.resolve();

  constructor(open: () => Engine, { deadlines = ENGINE_DEADLINES, onEnded = () => undefined }: WatchdogOptions = {}) {
    this.#open = open;
    this.#deadlines = deadlines;
    this.#onEnded = onEnded;
  }

  async load(weights: Blob, options: LoadOptions, signal: AbortSignal): Promise<LoadedModel> {
    await this.#ending;
    signal.throwIfAborted();
    this.#engine ??= this.#open();
    const engine = this.#engine;
    const { loadMs } = this.#deadlines;
    const late = new EngineError('load_failed', `The engine did not start within ${seconds(loadMs)}.`);
    return this.#watched(engine, engine.load(weights, options, signal), loadMs, late, signal);
  }

  async *generate(request: GenerateRequest, signal: AbortSignal): AsyncGenerator<GenerateEvent, void, undefined> {
    const release = await this.#turns.take(signal);
    let engine: Engine | null = null;
    let run: AsyncGenerator<GenerateEvent, void, undefined> | null = null;
    const { firstTokenMs, nextTokenMs } = this.#deadlines;
    try {
      engine = this.#ready();
      run = engine.generate(request, signal);
      let hasBegun = false;
      for (;;) {
        const ms = hasBegun ? nextTokenMs : firstTokenMs;
        const what = hasBegun ? 'stopped in the middle of an answer and wrote nothing' : 'did not begin to write';
        const late = new EngineError('crashed', `The engine ${what} within ${seconds(ms)}.`);
        const next = await this.#watched(engine, run.next(), ms, late, signal);
        if (next.done === true) return;
        if (next.value.type === 'delta') hasBegun = true;
        yield next.value;
      }
    } finally {
      if (engine !== null && run !== null) await this.#rested(engine, run);
      release();
    }
  }

  embed(text: string, signal: AbortSignal): ReturnType<Engine['embed']> {
    return this.#whole('embed the text', signal, (engine) => engine.embed(text, signal));
  }

  probe(request: ProbeRequest, signal: AbortSignal): Promise<ProbeResult> {
    return this.#whole('name the next words', signal, (engine) => engine.probe(request, signal));
  }

  force(request: ForceRequest, signal: AbortSignal): ReturnType<Engine['force']> {
    return this.#whole('read the answer', signal, (engine) => engine.force(request, signal));
  }

  async dispose(): Promise<void> {
    const engine = this.#engine;
    if (engine === null) return void (await this.#ending);
    const isGone = await withPatience(
      engine.dispose().then(() => true),
      this.#deadlines.disposeMs,
      false,
    );
    if (!isGone && this.#engine === engine) this.#engine = null;
  }

  #ready(): Engine {
    if (this.#engine === null) throw new EngineError('not_loaded', 'No model is loaded.');
    return this.#engine;
  }

  #whole<T>(what: string, signal: AbortSignal, act: (engine: Engine) => Promise<T>): Promise<T> {
    return this.#turns.run(signal, async () => {
      const engine = this.#ready();
      const { wholeMs } = this.#deadlines;
      const late = new EngineError('crashed', `The engine did not ${what} within ${seconds(wholeMs)}.`);
      return this.#watched(engine, act(engine), wholeMs, late, signal);
    });
  }

  /** What the engine does, or the end of the engine. */
  async #watched<T>(engine: Engine, work: Promise<T>, ms: number, late: EngineError, signal: AbortSignal): Promise<T> {
    const over = Promise.withResolvers<never>();
    const end = (why: EngineError) => {
      this.#end(engine);
      over.reject(why);
    };
    const waits = [new Patience(ms, () => end(late))];
    const onAbort = () => waits.push(new Patience(this.#deadlines.abortMs, () => end(this.#deaf())));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    work.catch(() => undefined); // Nobody listens to an engine that was ended.
    try {
      return await Promise.race([work, over.promise]);
    } finally {
      for (const wait of waits) wait.end();
      signal.removeEventListener('abort', onAbort);
    }
  }

  /** After an answer, whole or cut off: the engine is free, or it is ended. */
  async #rested(engine: Engine, run: AsyncGenerator<GenerateEvent, void, undefined>): Promise<void> {
    if (this.#engine !== engine) return;
    const isAtRest = await withPatience(
      run.return().then(
        () => true,
        () => true,
      ),
      this.#deadlines.abortMs,
      false,
    );
    if (isAtRest || this.#engine !== engine) return;
    this.#end(engine);
    this.#onEnded(this.#deaf());
  }

  #end(engine: Engine): void {
    if (this.#engine === engine) this.#engine = null;
    const gone = engine.dispose().catch(() => undefined);
    this.#ending = withPatience(gone, this.#deadlines.disposeMs, undefined);
  }

  #deaf(): EngineError {
    return new EngineError('crashed', `The engine did not stop within ${seconds(this.#deadlines.abortMs)}.`);
  }
}

function seconds(ms: number): string {
  return `${ms / 1000} s`;
}
