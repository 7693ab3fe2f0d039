import * as v from 'valibot';
import { fromBase64Url, sha256, toBase64Url, utf8 } from '../bytes.ts';
import { ShoalError } from '../errors.ts';
import { GUESS_CANDIDATES, GUESS_CHUNK_CHARACTERS, MAX_GUESS_LENGTH, MAX_GUESSES } from '../limits.ts';
import { bytes16 } from '../protocol/fields.ts';
import type { CommitmentScope } from '../receipt/statements.ts';

/**
 * Blind next-token commits: a checker with the same weights but another arithmetic is shown the answer chunk by chunk. Before each chunk it commits to what its
 * own model would write first. Whoever only copies what it is shown has nothing to commit to; whoever answered with another model is guessed less often.
 */

/**
 * Where an answer is cut, as indexes into the string: at the first white space after every so many characters, because a token seldom begins elsewhere; at
 * most so many times. The first cut is 0. What follows the last cut is never empty. The same text is cut at the same places, however it was streamed.
 */
export function chunkCuts(answer: string): readonly number[] {
  const cuts: number[] = [];
  for (let at = 0; at < answer.length && cuts.length < MAX_GUESSES; ) {
    cuts.push(at);
    const from = at + GUESS_CHUNK_CHARACTERS;
    const space = answer.slice(from).search(/\s/);
    if (space < 0) break;
    at = from + space;
  }
  return cuts;
}

/** What a checker expects at one cut: its likeliest tokens, best first, as text; none where its engine cannot say. */
export const nextTokenGuess = v.object({
  /** Number of the cut, from 0. */
  index: v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(65_535)),
  candidates: v.pipe(v.array(v.pipe(v.string(), v.maxLength(MAX_GUESS_LENGTH))), v.maxLength(GUESS_CANDIDATES)),
  nonce: bytes16,
});
export type NextTokenGuess = v.InferOutput<typeof nextTokenGuess>;

/** The digest that a checker sends before it is shown the chunk; bound to task, lease, checker and cut, so that it opens for nobody and nothing else. */
export async function guessLeaf(scope: CommitmentScope, guess: NextTokenGuess): Promise<string> {
  const bound = `shoal/next-token-leaf/v1\n${scope.task}\n${scope.lease}\n${scope.checker}\n${guess.index}\n`;
  const digest = await sha256(utf8(bound), fromBase64Url(guess.nonce), utf8(JSON.stringify(guess.candidates)));
  return toBase64Url(digest);
}

/** How often the answer went on as a checker had guessed. */
export interface GuessScore {
  readonly cuts: number;
  /** Cuts at which the first guess came true. */
  readonly first: number;
  /** Cuts at which one of the guesses came true. */
  readonly among: number;
}

/**
 * Opens the guesses of a checker against the leaves that it had sent, in the order of the cuts, and compares them with the answer. Throws `integrity_failed`
 * when a guess is missing or does not open its leaf: nothing is counted then.
 */
export async function scoreGuesses(
  scope: CommitmentScope,
  answer: string,
  leaves: readonly string[],
  guesses: readonly NextTokenGuess[],
): Promise<GuessScore> {
  const cuts = chunkCuts(answer);
  if (leaves.length !== cuts.length || guesses.length !== cuts.length) {
    throw refused(`The checker guessed at ${guesses.length} of ${cuts.length} cuts.`);
  }
  let first = 0;
  let among = 0;
  for (const [index, cut] of cuts.entries()) {
    const guess = guesses[index];
    if (guess?.index !== index || (await guessLeaf(scope, guess)) !== leaves[index]) {
      throw refused(`The guess at cut ${index} does not open its commitment.`);
    }
    const rank = rankOf(guess.candidates, answer.slice(cut));
    if (rank === 0) first++;
    if (rank !== null) among++;
  }
  return { cuts: cuts.length, first, among };
}

/** Spaces alone: what follows a cut begins with one anyway, so whoever guesses them foretells nothing. */
const SAYS_NOTHING = /^ *$/;

/** Place of the guess that came true, the longest where several begin alike; `null` when none did. */
export function rankOf(candidates: readonly string[], rest: string): number | null {
  let best: number | null = null;
  for (const [rank, text] of candidates.entries()) {
    if (SAYS_NOTHING.test(text) || !rest.startsWith(text)) continue;
    if (best === null || text.length > (candidates[best] ?? '').length) best = rank;
  }
  return best;
}

function refused(message: string): ShoalError {
  return new ShoalError('integrity_failed', message);
}
