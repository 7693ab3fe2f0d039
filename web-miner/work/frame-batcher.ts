/**
 * When text leaves the tab. The first token at once; after it every 8 tokens or 40 ms, whichever comes first: a relay pays per frame, not
 * per token, and nobody reads faster than that.
 */
export const BATCH_TOKENS = 8;
export const BATCH_MS = 40;

export interface Batch {
  readonly text: string;
  readonly tokens: number;
}

export class FrameBatcher {
  readonly #emit: (batch: Batch) => void;
  #text = '';
  #tokens = 0;
  #first = true;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(emit: (batch: Batch) => void) {
    this.#emit = emit;
  }

  push(text: string, tokens: number): void {
    this.#text += text;
    this.#tokens += tokens;
    if (this.#first || this.#tokens >= BATCH_TOKENS) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), BATCH_MS);
    this.#first = false;
  }

  flush(): void {
    const batch = { text: this.#text, tokens: this.#tokens };
    this.drop();
    if (batch.text !== '') this.#emit(batch);
  }

  /** Forgets what was not sent: the answer failed, and nothing of it may follow the news. */
  drop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#text = '';
    this.#tokens = 0;
  }
}
