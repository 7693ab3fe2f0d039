/** What a request is expected to cost a tab. */
export interface Work {
  readonly promptTokens: number;
  readonly outputTokens: number;
}

/** What is known of a request before any tab has read it. */
export interface Size {
  /** UTF-8 bytes of the prompt; null for a sealed one. */
  readonly promptBytes: number | null;
  /** Tokens that it may write at most. */
  readonly maxTokens: number;
}

/** Before any answer was seen: sizes of chat in the Azure LLM inference trace of 2023, and English text. */
const FIRST = { promptTokens: 1_000, outputTokens: 200, bytesPerToken: 4 };
/** Weight of the newest answer in the running means. */
const NEWEST = 0.02;
/** One answer counts for no more than so many of the mean: a few huge ones would make all look long. */
const MOST_OF_MEAN = 8;
/** A token holds at least a byte; more than this many are no text. */
const BYTES_PER_TOKEN = { least: 1, most: 16 };

/** Expects of the next request what the last ones were like. Tokens are what tabs say of them, within what bytes allow. */
export class ExpectedWork {
  #promptTokens: number = FIRST.promptTokens;
  #outputTokens: number = FIRST.outputTokens;
  #bytesPerToken: number = FIRST.bytesPerToken;

  of({ promptBytes, maxTokens }: Size): Work {
    return {
      promptTokens: Math.max(1, promptBytes === null ? this.#promptTokens : promptBytes / this.#bytesPerToken),
      outputTokens: Math.max(1, Math.min(maxTokens, this.#outputTokens)),
    };
  }

  /** A tab has read a prompt. */
  read({ promptBytes }: Size, promptTokens: number): void {
    if (promptTokens <= 0) return;
    this.#promptTokens = mean(this.#promptTokens, promptTokens);
    if (promptBytes === null || promptBytes === 0) return;
    const bytes = Math.min(BYTES_PER_TOKEN.most, Math.max(BYTES_PER_TOKEN.least, promptBytes / promptTokens));
    this.#bytesPerToken = mean(this.#bytesPerToken, bytes);
  }

  wrote(outputTokens: number): void {
    this.#outputTokens = mean(this.#outputTokens, outputTokens);
  }
}

function mean(before: number, sample: number): number {
  return before + NEWEST * (Math.min(sample, MOST_OF_MEAN * before) - before);
}
