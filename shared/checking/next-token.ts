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

/** A place where a forced decode cut a text into smaller pieces than its author will have done, and the piece that it should have taken. */
export interface BetterCut {
  readonly index: number;
  readonly token: Candidate;
}

/**
 * The first place where one longer candidate explains the text better than the pieces that were taken: ` every` and four letters instead of ` everybody`. A
 * grammar takes the likeliest piece that fits, one at a time, and does not look ahead. `null` when there is none from the token `from` on.
 */
export function betterCut(tokens: readonly ForcedToken[], from: number): BetterCut | null {
  for (let index = from; index < tokens.length; index++) {
    const taken = tokens[index];
    if (taken === undefined || taken.text === '') continue;
    const rest = tokens
      .slice(index)
      .map(({ text }) => text)
      .join('');
    const longer = claimedCandidate(taken.candidates, rest);
    if (longer === null || longer.text.length <= taken.text.length) continue;
    if (longer.logProbability > spelledOut(tokens, index, longer.text.length)) return { index, token: longer };
  }
  return null;
}

/** Log-probability of the pieces from a token on, as many as it takes to write so many characters. */
function spelledOut(tokens: readonly ForcedToken[], index: number, characters: number): number {
  let sum = 0;
  let written = 0;
  for (let i = index; written < characters && i < tokens.length; i++) {
    sum += tokens[i]?.logProbability ?? 0;
    written += tokens[i]?.text.length ?? 0;
  }
  return sum;
}
