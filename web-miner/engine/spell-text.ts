import { utf8 } from '../../shared/bytes.ts';

/** What of a tokenizer is needed to spell a text with it. */
export interface Speller {
  encode(text: string): Iterable<number>;
  /** Empty for a control token. */
  bytesOf(id: number): Uint8Array;
}

const LINE_BREAK = 0x0a;

/**
 * The tokens that stand for this text in the middle of another one; null where the tokenizer has none. Tokenizers in the manner of SentencePiece (Llama 2, Mistral, Gemma)
 * put a space before whatever they are given: a line break is given first, takes the space, and goes with it.
 */
export function spellText({ encode, bytesOf }: Speller, text: string): number[] | null {
  if (text === '') return [];
  const wanted = utf8(text);
  const ids = [...encode(text)];
  if (isSpelling(ids, wanted, bytesOf)) return ids;
  const behind = [...encode(`\n${text}`)];
  const breaks = behind.findIndex((id) => bytesOf(id).at(-1) === LINE_BREAK);
  const rest = behind.slice(breaks + 1);
  return breaks >= 0 && isSpelling(rest, wanted, bytesOf) ? rest : null;
}

function isSpelling(ids: readonly number[], wanted: Uint8Array, bytesOf: Speller['bytesOf']): boolean {
  let at = 0;
  for (const id of ids) {
    for (const byte of bytesOf(id)) if (byte !== wanted[at++]) return false;
  }
  return at === wanted.length;
}
