import * as v from 'valibot';
import { type Bytes, fromUtf8, utf8 } from '../../shared/bytes.ts';

/** Bytes of every token of a vocabulary, read from a Hugging Face `tokenizer.json`. */
export interface TokenTable {
  readonly size: number;
  /** `null` for a control token, which is no text, and for an id without a token. */
  bytesOf(id: number): Bytes | null;
  /** `null` for a token that is a part of a character; the empty text for a control token. */
  textOf(id: number): string | null;
}

/** `byte_level`: GPT-2's letters stand for bytes. `byte_fallback`: `▁` is a space, `<0x0A>` a byte. As MLC's `tokenizer_info` names them. */
export type TokenSpelling = 'byte_level' | 'byte_fallback';

const tokenizerFile = v.object({
  model: v.object({
    vocab: v.union([v.record(v.string(), v.number()), v.array(v.tuple([v.string(), v.number()]))]),
    byte_fallback: v.optional(v.nullable(v.boolean())),
  }),
  added_tokens: v.optional(v.array(v.object({ id: v.number(), content: v.string(), special: v.boolean() })), []),
});

/** Throws `ValiError` or `SyntaxError` for a file that is no tokenizer. */
export function readTokenTable(json: string, spelling: TokenSpelling | null): TokenTable {
  const { model, added_tokens } = v.parse(tokenizerFile, JSON.parse(json));
  const pieces: string[] = [];
  if (Array.isArray(model.vocab)) for (const [id, [piece]] of model.vocab.entries()) pieces[id] = piece;
  else for (const [piece, id] of Object.entries(model.vocab)) pieces[id] = piece;
  const spelled = spelling ?? (model.byte_fallback === true ? 'byte_fallback' : 'byte_level');
  const added = new Map(added_tokens.map((token) => [token.id, token]));
  const size = Math.max(pieces.length, ...added_tokens.map(({ id }) => id + 1));
  const letters = spelled === 'byte_level' ? lettersOfBytes() : null;
  const bytesOf = (id: number) => {
    const special = added.get(id);
    if (special !== undefined) return special.special ? null : utf8(special.content);
    const piece = pieces[id];
    if (piece === undefined) return null;
    return letters === null ? fallenBack(piece) : fromLetters(piece, letters);
  };
  return { size, bytesOf, textOf: (id) => wholeText(bytesOf(id) ?? new Uint8Array()) };
}

function wholeText(bytes: Uint8Array): string | null {
  try {
    return fromUtf8(bytes);
  } catch {
    return null;
  }
}

function fromLetters(piece: string, letters: ReadonlyMap<string, number>): Bytes {
  const bytes: number[] = [];
  for (const letter of piece) {
    const byte = letters.get(letter);
    if (byte === undefined) return utf8(piece); // No spelling at all: a token that was added as it stands.
    bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}

function fallenBack(piece: string): Bytes {
  const byte = /^<0x([0-9A-Fa-f]{2})>$/.exec(piece)?.[1];
  return byte === undefined ? utf8(piece.replaceAll('▁', ' ')) : Uint8Array.of(Number.parseInt(byte, 16));
}

/** GPT-2's table (`bytes_to_unicode` of its encoder): visible Latin-1 characters stand for themselves, the other bytes for those from U+0100 on. */
function lettersOfBytes(): Map<string, number> {
  const letters = new Map<string, number>();
  let others = 0;
  for (let byte = 0; byte < 256; byte++) {
    const isVisible = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    letters.set(String.fromCodePoint(isVisible ? byte : 0x100 + others++), byte);
  }
  return letters;
}
