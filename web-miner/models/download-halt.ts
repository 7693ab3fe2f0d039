/** Holds a download up, and lets it go on where it stood. */
export class DownloadHalt {
  #stretch = new AbortController();
  #waiting = Promise.withResolvers<void>();

  constructor() {
    this.#waiting.resolve();
  }

  /** Aborts when this stretch of the download ends. */
  get signal(): AbortSignal {
    return this.#stretch.signal;
  }

  set(isHalted: boolean): void {
    if (isHalted === this.#stretch.signal.aborted) return;
    if (isHalted) {
      this.#waiting = Promise.withResolvers<void>();
      this.#stretch.abort();
    } else {
      this.#stretch = new AbortController();
      this.#waiting.resolve();
    }
  }

  /** Resolves when nothing holds the download up. Throws what the signal was aborted with. */
  async lifted(signal: AbortSignal): Promise<void> {
    const stopped = Promise.withResolvers<void>();
    const onAbort = () => stopped.resolve();
    signal.addEventListener('abort', onAbort, { once: true });
    while (this.signal.aborted && !signal.aborted) await Promise.race([this.#waiting.promise, stopped.promise]);
    signal.removeEventListener('abort', onAbort);
    signal.throwIfAborted();
  }
}
