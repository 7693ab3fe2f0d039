import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { utf8 } from '../../shared/bytes.ts';
import { byteLength, cutDocument, halve, LEAST_PART_BYTES } from './cut-document.ts';

const STORY = 'A shoal swims. It has many fish! Does it know where? Nobody asks. The sea is wide.';

describe('a document', () => {
  it('is cut between sentences, each part with the end of the one before it', () => {
    expect(cutDocument(STORY, { partBytes: 52, overlapBytes: 18 })).toEqual([
      { start: 0, end: 33, overlap: '', text: 'A shoal swims. It has many fish! ' },
      { start: 33, end: 66, overlap: 'It has many fish! ', text: 'Does it know where? Nobody asks. ' },
      { start: 66, end: 82, overlap: 'Nobody asks. ', text: 'The sea is wide.' },
    ]);
  });

  it('with sentences that are longer than a part is cut between words', () => {
    const parts = cutDocument('one two three four five six seven', { partBytes: 16, overlapBytes: 0 });
    expect(parts.map(({ text }) => text)).toEqual(['one two three ', 'four five six ', 'seven']);
  });

  it('without spaces is cut between characters, none of them torn', () => {
    const parts = cutDocument('👩‍👩‍👧'.repeat(9), { partBytes: 40, overlapBytes: 0 });
    const two = '👩‍👩‍👧👩‍👩‍👧';
    expect(parts.map(({ text }) => text)).toEqual([two, two, two, two, '👩‍👩‍👧']);
  });

  it('of nothing has no parts', () => {
    expect(cutDocument('', { partBytes: 100, overlapBytes: 10 })).toEqual([]);
  });

  const text = fc.oneof(
    fc.string({ unit: 'grapheme', maxLength: 400 }),
    fc
      .array(fc.constantFrom('A shoal swims. ', 'word ', '水が流れる。', '\n\n', '🐟', 'x'.repeat(50), '…? ', 'ä̈̈̈'), {
        maxLength: 80,
      })
      .map((all) => all.join('')),
  );

  it('whatever it holds, is whole in its parts, in order, each within its size', () => {
    fc.assert(
      fc.property(
        text,
        fc.integer({ min: LEAST_PART_BYTES, max: 200 }),
        fc.double({ min: 0, max: 0.49, noNaN: true }),
        (document, partBytes, share) => {
          const overlapBytes = Math.floor(partBytes * share);
          const parts = cutDocument(document, { partBytes, overlapBytes });
          expect(parts.map((part) => part.text).join('')).toBe(document);
          let at = 0;
          for (const part of parts) {
            expect([part.start, part.text]).toEqual([at, document.slice(at, part.end)]);
            expect(document.slice(0, at).endsWith(part.overlap)).toBe(true);
            expect(byteLength(part.overlap)).toBeLessThanOrEqual(overlapBytes);
            expect(byteLength(part.text)).toBe(utf8(part.text).byteLength);
            expect(byteLength(part.overlap + part.text)).toBeLessThanOrEqual(partBytes);
            at = part.end;
          }
        },
      ),
    );
  });

  it('is halved until a tab can read it, and no further than to its characters', () => {
    fc.assert(
      fc.property(text, (document) => {
        const leaves: string[] = [];
        const walk = (part: ReturnType<typeof cutDocument>[number], depth: number): void => {
          expect(depth).toBeLessThan(40);
          const halves = byteLength(part.text) > LEAST_PART_BYTES ? halve(part) : null;
          if (halves === null) leaves.push(part.text);
          else for (const half of halves) walk(half, depth + 1);
        };
        walk({ start: 0, end: document.length, overlap: '', text: document }, 0);
        expect(leaves.join('')).toBe(document);
      }),
    );
  });
});
