import { describe, expect, it } from 'vitest';
import { betterCut, claimedCandidate, type ForcedToken } from './next-token.ts';

const candidates = [' to', '', ' together', ' t', ' the'].map((text, i) => ({ text, logProbability: -1 - i }));

describe('the claimed candidate', () => {
  it('is the longest one that the text goes on with', () => {
    expect(claimedCandidate(candidates, ' together we swim')?.text).toBe(' together');
    expect(claimedCandidate(candidates, ' tomorrow')?.text).toBe(' to');
    expect(claimedCandidate(candidates, ' x')).toBeNull();
  });

  it('is the end where nothing follows, and never the end where something does', () => {
    expect(claimedCandidate(candidates, '')).toEqual({ text: '', logProbability: -2 });
    expect(claimedCandidate([{ text: '', logProbability: -1 }], 'x')).toBeNull();
    expect(claimedCandidate([{ text: 'x', logProbability: -1 }], '')).toBeNull();
  });
});

describe('a better cut', () => {
  const list = [
    { text: ' every', logProbability: -2.9 },
    { text: ' everybody', logProbability: -3 },
  ];
  const step = (text: string, logProbability: number, others: ForcedToken['candidates'] = []): ForcedToken => ({
    text,
    logProbability,
    candidates: others,
  });

  it('is the longer token where its pieces are less likely together', () => {
    const tokens = [step('So', -1), step(' every', -2.9, list), step('b', -4), step('ody', -3), step('', -1)];
    expect(betterCut(tokens, 0)).toEqual({ index: 1, token: { text: ' everybody', logProbability: -3 } });
    expect(betterCut(tokens, 2)).toBeNull();
  });

  it('is none where the pieces are what the model would write, or the text goes on otherwise', () => {
    expect(betterCut([step(' every', -2.9, list), step('body', -0.01), step('', -1)], 0)).toBeNull();
    expect(betterCut([step(' every', -2.9, list), step(' fish', -4), step('', -1)], 0)).toBeNull();
    expect(betterCut([step(' everybody', -3, list), step('', -1)], 0)).toBeNull();
  });
});
