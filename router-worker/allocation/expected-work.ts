/** What a request is expected to cost a tab. */
export interface Work {
  readonly promptTokens: number;
  readonly outputTokens: number;
  /** Tokens that it may write at most. */
  readonly most: number;
}

/** What is known of a request before any tab has read it. */
export interface Size {
  /** UTF-8 bytes of the prompt; null for a sealed one. */
  readonly promptBytes: number | null;
  /** Tokens that it may write at most; 0 where it writes none: texts that are embedded are read. */
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

/** Lengths of answers are counted in steps of this ratio. */
const STEP = Math.SQRT2;
const STEPS = 32;
/** What was counted is worth this share of itself after each answer: some hundreds of the last ones count. */
const KEPT = 0.998;
/** Weight of what is assumed before anything was counted, answers. */
const FIRST_WEIGHT = 10;
/** Of an answer that is longer than any before: it goes on for this share of what it has. */
const LONGEST_GO_ON = 0.5;

/** Expects of the next request what the last ones were like. Tokens are what tabs say of them, within what bytes allow. */
export class ExpectedWork {
  #promptTokens: number = FIRST.promptTokens;
  #outputTokens: number = FIRST.outputTokens;
  #bytesPerToken: number = FIRST.bytesPerToken;
  /** Answers by length, and their tokens. */
  readonly #counts = new Float64Array(STEPS);
  readonly #tokens = new Float64Array(STEPS);
  /** The same of this length or longer. */
  readonly #countsFrom = new Float64Array(STEPS);
  readonly #tokensFrom = new Float64Array(STEPS);

  constructor() {
    this.#count(FIRST.outputTokens, FIRST_WEIGHT);
  }

  of({ promptBytes, maxTokens }: Size): Work {
    return {
      promptTokens: Math.max(1, promptBytes === null ? this.#promptTokens : promptBytes / this.#bytesPerToken),
      outputTokens: maxTokens === 0 ? 0 : Math.max(1, Math.min(maxTokens, this.#outputTokens)),
      most: maxTokens,
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

  /** Tokens that an answer is expected to go on for when it has so many: the longer it is, the longer it goes on. */
  remaining(written: number): number {
    const step = stepOf(written);
    const count = this.#countsFrom[step] ?? 0;
    return count < 1
      ? Math.max(1, written * LONGEST_GO_ON)
      : Math.max(1, (this.#tokensFrom[step] ?? 0) / count - written);
  }

  #count(tokens: number, weight: number): void {
    const at = stepOf(tokens);
    this.#counts[at] = (this.#counts[at] ?? 0) + weight;
    this.#tokens[at] = (this.#tokens[at] ?? 0) + weight * tokens;
    let countFrom = 0;
    let tokensFrom = 0;
    for (let step = STEPS - 1; step >= 0; step--) {
      countFrom += this.#counts[step] ?? 0;
      tokensFrom += this.#tokens[step] ?? 0;
      this.#countsFrom[step] = countFrom;
      this.#tokensFrom[step] = tokensFrom;
    }
  }

  wrote(outputTokens: number): void {
    for (let step = 0; step < STEPS; step++) {
      this.#counts[step] = (this.#counts[step] ?? 0) * KEPT;
      this.#tokens[step] = (this.#tokens[step] ?? 0) * KEPT;
    }
    if (outputTokens > 0) this.#count(outputTokens, 1);
    this.#outputTokens = mean(this.#outputTokens, outputTokens);
  }
}

function stepOf(tokens: number): number {
  return Math.min(STEPS - 1, Math.max(0, Math.floor(Math.log(Math.max(1, tokens)) / Math.log(STEP))));
}

function mean(before: number, sample: number): number {
  return before + NEWEST * (Math.min(sample, MOST_OF_MEAN * before) - before);
}
