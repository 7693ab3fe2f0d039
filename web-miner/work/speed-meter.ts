/** How fast a tab writes: one figure for the page, one that the router may plan with. */
export class SpeedMeter {
  #proven: number | null;
  #shown: number | null;
  #beganAt = 0;
  #written = 0;
  #shownAt = 0;

  constructor(proven: number | null) {
    this.#proven = proven;
    this.#shown = proven;
  }

  /** Tokens per second over the last answers; null before the first. */
  get proven(): number | null {
    return this.#proven;
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
    const before = this.#proven;
    this.#proven = before === null ? speed : before + (speed - before) * WEIGHT;
    return before === null || Math.abs(this.#proven - before) > before * WORTH_TELLING;
  }
}

const SHOW_EVERY_MS = 250;
/** Below this an answer says little about speed. */
const MIN_TOKENS = 8;
/** Weight of the newest answer in the running mean. */
const WEIGHT = 0.3;
const WORTH_TELLING = 0.1;
