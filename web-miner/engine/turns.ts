import { abortError } from './engine.ts';

/** One at a time, in the order in which they asked. */
export class Turns {
  #tail: Promise<unknown> = Promise.resolve();

  /** Waits for its turn. Whoever has it gives it on by calling what is returned. Throws `AbortError` as soon as the signal aborts. */
  async take(signal: AbortSignal): Promise<() => void> {
    const before = this.#tail;
    const mine = Promise.withResolvers<void>();
    this.#tail = before.then(() => mine.promise);
    const aborted = Promise.withResolvers<void>();
    const onAbort = () => aborted.resolve();
    signal.addEventListener('abort', onAbort, { once: true });
    if (!signal.aborted) await Promise.race([before, aborted.promise]);
    signal.removeEventListener('abort', onAbort);
    if (signal.aborted) {
      mine.resolve();
      throw abortError();
    }
    return mine.resolve;
  }

  /** Does one thing in its turn. Throws what it throws, and `AbortError` as soon as the signal aborts while it waits. */
  async run<T>(signal: AbortSignal, act: () => Promise<T>): Promise<T> {
    const release = await this.take(signal);
    try {
      return await act();
    } finally {
      release();
    }
  }
}
