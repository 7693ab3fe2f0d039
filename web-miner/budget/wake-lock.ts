/** Keeps the screen on while it is wanted and the page can be seen; browsers take it back whenever the page is hidden. */
export class WakeLock {
  #isWanted = false;
  #held: Promise<WakeLockSentinel | null> | null = null;
  readonly #look = () => this.#ask();

  constructor() {
    document.addEventListener('visibilitychange', this.#look);
  }

  want(isWanted: boolean): void {
    if (isWanted === this.#isWanted) return;
    this.#isWanted = isWanted;
    if (isWanted) this.#ask();
    else this.#release();
  }

  close(): void {
    document.removeEventListener('visibilitychange', this.#look);
    this.want(false);
  }

  #ask(): void {
    if (!this.#isWanted || document.visibilityState !== 'visible' || this.#held !== null) return;
    if (!('wakeLock' in navigator)) return;
    // Refused on a low battery, for instance: the tab works on without.
    const held = navigator.wakeLock.request('screen').catch(() => null);
    this.#held = held;
    void held.then((sentinel) => {
      if (sentinel === null) this.#held = null;
      sentinel?.addEventListener('release', () => {
        if (this.#held === held) this.#held = null;
        this.#ask();
      });
    });
  }

  #release(): void {
    const held = this.#held;
    this.#held = null;
    void held?.then((sentinel) => sentinel?.release());
  }
}
