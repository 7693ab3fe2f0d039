/** Bytes per second over the last few seconds. */
export class RateMeter {
  readonly #marks: { readonly at: number; readonly bytes: number }[] = [];

  rate(bytes: number, now = performance.now()): number {
    this.#marks.push({ at: now, bytes });
    while ((this.#marks[0]?.at ?? now) < now - WINDOW_MS) this.#marks.shift();
    const first = this.#marks[0];
    return first === undefined || now <= first.at ? 0 : ((bytes - first.bytes) * 1000) / (now - first.at);
  }
}

const WINDOW_MS = 5_000;
