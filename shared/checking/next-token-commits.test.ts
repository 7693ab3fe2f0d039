import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ShoalError } from '../errors.ts';
import { GUESS_CHUNK_CHARACTERS } from '../limits.ts';
import { chunkCuts, guessLeaf, rankOf, scoreGuesses } from './next-token-commits.ts';

const scope = { task: 't', lease: 'l', checker: 'c' };
const nonce = 'BwcHBwcHBwcHBwcHBwcHBw';
const answer = 'The tab writes a long answer about the sea and its tabs, and then it stops.';

async function committed(candidates: readonly string[][]) {
  const guesses = candidates.map((each, index) => ({ index, candidates: each, nonce }));
  return { guesses, leaves: await Promise.all(guesses.map((guess) => guessLeaf(scope, guess))) };
}

describe('the cuts of an answer', () => {
  it('are at white space, far enough apart, and leave nothing out', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^[a-z \n]{0,400}$/), (text) => {
        const cuts = chunkCuts(text);
        const pieces = cuts.map((cut, i) => text.slice(cut, cuts[i + 1]));
        expect(pieces.join('')).toBe(text);
        for (const piece of pieces.slice(0, -1)) expect(piece.length).toBeGreaterThanOrEqual(GUESS_CHUNK_CHARACTERS);
        for (const cut of cuts.slice(1)) expect(text[cut]).toMatch(/\s/);
      }),
    );
  });

  it('are none for an empty answer and one for a short one', () => {
    expect(chunkCuts('')).toEqual([]);
    expect(chunkCuts('Rome.')).toEqual([0]);
    expect(chunkCuts(answer)).toEqual([0, 50]);
  });
});

describe('a blind guess', () => {
  it('keeps its form: what was committed by an earlier release must open', async () => {
    expect(await guessLeaf(scope, { index: 2, candidates: [' the', ' a'], nonce })).toBe(
      'CCPdYWE9ajEWo5b9IQMXtJXJcen8nCrJ8jIxhPnlwAQ',
    );
  });

  it('opens for nobody else, at no other cut, and with no other words', async () => {
    const guess = { index: 0, candidates: [' the', ' a'], nonce };
    const leaf = await guessLeaf(scope, guess);
    const others = [
      guessLeaf({ ...scope, task: 'u' }, guess),
      guessLeaf({ ...scope, lease: 'm' }, guess),
      guessLeaf({ ...scope, checker: 'd' }, guess),
      guessLeaf(scope, { ...guess, index: 1 }),
      guessLeaf(scope, { ...guess, nonce: 'CAgICAgICAgICAgICAgICA' }),
      guessLeaf(scope, { ...guess, candidates: [' a', ' the'] }),
      guessLeaf(scope, { ...guess, candidates: [' the'] }),
    ];
    expect(await Promise.all(others)).not.toContain(leaf);
  });

  it('comes true when the answer goes on with it, the longest one first', () => {
    expect(rankOf([' to', ' together'], ' together')).toBe(1);
    expect(rankOf([' and', ' to'], ' tomorrow')).toBe(1);
    expect(rankOf([' and', ''], ' together')).toBeNull();
  });

  it('is not made of the space that every cut begins with', () => {
    expect(rankOf([' ', '  ', ' and'], ' together')).toBeNull();
    expect(rankOf([' ', '\n'], '\nTogether')).toBe(1);
  });
});

describe('the guesses of a checker', () => {
  it('are counted where they came true', async () => {
    const { guesses, leaves } = await committed([
      ['The', 'A'],
      [' or', ' tabs'],
    ]);
    expect(await scoreGuesses(scope, answer, leaves, guesses)).toEqual({ cuts: 2, first: 1, among: 2 });
    const worse = await committed([['The'], [' x', ' its', ' i']]);
    expect(await scoreGuesses(scope, answer, worse.leaves, worse.guesses)).toEqual({ cuts: 2, first: 1, among: 1 });
  });

  it('are refused as a whole when one is missing, out of place, or was changed after the answer was shown', async () => {
    const { guesses, leaves } = await committed([['The'], [' or']]);
    const changed = [guesses[0]!, { ...guesses[1]!, candidates: [' its'] }];
    for (const [who, sent, opened] of [
      [scope, leaves, changed],
      [scope, leaves, guesses.toReversed()],
      [scope, leaves, guesses.slice(0, 1)],
      [scope, leaves.slice(0, 1), guesses],
      [{ ...scope, checker: 'copier' }, leaves, guesses],
    ] as const) {
      await expect(scoreGuesses(who, answer, sent, opened)).rejects.toSatisfy(
        (cause) => cause instanceof ShoalError && cause.code === 'integrity_failed',
      );
    }
  });
});
