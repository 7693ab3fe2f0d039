import type { SentenceEmbedding } from '../../shared/checking/sentence-embedding.ts';
import {
  type Arithmetic,
  EXACT_ARITHMETIC,
  kindOf,
  type ServedVariant,
  variantsNamed,
} from '../../shared/classes/catalogue.ts';
import type { SelfTests } from '../../shared/classes/self-tests.ts';
import type { DirectLinks, LinkPort } from '../../shared/peer/direct-links.ts';
import { ReconnectingSocket } from '../../shared/peer/reconnecting-socket.ts';
import { CLOSE } from '../../shared/protocol/tab-socket.ts';
import type { BudgetSettings } from '../budget/budget-settings.ts';
import type { DataOfDay } from '../budget/data-meter.ts';
import type { MayWork } from '../budget/may-work.ts';
import { openGate, type PageSignals, WorkGate } from '../budget/work-gate.ts';
import { type Engine, EngineError, isAbort, type LoadedModel } from '../engine/engine.ts';
import type { PromptRenderer } from '../engine/render-prompt.ts';
import type { TabIdentity } from '../identity/tab-identity.ts';
import { type LadderDevice, type LadderEntry, planLadder } from '../models/model-ladder.ts';
import { type DownloadProgress, fetchWeights, ModelDownloadError, type Shortage } from '../models/model-store.ts';
import { type SelfTestResult, selfTest, WrongDevice } from '../preflight/self-test.ts';
import { CountedConnection } from './counted-connection.ts';
import { type Ending, explain, explainClosed } from './explain-end.ts';
import { LendingTab, type TabSnapshot } from './lending-tab.ts';
import { loadOptionsOf, rendererOf, warmUpEmbedding } from './load-model.ts';
import { RouterFiles } from './router-files.ts';
import { isBreakdown } from './work-failure.ts';

/** A model on its way to this device. */
export interface ComingModel {
  readonly model: string;
  readonly progress: DownloadProgress;
}

/** A tab at work, for the person who lends it. */
export interface Serving {
  readonly phase: 'serving';
  readonly model: string;
  /** Why this model. */
  readonly because: string;
  readonly threads: number;
  /** What the model needs, as the catalogue estimates it, bytes. */
  readonly memoryBytes: number;
  readonly tab: TabSnapshot;
  readonly budget: MayWork;
  readonly bytesToday: number;
  /** A better model that comes down meanwhile; null while none does. */
  readonly coming: ComingModel | null;
  /** What the tab is busy with beside prompts; null as a rule. */
  readonly aside: 'changing' | 'testing' | 'finishing' | null;
  readonly tested: { readonly at: number; readonly outcome: SelfTestResult['outcome'] };
}

/** Where a lending tab is on its way from the click to serving. */
export type LendingPhase =
  | { readonly phase: 'preparing' }
  | ({ readonly phase: 'downloading' } & ComingModel)
  | { readonly phase: 'loading'; readonly model: string }
  | { readonly phase: 'testing'; readonly model: string }
  | Serving
  | ({ readonly phase: 'failed' } & Ending)
  | { readonly phase: 'stopped' };

export interface LendingOptions {
  /** `https://…` of the router. */
  readonly origin: string;
  /** As in `GET /v1/models`, with or without the variant; null: the best for this device. */
  readonly model: string | null;
  /** What the choice of a model follows, where it is left to the tab. */
  readonly device?: LadderDevice;
  readonly direct: boolean;
  /** Checks other tabs' answers, and gives none itself. */
  readonly checkOnly?: boolean;
  /** The operator's pass for its guards. */
  readonly guard?: string | null;
  readonly identity: TabIdentity;
  /** A fresh engine for a variant; one is in use at a time. */
  readonly engineFor: (served: ServedVariant) => Engine;
  /** How the engine computes; left out: as an exact class does. */
  readonly arithmetic?: Arithmetic;
  readonly links: (events: () => DirectLinks) => LinkPort;
  /** Asks which other models to drop, by the digests of their weights; left out: none. */
  readonly onShortage?: (shortage: Shortage) => Promise<readonly string[]>;
  /** What the owner of the device allows; left out: everything. */
  readonly budget?: {
    readonly settings: BudgetSettings;
    readonly signals: PageSignals;
    readonly data: DataOfDay;
    readonly keepData: (data: DataOfDay) => void;
  };
  readonly onPhase: (phase: LendingPhase) => void;
}

