import { css, html, LitElement, type TemplateResult } from 'lit';
import { type BudgetSettings, DEFAULT_BUDGET, WHOLE_MACHINE } from '../budget/budget-settings.ts';
import { canDetectIdle, DeviceSignals } from '../budget/device-signals.ts';
import { OwnersBudget } from '../budget/owners-budget.ts';
import { WakeLock } from '../budget/wake-lock.ts';
import { keepBudget, loadBudget } from '../identity/budget-store.ts';
import { type Ladder, type LadderEntry, planLadder } from '../models/model-ladder.ts';
import { judgeDevice, type Preflight, type Role } from '../preflight/judge-device.ts';
import { lookAtDevice } from '../preflight/look-at-device.ts';
import { LendingWorker } from '../work/lending-worker.ts';
import type { LendingPhase } from '../work/start-lending.ts';
import { SEAT_CHANNEL, TabSeat } from '../work/tab-seat.ts';
import './budget-form.ts';
import type { BudgetSignalsThere } from './budget-form.ts';
import { keepCheckOnly, keptCheckOnly } from './check-only-choice.ts';
import { controls } from './controls.ts';
import './device-card.ts';
import { keepDirectChoice, keptDirectChoice } from './direct-choice.ts';
import { megabytes } from './format.ts';
import { joinStyles } from './join-styles.ts';
import './lend-state.ts';
import type { LendAction } from './lend-state.ts';
import { isLending, type LendView } from './lend-view.ts';
import { type LogLine, linesBetween, MAX_LOG_LINES } from './log-lines.ts';
import { measureMemory } from './measure-memory.ts';
import { BEST, chats, ladderEntries, mustAccept } from './model-choice.ts';
import { fetchModels, type ListedModel } from './model-list.ts';
import './owner-card.ts';
import './reading-card.ts';
import './role-choice.ts';
import { readShownPhase } from './shown-phase.ts';
import { addSecond, type SpeedHistory } from './speed-history.ts';
import './stored-models-card.ts';
import './tab-log.ts';
import { fetchStanding, type TabStanding } from './tab-standing.ts';

/** The one stateful element of `/join`: a visitor lends the tab, sees what it does, and stops it. */
export class JoinPage extends LitElement {
  static override properties = {
    view: { state: true },
    device: { state: true },
    models: { state: true },
    chosen: { state: true },
    isAccepted: { state: true },
    direct: { state: true },
    checkOnly: { state: true },
    budget: { state: true },
    isBudgetKept: { state: true },
    isPaused: { state: true },
    trouble: { state: true },
    identityKept: { state: true },
    standing: { state: true },
    servingSince: { state: true },
    history: { state: true },
    log: { state: true },
    givenBack: { state: true },
    storeVersion: { state: true },
  };
  declare view: LendView;
  declare device: Preflight | null;
  declare models: readonly ListedModel[];
  declare chosen: string;
  declare isAccepted: boolean;
  declare direct: boolean;
  declare checkOnly: boolean;
  declare budget: BudgetSettings;
  declare isBudgetKept: boolean;
  declare isPaused: boolean;
  declare trouble: string | null;
  declare identityKept: boolean;
  declare standing: TabStanding | null;
  declare servingSince: number | null;
  declare history: SpeedHistory;
  declare log: readonly LogLine[];
  declare givenBack: string;
  /** Raised when what the browser keeps may be another. */
  declare storeVersion: number;

