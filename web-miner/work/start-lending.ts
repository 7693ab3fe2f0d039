import type { SentenceEmbedding } from '../../shared/checking/sentence-embedding.ts';
import { type Arithmetic, EXACT_ARITHMETIC, type ServedVariant } from '../../shared/classes/catalogue.ts';
import type { SelfTests } from '../../shared/classes/self-tests.ts';
import type { DirectLinks, LinkPort } from '../../shared/peer/direct-links.ts';
import { ReconnectingSocket } from '../../shared/peer/reconnecting-socket.ts';
import { CLOSE } from '../../shared/protocol/tab-socket.ts';
import type { BudgetSettings } from '../budget/budget-settings.ts';
import type { DataOfDay } from '../budget/data-meter.ts';
import type { MayWork } from '../budget/may-work.ts';
import { openGate, type PageSignals, WorkGate } from '../budget/work-gate.ts';
import { type Engine, isAbort } from '../engine/engine.ts';
import type { EngineDeadlines } from '../engine/watchdog.ts';
import type { TabIdentity } from '../identity/tab-identity.ts';
import type { LadderDevice } from '../models/model-ladder.ts';
import type { Shortage } from '../models/model-store.ts';
import { SlowDevice } from '../preflight/self-test.ts';
import { type Aside, BetweenWork } from './between-work.ts';
import { changeOver } from './change-over.ts';
import { CountedConnection } from './counted-connection.ts';
import { EngineRepair } from './engine-repair.ts';
import { type Ending, explain, explainClosed } from './explain-end.ts';
import { type ComingModel, GatedDownload } from './gated-download.ts';
import { LendingTab, type TabSnapshot } from './lending-tab.ts';
import { ModelOnDevice, nameOf, type Tested } from './model-on-device.ts';
import { type FirstModel, ModelPlan } from './model-plan.ts';
import { type MissedModel, NextModel } from './next-model.ts';
import { RouterFiles } from './router-files.ts';

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
  /** One that did not come, or did not work; null as a rule. */
  readonly missed: MissedModel | null;
  /** What the tab is busy with beside prompts; null as a rule. */
  readonly aside: Aside | null;
  /** Of the model that is loaded. */
  readonly tested: Tested;
}

/** Where a lending tab is on its way from the click to serving. */
export type LendingPhase =
  | { readonly phase: 'preparing' }
  | ({ readonly phase: 'downloading' } & ComingModel)
  | { readonly phase: 'loading'; readonly model: string }
  | { readonly phase: 'testing'; readonly model: string }
  /** The model works; the router has not said welcome yet. */
  | { readonly phase: 'joining'; readonly model: string }
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
  /** How long an engine may take for what it does; left out: as long as the router waits. */
  readonly deadlines?: EngineDeadlines;
  /** How long a model's own test may take, ms; left out: as long as a person waits for it. */
  readonly selfTestMs?: number;
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

const ANY_DEVICE: LadderDevice = { memoryBytes: null, storageBytes: null, bytesPerSecond: null, gpu: null };

/** From nothing to serving. Ends in `failed` or `stopped`, never by throwing. */
export class Lending {
  readonly #options: LendingOptions;
  readonly #abort = new AbortController();
  readonly #gate: WorkGate;
  readonly #download: GatedDownload;
  readonly #between: BetweenWork;
  readonly #repair: EngineRepair;
  readonly #next: NextModel;
  #tab: LendingTab | null = null;
  #current: ModelOnDevice | null = null;
  #because = '';
  #known: SelfTests['classes'] = {};
  #plan: ModelPlan | null = null;
  #sentence: SentenceEmbedding | null = null;
  #isWorking = false;
  /** Whether the router has ever said welcome. */
  #isWelcome = false;
  #selfTestTimer: ReturnType<typeof setTimeout> | undefined;
  #direct: boolean;

