/** How the nodes of an answer change when more of it came. */
export interface MarkdownChange {
  /** Source of blocks that are finished now: to be rendered in place of the open one, once. */
  readonly finished: string;
  /** Source of the open block, to be rendered anew after them; null: what is shown of it stays. */
  readonly open: string | null;
  /** Text behind the open block as it is shown: to be shown as it is. */
  readonly rest: string;
}

/** An open block that is shorter is rendered with every change, characters. */
const SHORT = 1_024;
/** A longer one when it has grown by this share: all renderings of it together are as much work as a few of the whole. */
const GROWN = 1 / 8;

/**
 * Cuts an answer that is being written into what is finished and what is still open, so that rendering it as it grows costs about as much as rendering it once. What is
 * a link by a reference in another block stays text.
 */
export class MarkdownStream {
  readonly #finishedLength: (source: string) => number;
  /** Source behind the finished blocks. */
  #tail = '';
  /** How much of it is rendered. */
  #rendered = 0;

  /** `finishedLength`: of a text, the characters in blocks that are finished. */
  constructor(finishedLength: (source: string) => number) {
    this.#finishedLength = finishedLength;
  }

  /** More text came; with `isLast` there will be no more. */
  push(text: string, isLast: boolean): MarkdownChange {
    this.#tail += text.replaceAll('\r', '');
    const grown = this.#tail.length - this.#rendered;
    const isDue = this.#tail.length < SHORT ? grown > 0 : grown >= GROWN * this.#tail.length;
    if (!isDue && !isLast) return { finished: '', open: null, rest: this.#tail.slice(this.#rendered) };
    const length = isLast ? this.#tail.length : this.#finishedLength(this.#tail);
    const finished = this.#tail.slice(0, length);
    this.#tail = this.#tail.slice(length);
    this.#rendered = this.#tail.length;
    return { finished, open: this.#tail, rest: '' };
  }
}
