import { ShoalError } from '../errors.ts';

/**
 * What of an answer was shown. When its tab is lost, another one writes it again from the first word: what is known already is compared and swallowed, and
 * what follows goes on where the first tab stopped. Two tabs of one exact class with one seed write the same, so a difference shows that one of them did not.
 */
export class ShownAnswer {
  #text = '';
  #tokens = 0;
  /** Of the tab that is at work now: UTF-16 units, and tokens. */
  #written = 0;
  #writtenTokens = 0;

  get isEmpty(): boolean {
    return this.#text === '';
  }

  /** Another tab begins from the first word. */
  again(): void {
    this.#written = 0;
    this.#writtenTokens = 0;
  }

  /** The next whole characters that the tab has written. Returns what of it is new. Throws `answer_disputed`. */
  take(written: string, tokens: number): { readonly text: string; readonly tokens: number } {
    const known = this.#text.slice(this.#written, this.#written + written.length);
    if (!written.startsWith(known)) throw disputed();
    this.#written += written.length;
    this.#writtenTokens += tokens;
    const text = written.slice(known.length);
    // What is swallowed adds nothing: a token that was cut in two is counted with its second half.
    if (text === '') return { text, tokens: 0 };
    const fresh = Math.max(0, this.#writtenTokens - this.#tokens);
    this.#text += text;
    this.#tokens += fresh;
    return { text, tokens: fresh };
  }

  /** The tab has ended its answer. Throws `answer_disputed` when more than this was shown. */
  ended(): void {
    if (this.#written < this.#text.length) throw disputed();
  }
}

export function disputed(): ShoalError {
  return new ShoalError('answer_disputed', 'The tab was lost, and another one writes something else.');
}
