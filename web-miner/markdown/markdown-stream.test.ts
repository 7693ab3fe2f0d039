import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MarkdownStream } from './markdown-stream.ts';
import { finishedLength } from './open-block.ts';

/** Pushes a text piece by piece; gives what would be on the page, as source. */
function stream(pieces: readonly string[]) {
  let work = 0;
  const markdown = new MarkdownStream((source) => {
    work += source.length;
    return finishedLength(source);
  });
  let finished = '';
  let open = '';
  let rest = '';
  const shown: string[] = [];
  for (const [at, piece] of pieces.entries()) {
    const change = markdown.push(piece, at === pieces.length - 1);
    finished += change.finished;
    open = change.open ?? open;
    rest = change.rest;
    work += change.finished.length + (change.open?.length ?? 0);
    shown.push(finished + open + rest);
  }
  return { shown, finished, work };
}

const DOCUMENT = [
  '# A title',
  'A paragraph with **bold** and `code`.\nIt goes on.',
  '- one\n- two\n  - nested\n- three',
  '```js\nconst a = 1;\n\nconst b = 2;\n```',
  '| a | b |\n| - | - |\n| 1 | 2 |',
  '> quoted',
  '1. first\n2. second',
].join('\n\n');

describe('an answer that is being written', () => {
  it('shows all that came, at every moment, however it was cut', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 80 }), (sizes) => {
        const pieces: string[] = [];
        let at = 0;
        for (let i = 0; at < DOCUMENT.length; i++) {
          const size = sizes[i % sizes.length]!;
          pieces.push(DOCUMENT.slice(at, at + size));
          at += size;
        }
        const { shown, finished } = stream(pieces);
        expect(shown).toEqual(pieces.map((_, i) => pieces.slice(0, i + 1).join('')));
        expect(finished).toBe(DOCUMENT);
      }),
      { numRuns: 40 },
    );
  });

  it('leaves a list open as long as it may go on, and a paragraph that may become a heading', () => {
    expect(finishedLength('- one\n- two\n')).toBe(0);
    expect(finishedLength('A title\n')).toBe(0);
    expect(finishedLength('one\n\ntwo')).toBe('one\n\n'.length);
    expect(finishedLength('```\nopen\n\nstill open')).toBe(0);
  });

  it.each([
    ['many short paragraphs', (n: number) => 'A sentence of some words.\n\n'.repeat(n / 27)],
    ['one block of code', (n: number) => `\`\`\`\n${'a line of code();\n'.repeat(n / 18)}`],
    ['one paragraph', (n: number) => 'word '.repeat(n / 5)],
    ['one list', (n: number) => '- an item\n'.repeat(n / 10)],
  ])('costs in proportion to its length, not to its square: %s', (_, make) => {
    const text = make(60_000);
    const pieces = text.match(/[\s\S]{1,6}/g) ?? [];
    // Short blocks are rendered with every piece (at most 1,024 characters each), long ones a dozen times over as they grow.
    const short = (2 * 1_024 * 1_024) / 6;
    expect(stream(pieces).work).toBeLessThan(Math.max(30 * text.length, short + 20 * text.length));
  });
});
