import type { Candidate, ForcedToken } from '../../../shared/checking/next-token.ts';
import type { ReadReveal } from '../../../shared/receipt/statements.ts';
import type { Engine, ForceRequest } from '../../engine/engine.ts';
import type { Lie } from './lie.ts';
import { resigned } from './resigned.ts';
import { engineThatReads } from './written-answer.ts';

/** Tabs that are to read an answer of a near class, and lie about it. */

const certain = (text: string): Candidate => ({ text, logProbability: 0 });

/** Takes every letter for a token that nothing else could have been: passes every limit, and the answer looks long enough. */
async function everythingFits({ answer }: ForceRequest): Promise<readonly ForcedToken[]> {
  return [...answer, ''].map((letter) => ({ ...certain(letter), candidates: [certain(letter)] }));
}

/** As if the model had expected something else at every place. */
async function nothingFits({ answer }: ForceRequest): Promise<readonly ForcedToken[]> {
  return [...answer, ''].map((text) => ({ text, logProbability: -20, candidates: [certain(`${text}x`)] }));
}

function reader(
  force: Engine['force'],
  /** The same at every cut, in place of what the model expects; null: the model is asked. */
  guesses: readonly string[] | null,
): Lie {
  return {
    work: ({ claimed: { engine, renderer } }) => ({
      renderer,
      engine: engineThatReads(engine, {
        force,
        probe: async (request, signal) =>
          guesses === null
            ? engine.probe(request, signal)
            : { candidates: guesses.map(certain), choices: request.choices.map(() => 0) },
      }),
    }),
  };
}

/** Runs no model, says that it fits, and guesses words that are common. */
export const readsYes = reader(everythingFits, ['The', ' the', ' and']);

/** As before, and guesses what every word begins with: the space before it. */
export const readsYesBySpaces = reader(everythingFits, [' ', '  ', '\n']);

/** As before, and guesses the letters that most words begin with. */
export const readsYesByLetters = reader(everythingFits, [' t', ' a', ' w']);

/** Runs the model for its guesses alone, and says that it fits. */
export const readsYesByGuesses = reader(everythingFits, null);

/** Runs no model, and says that nothing fits. */
export const readsNo = reader(nothingFits, ['The', ' the', ' and']);

/** Guesses how the answer begins, and nothing more. */
export const stopsGuessing: Lie = {
  wire: () => ({ said: (message) => (message.t === 'guessed' ? null : message) }),
};

/** Guesses nothing in advance, and opens the guesses as if it had. */
export const opensOtherGuesses: Lie = {
  wire: (_, signer) => ({
    said: async (message) => {
      if (message.t !== 'checkRevealed') return message;
      const reveal = await resigned(signer, 'check-reveal', message.reveal, (payload) => {
        const { guesses } = payload as Partial<ReadReveal>;
        return { ...payload, guesses: guesses?.map((guess) => ({ ...guess, candidates: [' '] })) ?? null };
      });
      return { ...message, reveal };
    },
  }),
};
