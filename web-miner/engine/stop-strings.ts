/** Finds the first stop string in a text that comes piece by piece, and holds back what may yet become one. */
export class StopStrings {
  readonly #stops: readonly string[];
  #held = '';

  constructor(stops: readonly string[]) {
    this.#stops = stops.filter((stop) => stop !== '');
  }

  /** What is text of the answer for certain, and whether a stop string ended it. Nothing may be pushed after that. */
  push(piece: string): { readonly text: string; readonly stopped: boolean } {
    const all = this.#held + piece;
    const found = this.#stops.map((stop) => all.indexOf(stop)).filter((at) => at >= 0);
    if (found.length > 0) {
      this.#held = '';
      return { text: all.slice(0, Math.min(...found)), stopped: true };
    }
    const kept = Math.max(0, ...this.#stops.map((stop) => beginningAtEnd(all, stop)));
    this.#held = all.slice(all.length - kept);
    return { text: all.slice(0, all.length - kept), stopped: false };
  }

  /** What was held back: the answer ended otherwise. */
  rest(): string {
    const rest = this.#held;
    this.#held = '';
    return rest;
  }
}

/** How many characters at the end of the text are the beginning of `stop`, but not all of it. */
function beginningAtEnd(text: string, stop: string): number {
  for (let length = Math.min(stop.length - 1, text.length); length > 0; length--) {
    if (text.endsWith(stop.slice(0, length))) return length;
  }
  return 0;
}
