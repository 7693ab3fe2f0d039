/** In so many parts is a patience counted: what a frozen page or a sleeping device costs it is one part at most. */
const PARTS = 4;

/** Runs out after so much time in which timers ran: while a page is frozen, or a device sleeps, nobody waited. */
export class Patience {
  readonly #onOver: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(ms: number, onOver: () => void) {
    this.#onOver = onOver;
    this.#wait(ms / PARTS, PARTS);
  }

  end(): void {
    clearTimeout(this.#timer);
  }

  #wait(partMs: number, parts: number): void {
    this.#timer = setTimeout(() => (parts > 1 ? this.#wait(partMs, parts - 1) : this.#onOver()), partMs);
  }
}

/** The promise's value, or `late` when that much patience ran out first. The promise itself goes on. */
export async function withPatience<T, L>(promise: Promise<T>, ms: number, late: L): Promise<T | L> {
  const over = Promise.withResolvers<L>();
  const patience = new Patience(ms, () => over.resolve(late));
  try {
    return await Promise.race([promise, over.promise]);
  } finally {
    patience.end();
  }
}
