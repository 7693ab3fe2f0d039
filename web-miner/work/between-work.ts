import { Turns } from '../engine/turns.ts';
import type { LendingTab } from './lending-tab.ts';

/** What a tab is busy with beside prompts. */
export type Aside = 'changing' | 'testing' | 'finishing';

export type QuietTab = Pick<LendingTab, 'withdraw' | 'resume' | 'quiet'>;

export interface BetweenPorts {
  /** Null before it joined, and after it left. */
  readonly tab: () => QuietTab | null;
  /** What it is busy with is another thing now. */
  readonly tell: () => void;
  readonly signal: AbortSignal;
}

/** Leases that were under way when the tab said that it takes no more arrive within this time, ms. */
const IN_FLIGHT_MS = 1_000;
/** Whoever leaves finishes what runs, within bounds: an answer, and then the checks of what was written, ms. */
const FINISH_DEADLINE_MS = 120_000;
const TOLD_DEADLINE_MS = 10_000;
/** Longest time that a timer can wait, ms. */
const MAX_TIMER_MS = 0x7fff_ffff;

/** What needs the engine for itself waits for its turn, and for a moment between two pieces of work. */
export class BetweenWork {
  readonly #ports: BetweenPorts;
  readonly #turns = new Turns();
  #doing: Aside | null = null;

  constructor(ports: BetweenPorts) {
    this.#ports = ports;
  }

  get doing(): Aside | null {
    return this.#doing;
  }

  /** Takes no more work, waits for what runs, acts, and takes work again. Nothing happens in a tab that leaves. Throws what `act` throws, and `AbortError`. */
  run(what: Exclude<Aside, 'finishing'>, act: () => Promise<void>): Promise<void> {
    return this.inTurn(async () => {
      const tab = this.#ports.tab();
      if (tab === null || this.#doing === 'finishing') return;
      this.#doing = what;
      tab.withdraw();
      this.#ports.tell();
      try {
        await this.#untilQuiet(tab, MAX_TIMER_MS);
        this.#ports.signal.throwIfAborted();
        await act();
      } finally {
        if (this.#doing === what) {
          this.#doing = null;
          tab.resume();
        }
        this.#ports.tell();
      }
    });
  }

  /** One at a time, whatever the tab does. Throws `AbortError` when the tab ended before its turn came. */
  inTurn(act: () => Promise<void>): Promise<void> {
    return this.#turns.run(this.#ports.signal, act);
  }

  /** Takes no more, for good. Resolves when what runs is done and judged, or after two minutes. */
  async finish(tab: QuietTab): Promise<void> {
    this.#doing = 'finishing';
    tab.withdraw();
    this.#ports.tell();
    await this.#untilQuiet(tab, FINISH_DEADLINE_MS);
    await tab.quiet(TOLD_DEADLINE_MS, true);
  }

  async #untilQuiet(tab: QuietTab, deadlineMs: number): Promise<void> {
    await tab.quiet(deadlineMs);
    await new Promise((resolve) => setTimeout(resolve, IN_FLIGHT_MS));
    await tab.quiet(deadlineMs);
  }
}
