import {
  ACK_DEADLINE_MS,
  CHECK_DEADLINE_MS,
  FIRST_FRAME_DEADLINE_MS,
  FRAME_GAP_DEADLINE_MS,
  MAX_WAIT_MS,
  REVEAL_DEADLINE_MS,
  SHOWN_DEADLINE_MS,
  SUBTASK_DEADLINE_MS,
  WRAP_DEADLINE_MS,
} from '../limits.ts';

/** The router watches the same deadlines, except over links that it does not see: this much later its own verdict had time to arrive, ms. */
const SLACK_MS = 10_000;

/** Phases in their order, each with the longest silence in it, ms. */
const LONGEST_SILENCE_MS = {
  waiting: MAX_WAIT_MS,
  leased: ACK_DEADLINE_MS,
  accepted: FIRST_FRAME_DEADLINE_MS,
  writing: FRAME_GAP_DEADLINE_MS,
  checking: WRAP_DEADLINE_MS + CHECK_DEADLINE_MS + SHOWN_DEADLINE_MS + REVEAL_DEADLINE_MS,
  /** The verdict is there, but not the whole answer. */
  ending: FRAME_GAP_DEADLINE_MS,
};
type TaskPhase = keyof typeof LONGEST_SILENCE_MS;
const PHASES = Object.keys(LONGEST_SILENCE_MS);

/**
 * Watches a task from its client's side: nobody else sees a tab that hangs at the other end of a direct link, or a connection to the router that
 * is dead without having been closed.
 */
export class TaskWatchdog {
  readonly #onLate: () => void;
  #phase: TaskPhase = 'waiting';
  #heardAt = performance.now();
  #leasedAt = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOver = false;

  constructor(onLate: () => void) {
    this.#onLate = onLate;
    this.#arm();
  }

  /** Something came. A frame costs no timer. */
  heard(): void {
    this.#heardAt = performance.now();
  }

  /** Phases only go forward: a late copy of a frame begins nothing anew. */
  enter(phase: TaskPhase): void {
    this.heard();
    if (PHASES.indexOf(phase) <= PHASES.indexOf(this.#phase)) return;
    this.#phase = phase;
    if (phase === 'leased') this.#leasedAt = this.#heardAt;
    this.#arm();
  }

  /** Another tab has the place of one that was lost: it reads the prompt from its first word. */
  leasedAgain(): void {
    this.#phase = 'waiting';
    this.enter('leased');
  }

  /** For good: what comes late starts no timer. */
  end(): void {
    this.#isOver = true;
    if (this.#timer !== undefined) clearTimeout(this.#timer);
  }

  #arm(): void {
    if (this.#isOver) return;
    if (this.#timer !== undefined) clearTimeout(this.#timer);
    const leftMs = this.#dueAt - performance.now();
    this.#timer = setTimeout(() => (this.#dueAt <= performance.now() ? this.#onLate() : this.#arm()), leftMs);
  }

  get #dueAt(): number {
    const silent = this.#heardAt + LONGEST_SILENCE_MS[this.#phase];
    const isAtWork = this.#phase === 'leased' || this.#phase === 'accepted' || this.#phase === 'writing';
    return SLACK_MS + (isAtWork ? Math.min(silent, this.#leasedAt + SUBTASK_DEADLINE_MS) : silent);
  }
}