  constructor(options: LendingOptions) {
    this.#options = options;
    this.#direct = options.direct;
    const onChange = (state: MayWork) => this.#mayWork(state);
    this.#gate =
      options.budget === undefined ? openGate(onChange) : new WorkGate({ ...options.budget, now: Date.now, onChange });
    const { signal } = this.#abort;
    const { origin, onShortage } = options;
    const gate = this.#gate;
    const tell = () => this.#tell();
    this.#download = new GatedDownload({ origin, gate, signal, ...(onShortage !== undefined && { onShortage }) });
    this.#between = new BetweenWork({ tab: () => this.#tab, tell, signal });
    this.#repair = new EngineRepair({
      between: this.#between,
      load: async () => this.#current?.load(),
      giveUp: (cause) => this.#fail(explain(cause)),
    });
    this.#next = new NextModel({
      plan: () => this.#plan,
      download: this.#download,
      served: () => this.#current?.served.class ?? null,
      changeTo: (target, weights, because) =>
        this.#between.run('changing', () => this.#changeTo(target, weights, because)),
      tell,
      signal,
    });
  }

  async run(): Promise<void> {
    const { onPhase } = this.#options;
    try {
      await this.#start();
    } catch (cause) {
      this.#gate.close();
      const isStopped = this.#abort.signal.aborted || isAbort(cause);
      this.#abort.abort();
      await this.#current?.engine.dispose();
      if (isStopped) onPhase({ phase: 'stopped' });
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
    if (this.#tab !== null) await this.#between.finish(this.#tab);
    return this.stop();
  }

  /** Asks the device a question whose answer is known, between two pieces of work. An engine that breaks down at it is loaded again, or the tab leaves. */
  async testDevice(): Promise<void> {
    try {
      await this.#between.run('testing', async () => this.#current?.proveAnew());
    } catch (cause) {
      if (!isAbort(cause)) await this.#fail(explain(cause));
    }
  }

  retryNow(): void {
    this.#tab?.retryNow();
  }

  async #start(): Promise<void> {
    const { origin, onPhase, model, device } = this.#options;
    const { signal } = this.#abort;
    onPhase({ phase: 'preparing' });
    const files = new RouterFiles(origin, signal);
    const [entries, sentence, known] = await Promise.all([
      files.models(this.#options.arithmetic ?? EXACT_ARITHMETIC),
      files.sentences(),
      files.selfTests(),
    ]);
    this.#known = known;
    this.#plan = new ModelPlan(entries, model, device ?? ANY_DEVICE);
    this.#sentence = sentence;
    const { next } = await this.#loadFirst(this.#plan);
    signal.throwIfAborted();
    const current = this.#current;
    if (current === null) return;
    this.#tab = this.#join(current, sentence);
    this.#tell();
    this.#testLater();
    if (next !== null) void this.#next.climb(next, 'It is the largest that this device runs with ease.');
  }

  /** Where the choice is the tab's, and the device is too slow for one, a smaller one is tried. */
  async #loadFirst(plan: ModelPlan): Promise<FirstModel> {
    const { onPhase, model } = this.#options;
    for (let choice = plan.begin; ; ) {
      const { first, because } = choice;
      this.#because = because;
      const weights = await this.#download.fetch(first, (coming) => onPhase({ phase: 'downloading', ...coming }));
      const current = this.#open(first, weights);
      this.#current = current;
      onPhase({ phase: 'loading', model: current.name });
      await current.load();
      onPhase({ phase: 'testing', model: current.name });
      await current.proveAnew();
      const smaller = plan.smallerThan(first);
      try {
        current.mustBeFast(smaller === null ? null : nameOf(smaller));
        this.#learn(current);
        return choice;
      } catch (cause) {
        if (!(cause instanceof SlowDevice) || smaller === null || model !== null) throw cause;
        await current.engine.dispose();
        choice = { first: smaller, next: null, because: cause.message };
      }
    }
  }

  #join(current: ModelOnDevice, sentence: SentenceEmbedding): LendingTab {
    const { origin, identity, links } = this.#options;
    return new LendingTab({
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
      work: current.work(sentence),
      links,
      decodeSpeed: current.speed,
      direct: this.#direct,
      checkOnly: this.#options.checkOnly ?? false,
      guard: this.#options.guard ?? null,
      isHidden: this.#gate.signals.isHidden,
      isTaking: this.#gate.state.may,
      measured: (speed) => this.#gate.measured(speed),
      wanted: (classes) => this.#next.follow(classes),
      onChange: (tab) => this.#changed(tab),
    });
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
    if (tab.engineFailure !== null && this.#tab !== null) void this.#repair.mend(this.#tab, tab.engineFailure);
  }

  #mayWork(state: MayWork): void {
    this.#tab?.setTaking(state.may);
    this.#download.look();
    this.#tell();
  }

  #tell(tab: TabSnapshot | undefined = this.#tab?.snapshot): void {
    const current = this.#current;
    if (tab === undefined || current === null || this.#abort.signal.aborted) return;
    this.#isWelcome ||= tab.tab !== null;
    if (!this.#isWelcome) return this.#options.onPhase({ phase: 'joining', model: current.name });
    this.#options.onPhase({
      phase: 'serving',
      model: current.name,
      because: this.#because,
      threads: current.threads,
      memoryBytes: current.served.variant.memoryBytes,
      tab,
      budget: this.#gate.state,
      bytesToday: this.#gate.bytesToday,
      coming: this.#next.coming,
      missed: this.#next.missed,
      aside: this.#between.doing,
      tested: current.tested,
    });
  }

  #open(served: ServedVariant, weights: Blob): ModelOnDevice {
    const { engineFor, deadlines, selfTestMs } = this.#options;
    return new ModelOnDevice(served, weights, {
      engineFor,
      ...(deadlines !== undefined && { deadlines }),
      ...(selfTestMs !== undefined && { selfTestMs }),
      known: this.#known[served.class] ?? [],
      onEnded: (reason) => this.#tab?.broke(reason),
      signal: this.#abort.signal,
    });
  }

  async #changeTo(target: ServedVariant, weights: Blob, because: string): Promise<void> {
    const [before, sentence] = [this.#current, this.#sentence];
    if (before === null || sentence === null) return;
    const change = await changeOver(before, () => this.#open(target, weights), this.#abort.signal).catch((cause) =>
      this.#fail(explain(cause)),
    );
    if (change === undefined) return;
    if (change.outcome === 'kept') throw change.why;
    this.#current = change.model;
    this.#because = because;
    this.#learn(change.model);
    this.#gate.changedModel();
    this.#tab?.changeWork(change.model.work(sentence), change.model.speed);
  }

  #learn({ speed, served }: ModelOnDevice): void {
    if (speed !== null) this.#plan?.learned(speed, served.variant.weights.bytes);
  }

  #testLater(): void {
    this.#selfTestTimer = setTimeout(() => {
      const tested = this.#gate.state.may ? this.testDevice() : Promise.resolve();
      void tested.finally(() => {
        if (!this.#abort.signal.aborted) this.#testLater();
      });
    }, SELF_TEST_EVERY_MS);
  }

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
}
