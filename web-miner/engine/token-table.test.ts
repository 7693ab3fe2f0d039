import { describe, expect, it } from 'vitest';
import { fromUtf8 } from '../../shared/bytes.ts';
import { readTokenTable } from './token-table.ts';

const text = (bytes: Uint8Array<ArrayBuffer> | null) => (bytes === null ? null : fromUtf8(bytes));

describe('the table of tokens', () => {
  it('reads a vocabulary whose letters stand for bytes', () => {
    const file = {
      model: { vocab: { a: 0, Ġthe: 1, Ċ: 2, ðŁ: 3, 'æ°´': 4 } },
      added_tokens: [
        { id: 5, content: '<|end|>', special: true },
        { id: 7, content: '<tool>', special: false },
      ],
    };
    const table = readTokenTable(JSON.stringify(file), 'byte_level');
    expect(table.size).toBe(8);
    expect([0, 1, 2, 4, 5, 6, 7, 99].map((id) => text(table.bytesOf(id)))).toEqual([
      'a',
      ' the',
      '\n',
      '水',
      null,
      null,
      '<tool>',
      null,
    ]);
    expect(table.bytesOf(3)).toEqual(Uint8Array.of(0xf0, 0x9f));
    expect([1, 3, 4, 5, 7].map((id) => table.textOf(id))).toEqual([' the', null, '水', '', '<tool>']);
  });

  it('reads a vocabulary with spaces as bars and bytes by number', () => {
    const file = {
      model: {
        byte_fallback: true,
        vocab: [
          ['<unk>', 0],
          ['▁the', -1],
          ['<0x0A>', -2],
          ['<0xF0>', -2],
        ],
      },
      added_tokens: [{ id: 0, content: '<unk>', special: true }],
    };
    const table = readTokenTable(JSON.stringify(file), null);
    expect([0, 1, 2].map((id) => text(table.bytesOf(id)))).toEqual([null, ' the', '\n']);
    expect(table.bytesOf(3)).toEqual(Uint8Array.of(0xf0));
  });

  it.each(['no JSON', '{}', '{"model":{"vocab":3}}'])('refuses a file that is no tokenizer: %s', (json) => {
    expect(() => readTokenTable(json, null)).toThrow();
  });
});