/** Close codes after which coming back would end the same way. */
const FINAL_CLOSE_CODES = [CLOSE.protocol, CLOSE.replaced, CLOSE.version];
/** A device whose memory or graphics processor goes wrong is found within this time, ms. */
const SELF_TEST_EVERY_MS = 30 * 60_000;
/** Leases that were under way when the tab said that it takes no more arrive within this time, ms. */
const IN_FLIGHT_MS = 1_000;
/** Whoever leaves finishes what runs, within bounds: an answer, and then the checks of what was written, ms. */
const FINISH_DEADLINE_MS = 120_000;
const TOLD_DEADLINE_MS = 10_000;
/** What the network is short of changes faster than a model is fetched: the tab follows so often at most, ms. */
const FOLLOW_EVERY_MS = 10 * 60_000;

const ANY_DEVICE: LadderDevice = { memoryBytes: null, storageBytes: null, bytesPerSecond: null, gpu: null };

/** What is loaded, and how to load it again. */
interface OnDevice {
  readonly served: ServedVariant;
  readonly name: string;
  readonly engine: Engine;
  readonly renderer: PromptRenderer;
  readonly load: () => Promise<LoadedModel>;
}

/** From nothing to serving. Ends in `failed` or `stopped`, never by throwing. */
export class Lending {
  readonly #options: LendingOptions;
  readonly #abort = new AbortController();
  readonly #gate: WorkGate;
  #tab: LendingTab | null = null;
  #current: OnDevice | null = null;
  #threads = 1;
  #because = '';
  #coming: ComingModel | null = null;
  #aside: Serving['aside'] = null;
  #tested: Serving['tested'] = { at: 0, outcome: 'steady' };
  #known: SelfTests['classes'] = {};
  #entries: readonly ServedVariant[] = [];
  #device: LadderDevice;
  #followedAt = Number.NEGATIVE_INFINITY;
  #isClimbing = false;
  /** What takes the engine away from prompts waits for its turn. */
  #turn: Promise<unknown> = Promise.resolve();
  #isWorking = false;
  #isRepairing = false;
  #selfTestTimer: ReturnType<typeof setTimeout> | undefined;
  /** Answers and checks that were done when the engine was last loaded again. */
  #doneAtRepair = -1;
  #direct: boolean;

  constructor(options: LendingOptions) {
    this.#options = options;
    this.#direct = options.direct;
    this.#device = options.device ?? ANY_DEVICE;
    const onChange = (state: MayWork) => this.#mayWork(state);
    this.#gate =
      options.budget === undefined ? openGate(onChange) : new WorkGate({ ...options.budget, now: Date.now, onChange });
  }

