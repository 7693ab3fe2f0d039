import type { TaskUpdate } from '../../shared/sealed-task/sealed-task.ts';

/** Where a request stood when it was last told. */
export interface WaitingTurn {
  readonly ahead: number;
  /** Until its first token, ms. */
  readonly etaMs: number;
}

/** An answer's updates, and beside them what it was told while it waited. Comments are sent between events: an OpenAI client knows no event for it. */
export class WaitingComments {
  #turn: WaitingTurn | null = null;
  #listener: ((comment: string) => void) | null = null;

  /** The last comment, at once, and every later one. */
  listen(listener: (comment: string) => void): void {
    this.#listener = listener;
    if (this.#turn !== null) listener(commentOf(this.#turn));
  }

  async *watch(updates: AsyncGenerator<TaskUpdate, void, undefined>): AsyncGenerator<TaskUpdate, void, undefined> {
    for await (const update of updates) {
      if (update.type === 'waiting') {
        this.#turn = update;
        this.#listener?.(commentOf(update));
      }
      yield update;
    }
  }
}

/** A comment of a stream of server-sent events: position and estimate, for people and for programs that look. */
function commentOf({ ahead, etaMs }: WaitingTurn): string {
  return `: waiting for a tab, ${ahead} ahead, first token in about ${Math.max(1, Math.round(etaMs / 1000))} s\n\n`;
}
