import { describe, expect, it } from 'vitest';
import { claimedCandidate } from './next-token.ts';

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
