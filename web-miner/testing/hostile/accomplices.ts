/** Answers of the latest tasks that are kept: more than are in hand at once. */
const MAX_KEPT = 64;

/** What the hostile tabs of one page tell each other. */
export class Accomplices {
  readonly #answers: { readonly by: symbol; readonly text: string }[] = [];
  readonly #statements = new Map<string, string>();

  /** The tab `by` wrote this. */
  wrote(by: symbol, text: string): void {
    this.#answers.push({ by, text });
    if (this.#answers.length > MAX_KEPT) this.#answers.shift();
  }

  /** The newest answer that this tab itself wrote; null before the first. */
  ownLast(by: symbol): string | null {
    return this.#answers.findLast((answer) => answer.by === by)?.text ?? null;
  }

  /** The newest answer of another tab of the page; null before the first. */
  othersLast(by: symbol): string | null {
    return this.#answers.findLast((answer) => answer.by !== by)?.text ?? null;
  }

  /** A signed payload about a task, for whoever is drawn after. */
  tell(kind: 'check-commit' | 'check-reveal', task: string, payload: string): void {
    this.#statements.set(`${kind} ${task}`, payload);
  }

  told(kind: 'check-commit' | 'check-reveal', task: string): string | null {
    return this.#statements.get(`${kind} ${task}`) ?? null;
  }
}
