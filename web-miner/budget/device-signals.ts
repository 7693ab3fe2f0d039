import { type PageSignals, QUIET_PAGE } from './work-gate.ts';

/** Browser interfaces that not every browser has; TypeScript knows none of them. */
interface Battery extends EventTarget {
  readonly charging: boolean;
  readonly level: number;
}
interface PressureRecord {
  readonly state: 'nominal' | 'fair' | 'serious' | 'critical';
}
interface PressureWatch {
  observe(source: 'cpu', options: { readonly sampleInterval: number }): Promise<void>;
  disconnect(): void;
}
interface IdleWatch extends EventTarget {
  readonly userState: 'active' | 'idle' | null;
  readonly screenState: 'locked' | 'unlocked' | null;
  start(options: { readonly threshold: number; readonly signal: AbortSignal }): Promise<void>;
}
type Extras = {
  readonly getBattery?: () => Promise<Battery>;
};
type GlobalExtras = {
  readonly PressureObserver?: new (onChange: (records: readonly PressureRecord[]) => void) => PressureWatch;
  readonly IdleDetector?: (new () => IdleWatch) & { requestPermission(): Promise<string> };
};

/** A look at the battery; null where the browser does not tell. */
export async function batteryOf(): Promise<Battery | null> {
  return (await (navigator as Navigator & Extras).getBattery?.().catch(() => null)) ?? null;
}

/** Where the browser can tell that nobody uses the device at all, not only this page. */
export const canDetectIdle = (): boolean => 'IdleDetector' in globalThis;

const INPUTS = ['pointerdown', 'pointermove', 'keydown', 'wheel', 'touchstart'] as const;
/** Inputs come many a second: a newer instant is told so seldom, ms. */
const INPUT_TOLD_EVERY_MS = 5_000;
const PRESSURE_SAMPLE_MS = 5_000;
/** Shortest that the interface allows, ms. */
const IDLE_THRESHOLD_MS = 60_000;

/** Watches what a page can see of its device, for as long as the tab is lent. */
export class DeviceSignals {
  readonly #onChange: (signals: PageSignals) => void;
  readonly #end = new AbortController();
  #signals: PageSignals;
  #pressure: PressureWatch | null = null;
  #toldInputAt = 0;

  constructor(onChange: (signals: PageSignals) => void) {
    this.#onChange = onChange;
    this.#signals = {
      ...QUIET_PAGE,
      isOnline: navigator.onLine,
      isHidden: document.visibilityState === 'hidden',
      lastInputAt: Date.now(),
    };
    const { signal } = this.#end;
    const on = (target: EventTarget, name: string, act: () => void) =>
      target.addEventListener(name, act, { signal, passive: true, capture: true });
    on(document, 'visibilitychange', () => this.#set({ isHidden: document.visibilityState === 'hidden' }));
    on(globalThis, 'online', () => this.#set({ isOnline: true }));
    on(globalThis, 'offline', () => this.#set({ isOnline: false }));
    on(document, 'freeze', () => this.#set({ isAway: true }));
    on(document, 'resume', () => this.#set({ isAway: false }));
    on(globalThis, 'pagehide', () => this.#set({ isAway: true }));
    on(globalThis, 'pageshow', () => this.#set({ isAway: false }));
    // A page without the focus hears no more of it: what it heard last would hold until somebody comes back.
    on(globalThis, 'blur', () => this.#set({ pressure: null }));
    on(globalThis, 'focus', () => void this.#watchPressure());
    for (const input of INPUTS) on(globalThis, input, () => this.#touched());
    void this.#watchBattery(on);
    void this.#watchPressure();
  }

  get now(): PageSignals {
    return this.#signals;
  }

  pause(isPaused: boolean): void {
    this.#set({ isPaused });
  }

  /** Must be called from a click. False when the browser cannot tell, or the person said no: inputs on this page count then. */
  async askForIdle(): Promise<boolean> {
    const { IdleDetector } = globalThis as GlobalExtras;
    if (IdleDetector === undefined) return false;
    try {
      if ((await IdleDetector.requestPermission()) !== 'granted') return false;
      const watch = new IdleDetector();
      const { signal } = this.#end;
      const look = () => {
        const isIdle = watch.userState === 'idle' || watch.screenState === 'locked';
        // Idle for the threshold: from now on nothing is younger than that.
        this.#set({ lastInputAt: isIdle ? 0 : Date.now() });
      };
      watch.addEventListener('change', look, { signal });
      await watch.start({ threshold: IDLE_THRESHOLD_MS, signal });
      look();
      return true;
    } catch {
      return false;
    }
  }

  close(): void {
    this.#end.abort();
    this.#pressure?.disconnect();
  }

  #touched(): void {
    const now = Date.now();
    if (now - this.#toldInputAt < INPUT_TOLD_EVERY_MS) return;
    this.#toldInputAt = now;
    this.#set({ lastInputAt: now });
  }

  #set(changed: Partial<PageSignals>): void {
    if (this.#end.signal.aborted) return;
    const before = this.#signals;
    this.#signals = { ...before, ...changed };
    if (JSON.stringify(before) !== JSON.stringify(this.#signals)) this.#onChange(this.#signals);
  }

  async #watchBattery(on: (target: EventTarget, name: string, act: () => void) => void): Promise<void> {
    const battery = await batteryOf();
    if (battery === null || this.#end.signal.aborted) return;
    const look = () => this.#set({ isPluggedIn: battery.charging });
    on(battery, 'chargingchange', look);
    look();
  }

  /** From the beginning: what has not changed is told only once. */
  async #watchPressure(): Promise<void> {
    this.#pressure?.disconnect();
    this.#pressure = null;
    const { PressureObserver } = globalThis as GlobalExtras;
    if (PressureObserver === undefined) return;
    try {
      const watch = new PressureObserver((records) => this.#set({ pressure: records.at(-1)?.state ?? null }));
      this.#pressure = watch;
      await watch.observe('cpu', { sampleInterval: PRESSURE_SAMPLE_MS });
      if (this.#end.signal.aborted || this.#pressure !== watch) watch.disconnect();
    } catch {
      // The platform has no figure for it.
    }
  }
}
