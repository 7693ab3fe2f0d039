import { type BudgetSettings, DEFAULT_BUDGET } from './budget-settings.ts';
import { addBytes, bytesToday, type DataOfDay, NO_DATA } from './data-meter.ts';
import { type MayWork, mayDownload, mayWork, type WorkSignals } from './may-work.ts';
import { Slowdown } from './slowdown.ts';
import { WorkShare } from './work-share.ts';

/** What only the page sees of the device. */
export type PageSignals = Omit<WorkSignals, 'bytesToday' | 'restsUntil' | 'coolsUntil'>;

export const QUIET_PAGE: PageSignals = {
  isPaused: false,
  isOnline: true,
  isAway: false,
  isHidden: false,
  lastInputAt: 0,
  isPluggedIn: null,
  pressure: null,
};

export interface GateOptions {
  readonly settings: BudgetSettings;
  readonly signals: PageSignals;
  readonly data: DataOfDay;
  readonly now: () => number;
  /** The answer changed, of work or of downloads: another rule, another instant, or free. */
  readonly onChange: (state: MayWork) => void;
  /** Bytes of the day, to be kept for the next visit; called seldom. */
  readonly keepData: (data: DataOfDay) => void;
}

/** Bytes after which the day's count is kept: what a crash may lose. */
const KEEP_EVERY_BYTES = 1_000_000;
/** A clock that was set back or a sleeping device: the gate looks again at least this often, ms. */
const LOOK_AT_LEAST_MS = 60_000;

/** Holds what the policy needs and asks it again whenever something changed, or an instant that it named has come. */
export class WorkGate {
  readonly #options: GateOptions;
  readonly #share = new WorkShare();
  readonly #slowdown = new Slowdown();
  #settings: BudgetSettings;
  #signals: PageSignals;
  #data: DataOfDay;
  #keptBytes: number;
  #state: MayWork;
  #downloads: MayWork;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  constructor(options: GateOptions) {
    this.#options = options;
    this.#settings = options.settings;
    this.#signals = options.signals;
    this.#data = options.data;
    this.#keptBytes = options.data.bytes;
    [this.#state, this.#downloads] = this.#ask();
    this.#watch();
  }

  get state(): MayWork {
    return this.#state;
  }

  /** Whether a model may come down. */
  get downloads(): MayWork {
    return this.#downloads;
  }

  get signals(): PageSignals {
    return this.#signals;
  }

  get bytesToday(): number {
    return bytesToday(this.#data, this.#options.now());
  }

  set(settings: BudgetSettings): void {
    this.#settings = settings;
    this.#look();
  }

  see(signals: PageSignals): void {
    if (signals.isHidden !== this.#signals.isHidden) this.#slowdown.reset();
    this.#signals = signals;
    this.#look();
  }

  moved(bytes: number): void {
    this.#data = addBytes(this.#data, bytes, this.#options.now());
    if (Math.abs(this.#data.bytes - this.#keptBytes) >= KEEP_EVERY_BYTES) this.#keep();
    if (this.#settings.dailyBytes !== null) this.#look();
  }

  began(): void {
    this.#share.began(this.#options.now());
  }

  ended(): void {
    this.#share.ended(this.#settings.sharePercent / 100, this.#options.now());
    this.#look();
  }

  /** Tokens per second of a whole answer. */
  measured(speed: number): void {
    this.#slowdown.measured(speed, this.#options.now());
    this.#look();
  }

  /** Another model: another best speed. */
  changedModel(): void {
    this.#slowdown.reset();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#keep();
  }

  #keep(): void {
    this.#keptBytes = this.#data.bytes;
    this.#options.keepData(this.#data);
  }

  #ask(): readonly [MayWork, MayWork] {
    const now = this.#options.now();
    const signals = {
      ...this.#signals,
      bytesToday: bytesToday(this.#data, now),
      restsUntil: this.#share.restsUntil,
      coolsUntil: this.#slowdown.coolsUntil,
    };
    return [mayWork(this.#settings, signals, now), mayDownload(this.#settings, signals, now)];
  }

  #look(): void {
    if (this.#isClosed) return;
    const before = JSON.stringify([this.#state, this.#downloads]);
    [this.#state, this.#downloads] = this.#ask();
    this.#watch();
    if (JSON.stringify([this.#state, this.#downloads]) !== before) this.#options.onChange(this.#state);
  }

  #watch(): void {
    clearTimeout(this.#timer);
    const now = this.#options.now();
    const waits = [this.#state, this.#downloads].flatMap((state) =>
      state.may || state.until === null ? [] : [state.until - now],
    );
    this.#timer = setTimeout(() => this.#look(), Math.max(0, Math.min(...waits, LOOK_AT_LEAST_MS)));
  }
}

/** A gate without rules or memory, for tabs that nobody owns: tests, benches, servers. */
export function openGate(onChange: (state: MayWork) => void = () => undefined): WorkGate {
  return new WorkGate({
    settings: { ...DEFAULT_BUDGET, restWhenSlow: false },
    signals: QUIET_PAGE,
    data: NO_DATA,
    now: Date.now,
    onChange,
    keepData: () => undefined,
  });
}