  /** Who is quicker than the browser's store starts under the defaults: the tab is told what was kept. */
  readonly #owned = new OwnersBudget((settings) => {
    this.budget = settings;
    this.#worker.setBudget(settings);
  });
  readonly #worker = new LendingWorker(
    (phase, kept) => this.#phase(phase, kept),
    (shortage) => this.#show({ phase: 'shortage', shortage }),
  );
  #signals: DeviceSignals | null = null;
  #wakeLock: WakeLock | null = null;
  #seat: TabSeat | null = null;
  #second: ReturnType<typeof setInterval> | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  /** Work that was done when the network was last asked how this tab stands. */
  #doneAtLook = -1;
  #looksSoon = false;
  /** Memory while it served, as measured; null when the browser has not said yet. */
  #servingBytes: number | null = null;
  #modelBytes = 0;
  #entries: readonly LadderEntry[] = [];
  #ladder: Ladder<LadderEntry> | null = null;

  static override styles = [
    controls,
    joinStyles,
    css`
      .promise {
        padding: 14px 16px;
        border-left: 4px solid var(--accent);
        background: var(--accent-soft);
        border-radius: 0 10px 10px 0;
        margin: 0 0 var(--gap);
      }
      .promise p {
        margin: 0 0 6px;
      }
      .promise p:last-child {
        margin: 0;
      }
    `,
  ];

  constructor() {
    super();
    this.view = { phase: 'idle' };
    this.device = null;
    this.models = [];
    this.chosen = BEST;
    this.isAccepted = false;
    this.direct = keptDirectChoice();
    this.checkOnly = keptCheckOnly() ?? false;
    this.budget = DEFAULT_BUDGET;
    this.isBudgetKept = true;
    this.isPaused = false;
    this.trouble = null;
    this.identityKept = true;
    this.standing = null;
    this.servingSince = null;
    this.history = [];
    this.log = [];
    this.givenBack = '';
    this.storeVersion = 0;
  }

  override connectedCallback(): void {
    super.connectedCallback();
    this.#signals = new DeviceSignals((signals) => this.#worker.see(signals));
    this.#wakeLock = new WakeLock();
    this.#sit();
    if (new URLSearchParams(location.hash.slice(1)).has('whole-machine')) this.budget = WHOLE_MACHINE;
    else void this.#owned.read(loadBudget());
    void this.#look();
  }

  override disconnectedCallback(): void {
    super.disconnectedCallback();
    this.#worker.stop();
    this.#signals?.close();
    this.#wakeLock?.close();
    this.#seat?.close();
    clearInterval(this.#second);
    clearInterval(this.#watch);
  }

  /** Bytes over direct links; for the demo and for people who look. */
  linkTraffic(): ReturnType<LendingWorker['traffic']> {
    return this.#worker.traffic();
  }

  // ---- what is seen ------------------------------------------------------------------------------------------------

  async #look(): Promise<void> {
    this.device = judgeDevice(await lookAtDevice());
    const { blocker, roles } = this.device;
    const canAnswer = roles.some(({ role, fits }) => role === 'answer' && fits);
    if (blocker === null && !canAnswer && keptCheckOnly() === null) this.checkOnly = true;
    try {
      this.models = await fetchModels('chat', 'embed');
      this.chosen = this.#askedFor() ?? this.chosen;
      this.trouble = null;
    } catch (cause) {
      this.trouble = cause instanceof Error ? cause.message : String(cause);
    }
  }

  #phase(phase: LendingPhase, identityKept: boolean): void {
    this.identityKept = identityKept;
    const before = this.view.phase;
    this.#show(phase);
    this.#seat?.show(phase);
    if (phase.phase === 'serving') {
      this.#modelBytes = phase.memoryBytes;
      this.#lookHowItStands(phase.tab);
      this.#wakeLock?.want(this.budget.keepAwake && phase.budget.may);
      if (before !== 'serving') this.#begins();
    } else if (!isLending(phase)) this.#ends(before === 'serving');
  }

  #show(view: LendView): void {
    const lines = linesBetween(this.view, view).map((text) => ({ at: Date.now(), text }));
    if (lines.length > 0) this.log = [...lines.reverse(), ...this.log].slice(0, MAX_LOG_LINES);
    this.view = view;
  }

  #begins(): void {
    this.servingSince ??= Date.now();
    this.storeVersion++;
    clearInterval(this.#second);
    this.#second = setInterval(() => this.#eachSecond(), 1_000);
    void measureMemory().then((bytes) => (this.#servingBytes = bytes));
  }

  /** The chart and the clock move; not while nobody sees them. */
  #eachSecond(): void {
    if (this.view.phase !== 'serving' || document.visibilityState === 'hidden') return;
    const { working, tokensPerSecond } = this.view.tab;
    this.history = addSecond(this.history, working === null ? 0 : (tokensPerSecond ?? 0));
  }

  #ends(didServe: boolean): void {
    clearInterval(this.#second);
    this.#wakeLock?.want(false);
    this.#seat?.leave();
    this.#signals?.pause(false);
    this.isPaused = false;
    this.servingSince = null;
    this.history = [];
    this.storeVersion++;
    if (!didServe) return;
    this.givenBack = `The engine gave back about ${megabytes(this.#modelBytes)}.`;
    const before = this.#servingBytes;
    this.#servingBytes = null;
    if (before === null) return;
    void measureMemory().then((after) => {
      if (after === null || isLending(this.view) || after >= before) return;
      this.givenBack = `By the browser’s own count ${megabytes(before - after)} were given back: this page holds ${megabytes(after)} now.`;
    });
  }

  /** Asked again after work was done, when the network had time to judge it. */
  #lookHowItStands({ tab, counts }: Extract<LendingPhase, { phase: 'serving' }>['tab']): void {
    const done = counts.answers + counts.checks;
    if (tab === null || done === this.#doneAtLook) return;
    this.#doneAtLook = done;
    if (this.#looksSoon) return;
    this.#looksSoon = true;
    setTimeout(() => {
      this.#looksSoon = false;
      void fetchStanding(tab).then((standing) => (this.standing = standing));
    }, JUDGED_AFTER_MS);
  }

  /** `/join#model=…`; null when the router has no such model, or none was named. */
  #askedFor(): string | null {
    const asked = new URLSearchParams(location.hash.slice(1)).get('model');
    const names = ladderEntries(this.models).map(({ name }) => name);
    return names.find((name) => name === asked || name.split(':')[0] === asked) ?? null;
  }

  // ---- one tab a profile -------------------------------------------------------------------------------------------

  #sit(): void {
    if (!('locks' in navigator)) return; // The router holds one tab a profile to it by itself (L2).
    this.#seat = new TabSeat({
      locks: navigator.locks,
      channel: new BroadcastChannel(SEAT_CHANNEL),
      onAsked: () => this.#worker.stop(),
      onLost: () => this.#worker.stop(),
      onShown: (shown) => this.#elsewhere(readShownPhase(shown)),
    });
    this.#watch = setInterval(() => void this.#lookWhoLends(), LOOK_WHO_LENDS_EVERY_MS);
    void this.#seat.isTaken().then((isTaken) => {
      if (isTaken && !isLending(this.view) && this.view.phase !== 'elsewhere') this.#elsewhere(null, true);
    });
  }

  /** A tab that was closed says nothing more: its lock tells. */
  async #lookWhoLends(): Promise<void> {
    if (this.view.phase === 'elsewhere' && (await this.#seat?.isTaken()) === false) this.#elsewhere(null);
  }

  /** What the tab that lends says of itself; `null` without `isTaken`: it left. */
  #elsewhere(shown: LendingPhase | null, isTaken = shown !== null && isLending(shown)): void {
    if (isLending(this.view)) return;
    if (isTaken) this.#show({ phase: 'elsewhere', shown });
    else if (this.view.phase === 'elsewhere') this.#show({ phase: 'idle' });
  }

  // ---- what a person does ------------------------------------------------------------------------------------------

  /** Once for each list of models: the page is drawn with every word that the tab writes. */
  override willUpdate(changed: Map<string, unknown>): void {
    if (!changed.has('models') && !changed.has('device')) return;
    this.#entries = ladderEntries(this.models);
    this.#ladder =
      this.device === null ? null : planLadder(ladderEntries(this.models.filter(chats)), this.device.ladder);
  }

  get #canStart(): boolean {
    const { device, models, chosen, isAccepted } = this;
    if (device === null || device.blocker !== null || models.length === 0) return false;
    const ladder = this.#ladder;
    if (chosen === BEST && ladder === null) return false;
    return isAccepted || !mustAccept(models, chosen, ladder);
  }

  #act(event: CustomEvent<LendAction>): void {
    switch (event.detail) {
      case 'start':
        void this.#start(false);
        return;
      case 'take-over':
        void this.#start(true);
        return;
      case 'stop':
        if (this.#seat?.giveUp() === true) return this.#show({ phase: 'stopped' });
        return this.#worker.stop();
      case 'finish':
        return this.#worker.finish();
      case 'pause':
      case 'resume':
        this.isPaused = event.detail === 'pause';
        this.#signals?.pause(this.isPaused);
        return;
      case 'test':
        return this.#worker.testDevice();
      case 'look-again':
        void this.#look();
        return;
      case 'drop':
      case 'keep': {
        if (this.view.phase !== 'shortage') return;
        const { others } = this.view.shortage;
        return this.#worker.drop(event.detail === 'drop' ? others.map(({ weights }) => weights) : []);
      }
    }
  }

  async #start(takesOver: boolean): Promise<void> {
    const { device } = this;
    if (device === null || this.#signals === null || !this.#canStart) return;
    this.view = { phase: 'preparing' }; // Before the lock is here: a second click must not start twice.
    const seat = this.#seat;
    if (seat !== null && !seat.isHeld) {
      const seating = takesOver ? await seat.takeOver() : await seat.take();
      if (seating === 'given_up') return; // Stopped meanwhile.
      if (seating === 'theirs') return this.#show({ phase: 'elsewhere', shown: null });
    }
    this.givenBack = '';
    this.#worker.start({
      model: this.chosen === BEST ? null : this.chosen,
      device: device.ladder,
      budget: this.budget,
      signals: this.#signals.now,
      direct: this.direct,
      checkOnly: this.checkOnly,
    });
  }

  async #changeBudget(event: CustomEvent<BudgetSettings>): Promise<void> {
    const asksForIdle = event.detail.onlyWhenIdle && !this.budget.onlyWhenIdle;
    this.#owned.change(event.detail);
    if (asksForIdle) void this.#signals?.askForIdle(); // At once: browsers ask only while a click is fresh.
    if (this.view.phase === 'serving') this.#wakeLock?.want(this.budget.keepAwake && this.view.budget.may);
    this.isBudgetKept = await keepBudget(this.budget);
  }

  /** What others may use the tab for: a model that embeds is never asked for a chat. */
  get #role(): Role {
    if (this.checkOnly) return 'check';
    const model = this.models.find(({ id }) => id === this.chosen.split(':')[0]);
    return model === undefined || chats(model) ? 'answer' : 'embed';
  }

  /** The first model that embeds; null where the router has none. */
  get #embedding(): string | null {
    return ladderEntries(this.models.filter((model) => !chats(model)))[0]?.name ?? null;
  }

  #chooseRole(role: Role): void {
    this.checkOnly = role === 'check';
    keepCheckOnly(this.checkOnly);
    const before = this.chosen;
    if (role === 'embed') this.chosen = this.#embedding ?? this.chosen;
    else if (role === 'answer' && this.#role === 'embed') this.chosen = BEST;
    if (this.chosen !== before) this.isAccepted = false;
  }

  #setDirect(event: Event): void {
    this.direct = (event.target as HTMLInputElement).checked;
    this.#worker.setDirect(this.direct); // First: a browser that keeps nothing must not keep the links open either.
    keepDirectChoice(this.direct);
  }

  // ---- the page ----------------------------------------------------------------------------------------------------

  override render(): TemplateResult {
    return html`
      <h1>Lend this tab to the shoal</h1>
      <div class="promise">
        <p>
          <strong>No cryptocurrency, nothing to install, no account.</strong> While this page is open, the tab runs a language model on your
          processor and answers or checks other people’s prompts, and test questions of the network.
        </p>
        <p>${this.#sizes()} <strong>To stop, press Stop or close the tab:</strong> it ends at once.</p>
      </div>
      <lend-state
        .view=${this.view}
        .history=${this.history}
        .standing=${this.standing}
        .servingSince=${this.servingSince}
        .blocker=${this.device?.blocker ?? null}
        .trouble=${this.trouble}
        .canStart=${this.#canStart}
        .identityKept=${this.identityKept}
        .isPaused=${this.isPaused}
        .givenBack=${this.givenBack}
        @lend-action=${this.#act}
      ></lend-state>
      <owner-card .done=${this.#done}></owner-card>
      ${this.#settings()}
      <budget-form
        .settings=${this.budget}
        .there=${SIGNALS_THERE}
        .isKept=${this.isBudgetKept}
        @budget-changed=${this.#changeBudget}
      ></budget-form>
      <reading-card></reading-card>
      <device-card .device=${this.device}></device-card>
      <stored-models-card .version=${this.storeVersion}></stored-models-card>
      <tab-log .lines=${this.log}></tab-log>
    `;
  }

  /** Answers and checks of the tab that lends, here or elsewhere in this browser. */
  get #done(): number {
    const lending = this.view.phase === 'elsewhere' ? this.view.shown : this.view;
    if (lending?.phase !== 'serving') return 0;
    return lending.tab.counts.answers + lending.tab.counts.checks;
  }

  /** What is downloaded, before the click. */
  #sizes(): string {
    const ladder = this.#ladder;
    const meant =
      this.chosen === BEST
        ? [ladder?.first, ladder?.next].filter((entry) => entry != null)
        : this.#entries.filter(({ name }) => name === this.chosen);
    const engine = 'an engine of 9 MB';
    if (meant.length === 0) return `It downloads a model and ${engine} once.`;
    const sizes = meant.map(({ bytes }) => megabytes(bytes)).join(' and later one of ');
    return `It downloads a model of ${sizes}, and ${engine}, once.`;
  }

  #settings(): TemplateResult {
    const isLocked = isLending(this.view);
    return html`<section class="card" aria-labelledby="settings">
      <h2 id="settings">Settings</h2>
      <model-choice
        .models=${this.models}
        .ladder=${this.#ladder}
        .chosen=${this.chosen}
        .isLocked=${isLocked}
        .isAccepted=${this.isAccepted}
        @model-chosen=${(event: CustomEvent<string>) => {
          this.chosen = event.detail;
          this.isAccepted = false;
        }}
        @terms-accepted=${(event: CustomEvent<boolean>) => (this.isAccepted = event.detail)}
      ></model-choice>
      <role-choice
        .chosen=${this.#role}
        .fits=${this.device?.roles ?? []}
        .hasEmbedding=${this.#embedding !== null}
        .isLocked=${isLocked}
        @role-chosen=${(event: CustomEvent<Role>) => this.#chooseRole(event.detail)}
      ></role-choice>
      ${isLocked ? html`<p class="soft below">To change the model, or what it may be used for, stop first.</p>` : ''}
      <label class="check">
        <input id="direct" type="checkbox" .checked=${this.direct} @change=${this.#setDirect} />
        <span
          >Allow direct links. Answers then go straight to whoever asked, without a detour over the router. The other side can see this
          device’s network address, and this tab sees theirs.</span
        >
      </label>
    </section>`;
  }
}

/** Time after a piece of work in which its check is over as a rule, ms. */
const JUDGED_AFTER_MS = 2_500;

const LOOK_WHO_LENDS_EVERY_MS = 3_000;

const SIGNALS_THERE: BudgetSignalsThere = {
  power: 'getBattery' in navigator,
  pressure: 'PressureObserver' in globalThis,
  idleDevice: canDetectIdle(),
  wakeLock: 'wakeLock' in navigator,
};

customElements.define('join-page', JoinPage);

declare global {
  interface HTMLElementTagNameMap {
    'join-page': JoinPage;
  }
}