  async run(): Promise<void> {
    const { onPhase } = this.#options;
    try {
      await this.#start();
    } catch (cause) {
      this.#gate.close();
      await this.#current?.engine.dispose();
      if (this.#abort.signal.aborted || isAbort(cause)) onPhase({ phase: 'stopped' });
      else onPhase({ phase: 'failed', ...explain(cause) });
    }
  }

  setDirect(direct: boolean): void {
    this.#direct = direct;
    this.#tab?.setDirect(direct);
  }

  setBudget(settings: BudgetSettings): void {
    this.#gate.set(settings);
    this.#tell();
  }

  /** What the page sees of the device now. */
  see(signals: PageSignals): void {
    const before = this.#gate.signals;
    this.#gate.see(signals);
    if (signals.isHidden !== before.isHidden) this.#tab?.setHidden(signals.isHidden);
    if (signals.isAway && !before.isAway) this.#tab?.stepAway();
    if ((!signals.isAway && before.isAway) || (signals.isOnline && !before.isOnline)) this.retryNow();
  }

  /** Bytes that crossed a direct link. */
  moved(bytes: number): void {
    this.#gate.moved(bytes);
  }

  /** Ends running answers, leaves the network, gives the engine's memory back. */
  async stop(): Promise<void> {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort();
    await this.#leave();
    await this.#current?.engine.dispose();
    this.#options.onPhase({ phase: 'stopped' });
  }

  /** Takes no more, and stops when what runs is done and judged, or after two minutes. */
  async finish(): Promise<void> {
    const tab = this.#tab;
    if (tab === null) return this.stop();
    this.#aside = 'finishing';
    tab.withdraw();
    this.#tell();
    await this.#untilQuiet(tab, FINISH_DEADLINE_MS);
    await tab.quiet(TOLD_DEADLINE_MS, true);
    return this.stop();
  }

  /** Asks the device a question whose answer is known, between two pieces of work. An engine that breaks down at it is loaded again, or the tab leaves. */
  async testDevice(): Promise<void> {
    try {
      await this.#between('testing', async () => {
        if (this.#current !== null) await this.#proveAnew(this.#current);
      });
    } catch (cause) {
      if (!isAbort(cause)) await this.#fail(explain(cause));
    }
  }

  retryNow(): void {
    this.#tab?.retryNow();
  }

