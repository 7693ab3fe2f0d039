import { describe, expect, it } from 'vitest';
import { utf8 } from '../../shared/bytes.ts';
import { spellText } from './spell-text.ts';

/** Cuts at the longest piece it has, as a tokenizer does that has learnt these. */
function speller(pieces: readonly string[], before = '') {
  const encode = (text: string) => {
    const ids: number[] = [];
    for (let rest = before + text; rest !== ''; ) {
      const fitting = pieces.filter((piece) => rest.startsWith(piece)).toSorted((a, b) => b.length - a.length)[0] ?? '';
      if (fitting === '') throw new Error(`no piece for ${JSON.stringify(rest)}`);
      ids.push(pieces.indexOf(fitting));
      rest = rest.slice(fitting.length);
    }
    return ids;
  };
  return { encode, bytesOf: (id: number) => utf8(pieces[id] ?? '') };
}

describe('the tokens of a text in the middle of another one', () => {
  const PIECES = [' ', '\n', 'Hello', ' Hello', ' world'];

  it('are those that the tokenizer gives, where they spell it', () => {
    expect(spellText(speller(PIECES), 'Hello world')).toEqual([2, 4]);
  });

  it('have no space that the tokenizer puts before whatever it is given', () => {
    expect(speller(PIECES, ' ').encode('Hello world')).toEqual([3, 4]);
    expect(spellText(speller(PIECES, ' '), 'Hello world')).toEqual([2, 4]);
    expect(spellText(speller(PIECES, ' '), ' Hello')).toEqual([3]);
    expect(spellText(speller(PIECES, ' '), '\nHello')).toEqual([1, 2]);
  });

  it('are none for no text, and not there for a text that the tokenizer changes', () => {
    expect(spellText(speller(PIECES, ' '), '')).toEqual([]);
    const lower = { ...speller(PIECES), encode: () => [4] };
    expect(spellText(lower, 'Hello')).toBe(null);
  });
});
