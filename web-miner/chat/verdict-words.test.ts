import { describe, expect, it } from 'vitest';
import type { Verdict } from '../../shared/checking/verdict.ts';
import { verdictWords, verifiedLength } from './verdict-words.ts';

const exact = (value: 'valid' | 'invalid' | 'disputed', falseBlock: number | null): Verdict => ({
  value,
  method: 'exact-re-execution',
  blocks: 3,
  falseBlock,
  agree: 1,
  differ: 1,
  cosine: null,
});

describe('a verdict in words', () => {
  it('calls likely what was read, and verified what was written again', () => {
    expect(verdictWords(exact('valid', null), 1)).toEqual({
      tone: 'valid',
      text: 'Checked: another tab wrote the same, to the byte',
    });
    const read = { ...exact('valid', null), method: 'forced-decode' } as Verdict;
    expect(verdictWords(read, null)).toMatchObject({
      text: expect.stringMatching(/^Likely: .* no proof$/),
    });
  });

  it('speaks of a line only where one is drawn: an answer that is wrong from its beginning has none', () => {
    expect(verdictWords(exact('invalid', 2), null).text).toMatch(/^Wrong: from the marked line on, this is not /);
    expect(verdictWords(exact('invalid', 0), null).text).toMatch(/^Wrong: this is not /);
    expect(verdictWords(exact('disputed', 0), null).text).toMatch(/^In dispute: another tab /);
  });

  it('says why nobody checked', () => {
    expect(verdictWords({ value: 'unchecked', reason: 'nobody_fit' }, null)).toEqual({
      tone: 'unchecked',
      text: 'Not checked: no other tab of the same kind was there',
    });
  });
});

describe('how far an answer is verified', () => {
  it('is all of it where another tab wrote the same, and nothing where nobody did', () => {
    expect(verifiedLength({ answer: 'abc', verdict: exact('valid', null) })).toBe(3);
    expect(verifiedLength({ answer: 'abc', verdict: null })).toBeNull();
    expect(verifiedLength({ answer: 'abc', verdict: { value: 'unchecked', reason: 'nobody_fit' } })).toBeNull();
    expect(
      verifiedLength({ answer: 'abc', verdict: { ...exact('valid', null), method: 'forced-decode' } as Verdict }),
    ).toBeNull();
  });

  it('is up to the first false block of 64 bytes, and no half of a character', () => {
    const answer = `${'a'.repeat(63)}é${'b'.repeat(100)}`;
    expect(verifiedLength({ answer, verdict: exact('invalid', 1) })).toBe(63);
    expect(verifiedLength({ answer: 'a'.repeat(200), verdict: exact('disputed', 2) })).toBe(128);
    expect(verifiedLength({ answer: 'a'.repeat(200), verdict: exact('invalid', 0) })).toBe(0);
  });
});
