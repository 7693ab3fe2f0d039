/** A worker is asked so often whether it is alive, ms. */
const ASK_EVERY_MS = 5_000;
/**
 * So many questions without an answer, and it is taken for stuck: half a minute of a page that can be seen. Questions are counted, and not time: of a page that is
 * frozen, or whose timers are throttled, nobody asks either.
 */
const MOST_UNANSWERED = 6;

/** Asks a worker again and again whether it is alive. */
export class Pulse {
  readonly #ask: () => void;
  readonly #onStuck: () => void;
  #timer: ReturnType<typeof setInterval> | undefined;
  #unanswered = 0;

  constructor(ask: () => void, onStuck: () => void) {
    this.#ask = ask;
    this.#onStuck = onStuck;
  }

  begin(): void {
    this.end();
    this.#unanswered = 0;
    this.#timer = setInterval(() => this.#beat(), ASK_EVERY_MS);
  }

  /** It answered. */
  felt(): void {
    this.#unanswered = 0;
  }

  end(): void {
    clearInterval(this.#timer);
  }

  #beat(): void {
    if (this.#unanswered >= MOST_UNANSWERED) return this.#onStuck();
    this.#unanswered++;
    this.#ask();
  }
}
