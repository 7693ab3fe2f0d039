/** Tokens per second over the last answers, apart for a tab that can be seen and one in the background; null before the first. */
export interface ProvenSpeeds {
  readonly visible: number | null;
  readonly hidden: number | null;
}

/** How fast a tab writes: one figure for the page, one that the router may plan with. */
export class SpeedMeter {
  #proven: ProvenSpeeds = { visible: null, hidden: null };
  #isHidden = false;
  #shown: number | null;
  #beganAt = 0;
  #written = 0;
  #shownAt = 0;

  constructor(proven: number | null, isHidden = false) {
    this.#isHidden = isHidden;
    this.#shown = proven;
    this.#keep(proven);
  }

  /** Tokens per second over the last answers, as the tab is now: seen or in the background. Null before the first. */
  get proven(): number | null {
    const { visible, hidden } = this.#proven;
    return this.#isHidden ? (hidden ?? visible) : (visible ?? hidden);
  }

  get speeds(): ProvenSpeeds {
    return this.#proven;
  }

  /** Browsers may slow a tab that nobody sees. True when another figure holds now. */
  setHidden(isHidden: boolean): boolean {
    const before = this.proven;
    this.#isHidden = isHidden;
    return this.proven !== before;
  }

  /** Tokens per second of the answer that runs, or ran last. */
  get shown(): number | null {
    return this.#shown;
  }

  begin(): void {
    this.#beganAt = 0;
    this.#written = 0;
  }

  /** Counts tokens; true when the page should show the new figure, a few times a second at most. */
  wrote(tokens: number, now = performance.now()): boolean {
    if (this.#beganAt === 0)
      this.#beganAt = now; // The clock starts with the first token: reading the prompt is not writing.
    else this.#written += tokens;
    if (now - this.#shownAt < SHOW_EVERY_MS || now === this.#beganAt) return false;
    this.#shownAt = now;
    this.#shown = (this.#written * 1000) / (now - this.#beganAt);
    return true;
  }

  /** A whole answer was timed. True when the figure moved enough for the router to know. */
  measured(tokens: number, decodeMs: number): boolean {
    if (tokens < MIN_TOKENS || decodeMs <= 0) return false;
    const speed = (tokens * 1000) / decodeMs;
    const told = this.proven;
    const before = this.#isHidden ? this.#proven.hidden : this.#proven.visible;
    const after = before === null ? speed : before + (speed - before) * WEIGHT;
    this.#keep(after);
    return told === null || Math.abs(after - told) > told * WORTH_TELLING;
  }

  #keep(speed: number | null): void {
    this.#proven = this.#isHidden ? { ...this.#proven, hidden: speed } : { ...this.#proven, visible: speed };
  }
}

const SHOW_EVERY_MS = 250;
/** Below this an answer says little about speed. */
const MIN_TOKENS = 8;
/** Weight of the newest answer in the running mean. */
const WEIGHT = 0.3;
const WORTH_TELLING = 0.1;
