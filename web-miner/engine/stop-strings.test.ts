import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StopStrings } from './stop-strings.ts';

function feed(
  pieces: readonly string[],
  stops: readonly string[],
): { readonly text: string; readonly stopped: boolean } {
  const finder = new StopStrings(stops);
  let text = '';
  for (const piece of pieces) {
    const next = finder.push(piece);
    text += next.text;
    if (next.stopped) return { text, stopped: true };
  }
  return { text: text + finder.rest(), stopped: false };
}

describe('stop strings', () => {
  it('end the text before the first of them, however it is cut', () => {
    const letters = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 6 });
    fc.assert(
      fc.property(fc.array(letters), fc.array(letters, { maxLength: 3 }), (pieces, stops) => {
        const all = pieces.join('');
        const { text, stopped } = feed(pieces, stops);
        const real = stops.filter((stop) => stop !== '');
        // The first stop string that is complete ends the text: one that begins earlier and ends later in another piece does not count.
        expect(all.startsWith(text)).toBe(true);
        expect(stopped).toBe(real.some((stop) => all.includes(stop)));
        if (!stopped) expect(text).toBe(all);
        else expect(real.some((stop) => all.startsWith(stop, text.length))).toBe(true);
        for (const stop of real) expect(text.includes(stop)).toBe(false);
      }),
    );
  });

  it('hold back only what may become one', () => {
    const finder = new StopStrings(['END']);
    expect(finder.push('an E')).toEqual({ text: 'an ', stopped: false });
    expect(finder.push('lk, EN')).toEqual({ text: 'Elk, ', stopped: false });
    expect(finder.push('D and more')).toEqual({ text: '', stopped: true });
  });

  it('give back what was held when the answer ends otherwise', () => {
    const finder = new StopStrings(['END']);
    finder.push('EN');
    expect(finder.rest()).toBe('EN');
  });
});
