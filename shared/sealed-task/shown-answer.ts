import { type Bytes, EMPTY } from '../bytes.ts';
import { ShoalError } from '../errors.ts';

/** Room for the first words of an answer, bytes; it doubles as it fills. */
const FIRST_ROOM_BYTES = 1024;

/**
 * What of an answer was shown. When its tab is lost, another one writes it again from the first word: what is known already is compared and swallowed, and
 * what follows goes on where the first tab stopped. Two tabs of one exact class with one seed write the same, so a difference shows that one of them did not.
 */
export class ShownAnswer {
  #bytes: Bytes = EMPTY;
  #shown = 0;
  #shownTokens = 0;
  /** Of the tab that is at work now. */
  #written = 0;
  #writtenTokens = 0;

  get isEmpty(): boolean {
    return this.#shown === 0;
  }

  /** Another tab begins from the first word. */
  again(): void {
    this.#written = 0;
    this.#writtenTokens = 0;
  }

  /** The next bytes that the tab has written. Returns what of it is new. Throws `answer_disputed`. */
  take(written: Bytes, tokens: number): { readonly fresh: Bytes; readonly tokens: number } {
    const known = Math.min(written.byteLength, this.#shown - this.#written);
    for (let at = 0; at < known; at++) {
      if (written[at] !== this.#bytes[this.#written + at]) throw disputed(this.#written + at);
    }
    this.#written += written.byteLength;
    this.#writtenTokens += tokens;
    const fresh = written.subarray(known);
    this.#append(fresh);
    const freshTokens = Math.max(0, this.#writtenTokens - this.#shownTokens);
    // What is swallowed adds nothing: a token that was cut in two is counted with its second half.
    if (fresh.byteLength === 0) return { fresh, tokens: 0 };
    this.#shownTokens += freshTokens;
    return { fresh, tokens: freshTokens };
  }

  /** The tab has ended its answer. Throws `answer_disputed` when more than this was shown. */
  ended(): void {
    if (this.#written < this.#shown) throw disputed(this.#written);
  }

  #append(fresh: Bytes): void {
    if (this.#shown + fresh.byteLength > this.#bytes.byteLength) {
      const room = new Uint8Array(Math.max(FIRST_ROOM_BYTES, 2 * (this.#shown + fresh.byteLength)));
      room.set(this.#bytes.subarray(0, this.#shown));
      this.#bytes = room;
    }
    this.#bytes.set(fresh, this.#shown);
    this.#shown += fresh.byteLength;
  }
}

/** `at`: the first byte that differs. */
export function disputed(at: number): ShoalError {
  const message = `The tab that wrote this answer was lost, and the one that wrote it again disagrees from byte ${at} on.`;
  return new ShoalError('answer_disputed', message);
}
