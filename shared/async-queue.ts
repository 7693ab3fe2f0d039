/** Values pushed on one side, taken in order on the other. One taker. */
export class AsyncQueue<T> {
  readonly #values: T[] = [];
  #end: { readonly error: unknown } | 'done' | null = null;
  #wake: (() => void) | null = null;

  push(value: T): void {
    if (this.#end !== null) return;
    this.#values.push(value);
    this.#wake?.();
  }

  /** No more values; what was pushed is still taken. */
  close(): void {
    this.#end ??= 'done';
    this.#wake?.();
  }

  /** The taker gets the error after what was pushed before it. */
  fail(error: unknown): void {
    this.#end ??= { error };
    this.#wake?.();
  }

  async *take(): AsyncGenerator<T, void, undefined> {
    for (;;) {
      const value = this.#values.shift();
      if (value !== undefined) {
        yield value;
        continue;
      }
      if (this.#end === 'done') return;
      if (this.#end !== null) throw this.#end.error;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
  }
}
