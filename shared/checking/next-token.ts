/** What a model says of the next token: the raw material of probes, blind commits and yes/no questions. */

/** A token that may come next. The empty text stands for a control token: the end of the answer. */
export interface Candidate {
  readonly text: string;
  /** Natural logarithm of the model's probability, before any sampler: 0 at most. */
  readonly logProbability: number;
}

/** One step of a forced decode: the token that the text took, and what the model would rather have written. */
export interface ForcedToken extends Candidate {
  /** Likeliest first; the token that was taken need not be among them. */
  readonly candidates: readonly Candidate[];
}

/**
 * The candidate that a text goes on with: the one that is the longest prefix of `rest`; the likeliest control token where nothing follows. `null` when no
 * candidate fits. Where a model's vocabulary holds both ` to` and ` together`, the longer one is what its tokenizer would have written.
 */
export function claimedCandidate(candidates: readonly Candidate[], rest: string): Candidate | null {
  if (rest === '') return candidates.find(({ text }) => text === '') ?? null;
  return candidates
    .filter(({ text }) => text !== '' && rest.startsWith(text))
    .reduce<Candidate | null>((best, next) => (next.text.length > (best?.text.length ?? 0) ? next : best), null);
}
