import * as v from 'valibot';
import { type Bytes, fromUtf8 } from '../bytes.ts';
import { ShoalError } from '../errors.ts';

/**
 * The embedded sentence embedding: a table of word-piece vectors, summed and normalised. No network, no weights to download, the
 * same figures on every machine to the last bits of float32. File format and limits: `models/embedded/sentence-embedding/README.md`.
 * It knows neighbourhoods, not truth: order, negation and changed figures are invisible to it.
 */
const header = v.object({
  format: v.literal('shoal-embed'),
  version: v.literal(1),
  dims: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(4096)),
  rows: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(1_000_000)),
  vocab_offset: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  vocab_bytes: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  scale_offset: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
  data_offset: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
});

const MAGIC = 0x4d454853; // "SHEM", little endian.
const LONGEST_WORD = 100; // Characters; BERT's tokenizer skips longer ones, and so did the reference encoder.

export interface SentenceEmbedding {
  readonly dims: number;
  /** Rows of the table that a text uses, in order. */
  pieces(text: string): number[];
  /** Unit vector of `dims` numbers; the zero vector when the table knows none of the text's words. */
  embed(text: string): Float32Array<ArrayBuffer>;
}

/** Throws `integrity_failed` when the file is not a table of the format. */
export function readSentenceEmbedding(file: Bytes): SentenceEmbedding {
  const { dims, rowOf, scales, data } = readTable(file);

  function pieces(text: string): number[] {
    return basicTokens(text).flatMap((word) => wordPieces(word, rowOf));
  }

  return {
    dims,
    pieces,
    embed(text) {
      const sum = new Float32Array(dims);
      for (const row of pieces(text)) {
        const scale = scales[row] ?? 0;
        for (let i = 0; i < dims; i++) sum[i] = (sum[i] ?? 0) + Math.fround((data[row * dims + i] ?? 0) * scale);
      }
      const norm = Math.sqrt(sum.reduce((total, x) => total + x * x, 0));
      return norm === 0 ? sum : sum.map((x) => x / norm);
    },
  };
}

function readTable(file: Bytes) {
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.byteLength < 8 || view.getUint32(0, true) !== MAGIC) throw malformed();
  const parsed = v.safeParse(header, parseJson(file.subarray(8, 8 + view.getUint32(4, true))));
  if (!parsed.success) throw malformed();
  const { rows, dims, vocab_offset, vocab_bytes, scale_offset, data_offset } = parsed.output;
  if (data_offset + rows * dims > file.byteLength || scale_offset + rows * 2 > file.byteLength) throw malformed();
  const words = fromUtf8(file.subarray(vocab_offset, vocab_offset + vocab_bytes)).split('\n');
  if (words.length !== rows) throw malformed();
  const scales = Float32Array.from({ length: rows }, (_, row) => float16(view.getUint16(scale_offset + row * 2, true)));
  const data = new Int8Array(file.buffer, file.byteOffset + data_offset, rows * dims);
  return { dims, rowOf: new Map(words.map((word, row) => [word, row])), scales, data };
}

function parseJson(bytes: Bytes): unknown {
  try {
    return JSON.parse(fromUtf8(bytes));
  } catch {
    return null;
  }
}

function malformed(): ShoalError {
  return new ShoalError('integrity_failed', 'The sentence-embedding table is not of the expected format.');
}

/** IEEE 754 half precision to number. */
function float16(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const COMBINING_MARK = /\p{Mn}/gu;
const SEPARATOR = /[\s\p{C}]/u;
const PUNCTUATION = /[\p{P}$+<=>^`|~]/u; // ASCII symbols count as punctuation in BERT's basic tokenizer.

/** BERT's uncased basic tokenizer: lower case, accents dropped, split at white space and around punctuation. */
function basicTokens(text: string): string[] {
  const tokens: string[] = [];
  let word = '';
  const flush = () => {
    if (word !== '') tokens.push(word);
    word = '';
  };
  for (const character of text.toLowerCase().normalize('NFD').replace(COMBINING_MARK, '')) {
    if (SEPARATOR.test(character)) flush();
    else if (PUNCTUATION.test(character)) {
      flush();
      tokens.push(character);
    } else word += character;
  }
  flush();
  return tokens;
}

/** WordPiece: longest match first, later pieces with the prefix `##`; a word with an unknown character has no pieces. */
function wordPieces(word: string, rowOf: ReadonlyMap<string, number>): number[] {
  const characters = [...word];
  if (characters.length > LONGEST_WORD) return [];
  const found: number[] = [];
  let at = 0;
  while (at < characters.length) {
    let end = characters.length;
    let row: number | undefined;
    for (; end > at; end--) {
      const piece = characters.slice(at, end).join('');
      row = rowOf.get(at === 0 ? piece : `##${piece}`);
      if (row !== undefined) break;
    }
    if (row === undefined) return [];
    found.push(row);
    at = end;
  }
  return found;
}