  async #start(): Promise<void> {
    const { origin, onPhase, identity, links } = this.#options;
    const { signal } = this.#abort;
    onPhase({ phase: 'preparing' });
    const files = new RouterFiles(origin, signal);
    const [entries, sentence, known] = await Promise.all([
      files.models(this.#options.arithmetic ?? EXACT_ARITHMETIC),
      files.sentences(),
      files.selfTests(),
    ]);
    this.#entries = entries;
    this.#known = known;
    const { first, next, because } = this.#choose();
    this.#because = because;
    const weights = await this.#fetchWeights(first, (coming) => onPhase({ phase: 'downloading', ...coming }));
    const current = this.#put(first, weights);
    onPhase({ phase: 'loading', model: current.name });
    this.#threads = (await current.load()).threads;
    onPhase({ phase: 'testing', model: current.name });
    const decodeSpeed = await this.#prove(current);
    signal.throwIfAborted();
    this.#tab = new LendingTab({
      connect: (events, query) =>
        new CountedConnection(
          events,
          (bytes) => this.#gate.moved(bytes),
          (counted) =>
            new ReconnectingSocket({
              ...counted,
              url: () => new URL(`/v1/tabs/socket${query()}`, origin).href.replace(/^http/, 'ws'),
              finalCodes: FINAL_CLOSE_CODES,
              movedCodes: [CLOSE.moved],
            }),
        ),
      identity,
      work: workOf(current, sentence),
      links,
      decodeSpeed,
      direct: this.#direct,
      checkOnly: this.#options.checkOnly ?? false,
      guard: this.#options.guard ?? null,
      isHidden: this.#gate.signals.isHidden,
      isTaking: this.#gate.state.may,
      measured: (speed) => this.#gate.measured(speed),
      wanted: (classes) => this.#follow(classes, sentence),
      onChange: (tab) => this.#changed(tab),
    });
    this.#testLater();
    if (next !== null) void this.#climb(next, 'It is the largest that this device runs with ease.', sentence);
  }

  #changed(tab: TabSnapshot): void {
    if (this.#abort.signal.aborted) return;
    if (tab.connection.state === 'closed') {
      void this.#fail(explainClosed(tab.connection.code, tab.connection.reason));
      return;
    }
    const isWorking = tab.working !== null;
    if (isWorking !== this.#isWorking) {
      this.#isWorking = isWorking;
      if (isWorking) this.#gate.began();
      else this.#gate.ended();
    }
    this.#tell(tab);
    if (tab.engineFailure !== null) void this.#repair(tab.engineFailure);
  }

  #mayWork(state: MayWork): void {
    this.#tab?.setTaking(state.may);
    this.#tell();
  }

  #tell(tab: TabSnapshot | undefined = this.#tab?.snapshot): void {
    const current = this.#current;
    if (tab === undefined || current === null || this.#abort.signal.aborted) return;
    this.#options.onPhase({
      phase: 'serving',
      model: current.name,
      because: this.#because,
      threads: this.#threads,
      memoryBytes: current.served.variant.memoryBytes,
      tab,
      budget: this.#gate.state,
      bytesToday: this.#gate.bytesToday,
      coming: this.#coming,
      aside: this.#aside,
      tested: this.#tested,
    });
  }

  // ---- models ------------------------------------------------------------------------------------------------------

  /** A larger model, or one that is short, comes down while the tab serves; then it takes the first one's place between two pieces of work. */
  async #climb(target: ServedVariant, because: string, sentence: SentenceEmbedding): Promise<void> {
    if (this.#isClimbing) return;
    this.#isClimbing = true;
    try {
      const weights = await this.#fetchWeights(target, (coming) => {
        this.#coming = coming;
        this.#tell();
      });
      await this.#between('changing', () => this.#changeTo(target, weights, because, sentence));
    } catch (cause) {
      if (!this.#abort.signal.aborted) this.#because = `Another model did not come: ${explain(cause).reason}`;
    } finally {
      this.#isClimbing = false;
      this.#coming = null;
      this.#tell();
    }
  }

  /** Leaves the tab with a model that works: the new one, or where that fails the one before. */
  async #changeTo(target: ServedVariant, weights: Blob, because: string, sentence: SentenceEmbedding): Promise<void> {
    const before = this.#current;
    if (before === null) return;
    await before.engine.dispose();
    let next: OnDevice | null = null;
    try {
      next = this.#put(target, weights);
      this.#threads = (await next.load()).threads;
      const speed = await this.#prove(next);
      this.#gate.changedModel();
      this.#tab?.changeWork(workOf(next, sentence), speed);
      this.#because = because;
    } catch (cause) {
      await next?.engine.dispose();
      this.#abort.signal.throwIfAborted();
      this.#current = before;
      this.#threads = (await before.load()).threads;
      throw cause;
    }
  }

  /** The network is short of a model that fits: it comes down too, where the choice was left to the tab. */
  #follow(classes: readonly string[], sentence: SentenceEmbedding): void {
    const { model } = this.#options;
    const now = Date.now();
    if (model !== null || now - this.#followedAt < FOLLOW_EVERY_MS) return;
    // Terms that must be shown were not: whoever lends saw those of the first choice only.
    const unasked = this.#rungs.filter(({ served }) => !served.model.licence.mustShow);
    const plan = planLadder(unasked, this.#device, classes);
    const goal = (plan?.next ?? plan?.first)?.served ?? null;
    if (goal === null || !classes.includes(goal.class) || goal.class === this.#current?.served.class) return;
    this.#followedAt = now;
    void this.#climb(goal, 'The network is short of tabs with this model, and it fits this device.', sentence);
  }

  #put(served: ServedVariant, weights: Blob): OnDevice {
    const engine = this.#options.engineFor(served);
    const options = loadOptionsOf(served.model, batchTokensFor(served.variant.weights.bytes));
    this.#current = {
      served,
      name: nameOf(served),
      engine,
      renderer: rendererOf(served.model),
      load: () => engine.load(weights, options, this.#abort.signal),
    };
    return this.#current;
  }

  /** Throws {@link WrongDevice} when the device writes something else than its class, twice. Returns tokens per second, null when unknown. */
  async #prove(current: OnDevice): Promise<number | null> {
    const { engine, renderer, served } = current;
    if (kindOf(served.model) === 'embed') {
      const speed = await warmUpEmbedding(engine, this.#abort.signal);
      this.#tested = { at: Date.now(), outcome: 'steady' };
      return speed;
    }
    const known = this.#known[served.class] ?? [];
    const question = known[Math.floor(Math.random() * known.length)] ?? null;
    let result = await selfTest(engine, renderer, question, this.#abort.signal);
    if (result.outcome === 'wrong') {
      await current.load(); // A process that went wrong may be the only thing that is.
      result = await selfTest(engine, renderer, question, this.#abort.signal);
    }
    this.#tested = { at: Date.now(), outcome: result.outcome };
    if (result.outcome === 'wrong') {
      throw new WrongDevice(
        `This device computes wrongly: it wrote “${result.wrote}” where “${result.expected}” is right.`,
      );
    }
    if (result.speed !== null) {
      this.#device = { ...this.#device, bytesPerSecond: result.speed * served.variant.weights.bytes };
    }
    return result.speed;
  }

  async #proveAnew(current: OnDevice): Promise<void> {
    try {
      await this.#prove(current);
    } catch (cause) {
      if (!isBreakdown(cause)) throw cause;
      await current.load();
      await this.#prove(current);
    }
  }

  #testLater(): void {
    this.#selfTestTimer = setTimeout(() => {
      const tested = this.#gate.state.may ? this.testDevice() : Promise.resolve();
      void tested.finally(() => {
        if (!this.#abort.signal.aborted) this.#testLater();
      });
    }, SELF_TEST_EVERY_MS);
  }

  // ---- between two pieces of work ----------------------------------------------------------------------------------

  /** Takes no more work, waits for what runs, has the engine for itself, and serves again. A device that is found wrong leaves for good. */
  async #between(what: NonNullable<Serving['aside']>, act: () => Promise<void>): Promise<void> {
    await this.#inTurn(async () => {
      const tab = this.#tab;
      if (tab === null || this.#abort.signal.aborted || this.#aside === 'finishing') return;
      this.#aside = what;
      tab.withdraw();
      this.#tell();
      try {
        await this.#untilQuiet(tab, Number.POSITIVE_INFINITY);
        if (!this.#abort.signal.aborted) await act();
      } catch (cause) {
        if (cause instanceof WrongDevice) await this.#fail(explain(cause));
        else throw cause;
      } finally {
        if (this.#aside === what) {
          this.#aside = null;
          tab.resume();
        }
        this.#tell();
      }
    });
  }

  async #untilQuiet(tab: LendingTab, deadlineMs: number): Promise<void> {
    const bound = Math.min(deadlineMs, MAX_TIMER_MS);
    await tab.quiet(bound);
    await new Promise((resolve) => setTimeout(resolve, IN_FLIGHT_MS));
    await tab.quiet(bound);
  }

  #inTurn(act: () => Promise<void>): Promise<void> {
    const mine = this.#turn.then(act);
    this.#turn = mine.catch(() => undefined);
    return mine;
  }

  /**
   * The engine cannot work: the tab takes no more, and the model is loaded again. When it breaks down once more before anything was done, the tab
   * leaves: it is always free, and would draw every request to its failure.
   */
  async #repair(reason: string): Promise<void> {
    const tab = this.#tab;
    if (this.#isRepairing || tab === null) return;
    this.#isRepairing = true;
    tab.withdraw();
    await Promise.resolve(); // The tab has yet to say which lease failed, and may not leave before it did.
    try {
      await this.#inTurn(async () => {
        if (tab.snapshot.engineFailure === null) return; // Another model was loaded meanwhile.
        const { answers, checks } = tab.snapshot.counts;
        if (answers + checks === this.#doneAtRepair) throw new EngineError('crashed', reason);
        this.#doneAtRepair = answers + checks;
        await this.#current?.load();
        if (this.#aside !== 'finishing') tab.resume();
      });
    } catch (cause) {
      await this.#fail(explain(cause));
    } finally {
      this.#isRepairing = false;
    }
  }

  // ---- ends --------------------------------------------------------------------------------------------------------

  async #leave(): Promise<void> {
    clearTimeout(this.#selfTestTimer);
    this.#gate.close();
    const tab = this.#tab;
    this.#tab = null;
    await tab?.close();
  }

  /** For good: leaves the network and gives the engine's memory back. */
  async #fail(why: Ending): Promise<void> {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort();
    await this.#leave();
    this.#options.onPhase({ phase: 'failed', ...why });
    await this.#current?.engine.dispose();
  }

  // ---- the router's files ------------------------------------------------------------------------------------------

  /** What this tab may choose among by itself. */
  get #rungs(): (LadderEntry & { readonly served: ServedVariant })[] {
    return this.#entries
      .filter(({ model }) => model.capabilities.includes('chat'))
      .map((served) => {
        const { weights, format, memoryBytes, needs } = served.variant;
        return { name: nameOf(served), class: served.class, bytes: weights.bytes, format, memoryBytes, needs, served };
      });
  }

  #choose(): { readonly first: ServedVariant; readonly next: ServedVariant | null; readonly because: string } {
    const { model } = this.#options;
    const [first] = model === null ? [] : variantsNamed(this.#entries, model);
    if (first !== undefined) return { first, next: null, because: 'You chose it.' };
    if (model !== null) throw new ModelDownloadError(`The router has no model '${model}'.`);
    const plan = planLadder(this.#rungs, this.#device);
    if (plan === null) throw new ModelDownloadError('The router has no model that this device can run.');
    return { first: plan.first.served, next: plan.next?.served ?? null, because: plan.because };
  }

  async #fetchWeights(served: ServedVariant, onComing: (coming: ComingModel) => void): Promise<Blob> {
    const outOfData = new AbortController();
    let counted = 0;
    const { signal } = this.#abort;
    const { origin, onShortage } = this.#options;
    const onProgress = (progress: DownloadProgress) => {
      this.#gate.moved(progress.fetchedBytes - counted);
      counted = progress.fetchedBytes;
      // What is kept in the browser costs no data.
      const isFetching = progress.fetchedBytes > 0 && progress.loadedBytes < progress.totalBytes;
      if (isFetching && this.#gate.bytesLeft === 0) outOfData.abort();
      onComing({ model: nameOf(served), progress });
    };
    const either = AbortSignal.any([signal, outOfData.signal]);
    const options = { name: nameOf(served), ...(onShortage !== undefined && { onShortage }) };
    try {
      return await fetchWeights(origin, served.variant, onProgress, either, options);
    } catch (cause) {
      if (!outOfData.signal.aborted || signal.aborted) throw cause;
      throw new ModelDownloadError('The data that you allow for a day was used up before the model was here.');
    }
  }
}

/** Longest time that a timer can wait, ms. */
const MAX_TIMER_MS = 0x7fff_ffff;

function nameOf(served: ServedVariant): string {
  return `${served.model.id}:${served.variant.id}${served.arithmetic.flashAttention ? ', flash attention' : ''}`;
}

function workOf({ served, engine, renderer }: OnDevice, sentence: SentenceEmbedding) {
  return { model: served.model.id, variant: served.variant.id, class: served.class, engine, renderer, sentence };
}

/**
 * Tokens of prompt between two looks at the abort signal: about a quarter of a second's worth. A CPU reads a gigabyte of weights a second, within a
 * factor of two on everything measured (docs/measurements.md); the engine's speed is then tokens/s ≈ 10⁹ ÷ bytes.
 */
export function batchTokensFor(weightBytes: number): number {
  const perSecond = 1e9 / weightBytes;
  return Math.max(4, Math.min(64, 2 ** Math.round(Math.log2(perSecond / 4))));
}
