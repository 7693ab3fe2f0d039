import * as v from 'valibot';
import { toBytes } from '../../shared/bytes.ts';
import { readSentenceEmbedding, type SentenceEmbedding } from '../../shared/checking/sentence-embedding.ts';
import {
  type Arithmetic,
  CATALOGUE_PATH,
  catalogue,
  EXACT_ARITHMETIC,
  kindOf,
  SENTENCE_EMBEDDING_PATH,
  type ServedVariant,
  servedClasses,
  variantsNamed,
} from '../../shared/classes/catalogue.ts';
import { WLLAMA_BUILD } from '../../shared/classes/wllama-build.ts';
import type { DirectLinks, LinkPort } from '../../shared/peer/direct-links.ts';
import { ReconnectingSocket } from '../../shared/peer/reconnecting-socket.ts';
import { LIKELIEST } from '../../shared/protocol/lease.ts';
import { CLOSE } from '../../shared/protocol/tab-socket.ts';
import { type Engine, EngineError, isAbort, type LoadedModel } from '../engine/engine.ts';
import type { TabIdentity } from '../identity/tab-identity.ts';
import { type DownloadProgress, fetchWeights, ModelDownloadError } from '../models/model-store.ts';
import { LendingTab, type TabSnapshot } from './lending-tab.ts';
import { loadOptionsOf, rendererOf, warmUpEmbedding } from './load-model.ts';
import { RateMeter } from './rate-meter.ts';

/** Where a lending tab is on its way from the click to serving. */
export type LendingPhase =
  | { readonly phase: 'preparing' }
  | {
      readonly phase: 'downloading';
      readonly model: string;
      readonly progress: DownloadProgress;
      readonly bytesPerSecond: number;
    }
  | { readonly phase: 'loading'; readonly model: string }
  | { readonly phase: 'testing'; readonly model: string }
  | { readonly phase: 'serving'; readonly model: string; readonly threads: number; readonly tab: TabSnapshot }
  | { readonly phase: 'failed'; readonly reason: string; readonly next: string }
  | { readonly phase: 'stopped' };

export interface LendingOptions {
  /** `https://…` of the router. */
  readonly origin: string;
  /** As in `GET /v1/models`, with or without the variant. */
  readonly model: string;
  readonly direct: boolean;
  /** Checks other tabs' answers, and gives none itself. */
  readonly checkOnly?: boolean;
  /** The operator's pass for its guards. */
  readonly guard?: string | null;
  readonly identity: TabIdentity;
  readonly engine: Engine;
  /** How the engine computes; left out: as an exact class does. */
  readonly arithmetic?: Arithmetic;
  readonly links: (events: () => DirectLinks) => LinkPort;
  readonly onPhase: (phase: LendingPhase) => void;
}

/** Close codes after which coming back would end the same way. */
const FINAL_CLOSE_CODES = [CLOSE.protocol, CLOSE.replaced, CLOSE.version];
const FETCH_DEADLINE_MS = 20_000;
/** Greedy tokens written before the tab joins: proves that the engine runs, and how fast. */
const WARM_UP_TOKENS = 12;

/** From nothing to serving. Ends in `failed` or `stopped`, never by throwing. */
export class Lending {
  readonly #options: LendingOptions;
  readonly #abort = new AbortController();
  #tab: LendingTab | null = null;
  #load: (() => Promise<LoadedModel>) | null = null;
  #isRepairing = false;
  /** Answers and checks that were done when the engine was last loaded again. */
  #doneAtRepair = -1;
  #direct: boolean;

  constructor(options: LendingOptions) {
    this.#options = options;
    this.#direct = options.direct;
  }

