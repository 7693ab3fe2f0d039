/** What a task's money is waited for by, and what gives it back. */
export interface Holding {
  /** Resolves when the money is set aside: nothing is delivered to a tab before. Throws `insufficient_quota`, or `overloaded`. */
  readonly held: Promise<void>;
  /** For a task that was never begun. */
  readonly release: () => Promise<void>;
}
