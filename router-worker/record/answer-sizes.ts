/** Bytes assumed of the mean answer before any was seen: about a hundred tokens. */
const FIRST_MEAN_BYTES = 400;
/** Weight of the newest answer in the running mean. */
const MEAN_WEIGHT = 0.02;
/** One answer counts in the mean for no more than so many of it: else a few huge ones, which need no user, would hide all others from checks. */
const MOST_SIZE_IN_MEAN = 4;
/** Answers smaller than this share of the mean are checked as if they had it: whoever did move the mean gains no more than this. */
const LEAST_SIZE = 0.25;

/** Sizes of answers over their running mean: large ones are checked more often. */
export class AnswerSizes {
  #meanBytes = FIRST_MEAN_BYTES;

  /** The size of one answer more, over the mean before it. */
  next(bytes: number): number {
    const size = Math.max(LEAST_SIZE, bytes / this.#meanBytes);
    this.#meanBytes += MEAN_WEIGHT * (Math.min(size, MOST_SIZE_IN_MEAN) - 1) * this.#meanBytes;
    return size;
  }
}