  async run(): Promise<void> {
    const { onPhase, engine } = this.#options;
    try {
      await this.#start();
    } catch (cause) {
      await engine.dispose();
      if (this.#abort.signal.aborted || isAbort(cause)) onPhase({ phase: 'stopped' });
      else onPhase({ phase: 'failed', ...explain(cause) });
    }
  }

  setDirect(direct: boolean): void {
    this.#direct = direct;
    this.#tab?.setDirect(direct);
  }

  /** Ends running answers, leaves the network, gives the engine's memory back. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#tab?.close();
    this.#tab = null;
    await this.#options.engine.dispose();
    this.#options.onPhase({ phase: 'stopped' });
  }

  retryNow(): void {
    this.#tab?.retryNow();
  }

  async #start(): Promise<void> {
    const { origin, onPhase, engine, identity, links } = this.#options;
    const { signal } = this.#abort;
    onPhase({ phase: 'preparing' });
    const [served, sentence] = await Promise.all([this.#choose(), this.#fetchSentences()]);
    const name = `${served.model.id}:${served.variant.id}${served.arithmetic.flashAttention ? ', flash attention' : ''}`;

    const meter = new RateMeter();
    const weights = await fetchWeights(
      origin,
      served.variant,
      (progress) =>
        onPhase({ phase: 'downloading', model: name, progress, bytesPerSecond: meter.rate(progress.loadedBytes) }),
      signal,
    );
    onPhase({ phase: 'loading', model: name });
    const options = loadOptionsOf(served.model, batchTokensFor(served.variant.weights.bytes));
    this.#load = () => engine.load(weights, options, signal);
    const loaded = await this.#load();
    onPhase({ phase: 'testing', model: name });
    const renderer = rendererOf(served.model);
    const decodeSpeed =
      kindOf(served.model) === 'chat'
        ? await this.#warmUp(renderer.render([{ role: 'user', content: 'Hello!' }]))
        : await warmUpEmbedding(engine, signal);
    signal.throwIfAborted();
    this.#tab = new LendingTab({
      connect: (events) =>
        new ReconnectingSocket({
          ...events,
          url: new URL('/v1/tabs/socket', origin).href.replace(/^http/, 'ws'),
          finalCodes: FINAL_CLOSE_CODES,
        }),
      identity,
      work: { model: served.model.id, variant: served.variant.id, class: served.class, engine, renderer, sentence },
      links,
      decodeSpeed,
      direct: this.#direct,
      checkOnly: this.#options.checkOnly ?? false,
      guard: this.#options.guard ?? null,
      onChange: (tab) => {
        if (signal.aborted) return;
        if (tab.connection.state === 'closed') {
          void this.#fail(explainClosed(tab.connection.code, tab.connection.reason));
          return;
        }
        onPhase({ phase: 'serving', model: name, threads: loaded.threads, tab });
        if (tab.engineFailure !== null) void this.#repair(tab.engineFailure);
      },
    });
  }

  /**
   * The engine cannot work: the tab takes no more, and the model is loaded again. When it breaks down once more before anything was done, the tab
   * leaves: it is always free, and would draw every request to its failure.
   */
  async #repair(reason: string): Promise<void> {
    const tab = this.#tab;
    if (this.#isRepairing || tab === null || this.#load === null) return;
    this.#isRepairing = true;
    tab.withdraw();
    await Promise.resolve(); // The tab has yet to say which lease failed, and may not leave before it did.
    const { answers, checks } = tab.snapshot.counts;
    try {
      if (answers + checks === this.#doneAtRepair) throw new EngineError('crashed', reason);
      this.#doneAtRepair = answers + checks;
      await this.#load();
      tab.resume();
    } catch (cause) {
      await this.#fail(explain(cause));
    } finally {
      this.#isRepairing = false;
    }
  }

  /** For good: leaves the network and gives the engine's memory back. */
  async #fail(why: { readonly reason: string; readonly next: string }): Promise<void> {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort();
    await this.#tab?.close();
    this.#tab = null;
    this.#options.onPhase({ phase: 'failed', ...why });
    await this.#options.engine.dispose();
  }

  async #choose(): Promise<ServedVariant> {
    const response = await this.#fetch(CATALOGUE_PATH);
    const parsed = v.safeParse(catalogue, await response.json());
    if (!parsed.success) throw new ModelDownloadError('The catalogue of models is not readable.');
    const arithmetic = this.#options.arithmetic ?? EXACT_ARITHMETIC;
    const served = await servedClasses(parsed.output, WLLAMA_BUILD, [arithmetic]);
    const [first] = variantsNamed(served, this.#options.model);
    if (first === undefined) throw new ModelDownloadError(`The router has no model '${this.#options.model}'.`);
    return first;
  }

  async #fetchSentences(): Promise<SentenceEmbedding> {
    const response = await this.#fetch(SENTENCE_EMBEDDING_PATH);
    return readSentenceEmbedding(toBytes(await response.arrayBuffer()));
  }

  async #fetch(path: string): Promise<Response> {
    const deadline = AbortSignal.timeout(FETCH_DEADLINE_MS);
    const response = await fetch(new URL(path, this.#options.origin), {
      signal: AbortSignal.any([this.#abort.signal, deadline]),
    });
    if (!response.ok) throw new ModelDownloadError(`The router answered ${response.status} for ${path}.`);
    return response;
  }

  async #warmUp(prompt: string): Promise<number | null> {
    const sampling = { ...LIKELIEST, maxTokens: WARM_UP_TOKENS };
    for await (const event of this.#options.engine.generate({ prompt, sampling, stop: [] }, this.#abort.signal)) {
      if (event.type === 'end' && event.completionTokens > 1 && event.decodeMs > 0) {
        return (event.completionTokens * 1000) / event.decodeMs;
      }
    }
    return null;
  }
}

/**
 * Tokens of prompt between two looks at the abort signal: about a quarter of a second's worth. A CPU reads a gigabyte of weights a second, within a
 * factor of two on everything measured (docs/measurements.md); the engine's speed is then tokens/s ≈ 10⁹ ÷ bytes.
 */
export function batchTokensFor(weightBytes: number): number {
  const perSecond = 1e9 / weightBytes;
  return Math.max(4, Math.min(64, 2 ** Math.round(Math.log2(perSecond / 4))));
}

function explain(cause: unknown): { readonly reason: string; readonly next: string } {
  const reason = cause instanceof Error ? cause.message : String(cause);
  if (cause instanceof ModelDownloadError) {
    return { reason, next: 'Check the connection and start again: what was fetched is kept.' };
  }
  if (cause instanceof EngineError) {
    return { reason, next: 'Close other tabs to free memory and start again, or choose a smaller model.' };
  }
  return { reason, next: 'Reload the page and start again.' };
}

function explainClosed(code: number, reason: string): { readonly reason: string; readonly next: string } {
  if (code === CLOSE.replaced) {
    return {
      reason: 'Another tab of this browser took over.',
      next: 'Nothing to do: one tab a browser is right. Start here to take it back.',
    };
  }
  if (code === CLOSE.version) return { reason: 'This page is older than the router.', next: 'Reload the page.' };
  return { reason: `The router closed the connection: ${reason}.`, next: 'Reload the page and start again.' };
}
