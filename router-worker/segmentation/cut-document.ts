/** A stretch of a document. Offsets count UTF-16 units; the stretches of a cut follow each other without a gap. */
export interface DocumentPart {
  readonly start: number;
  readonly end: number;
  /** What stands before `start` and is shown with the part, so that no sentence is read without the one before it. */
  readonly overlap: string;
  readonly text: string;
}

export interface CutSizes {
  /** Most bytes of a part with its overlap, UTF-8. */
  readonly partBytes: number;
  /** Most bytes of the overlap; less than half of `partBytes`. */
  readonly overlapBytes: number;
}

/** Smallest part, bytes: it must hold a character, and an overlap of less than half of it. */
export const LEAST_PART_BYTES = 16;

const sentences = new Intl.Segmenter('en', { granularity: 'sentence' });
const words = new Intl.Segmenter('en', { granularity: 'word' });
const characters = new Intl.Segmenter('en', { granularity: 'grapheme' });

/** UTF-8 bytes of a text, without making them. */
export function byteLength(text: string): number {
  let bytes = 0;
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    bytes += code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
  }
  return bytes;
}

/**
 * Cuts on the borders of sentences (Unicode's, UAX #29). A sentence that is longer than a part is cut between words, and a word that is between characters.
 */
export function cutDocument(text: string, { partBytes, overlapBytes }: CutSizes): DocumentPart[] {
  const room = partBytes - overlapBytes;
  const parts: DocumentPart[] = [];
  let start = 0;
  let end = 0;
  let bytes = 0;
  const close = () => {
    if (end === start) return;
    const from = Math.max(0, start - 2 * overlapBytes); // Enough to see where its sentences begin.
    parts.push({
      start,
      end,
      overlap: tailWithin(text.slice(from, start), overlapBytes, from > 0),
      text: text.slice(start, end),
    });
    start = end;
    bytes = 0;
  };
  for (const piece of piecesWithin(text, room)) {
    const size = byteLength(piece);
    if (bytes + size > room) close();
    end += piece.length;
    bytes += size;
  }
  close();
  return parts;
}

/** A part that is too long for a tab, in two of about the same size; null when there is nothing left to cut. The overlap stays with the first. */
export function halve(part: DocumentPart): readonly [DocumentPart, DocumentPart] | null {
  const size = byteLength(part.text);
  const middle = Math.ceil(size / 2);
  let at = 0;
  let bytes = 0;
  for (const piece of piecesWithin(part.text, Math.max(middle, LEAST_PART_BYTES))) {
    if (at > 0 && bytes + byteLength(piece) > middle) break;
    at += piece.length;
    bytes += byteLength(piece);
  }
  if (at === 0 || at >= part.text.length) return null;
  const first = { ...part, end: part.start + at, text: part.text.slice(0, at) };
  const overlap = tailWithin(first.text, byteLength(part.overlap), false);
  return [first, { start: first.end, end: part.end, overlap, text: part.text.slice(at) }];
}

/** Sentences, or words of those that are longer than `room` bytes, or characters of words that are. */
function* piecesWithin(text: string, room: number): Generator<string, void, undefined> {
  for (const { segment } of sentences.segment(text)) {
    if (segment.length * 3 <= room || byteLength(segment) <= room) yield segment;
    else yield* smallerPieces(segment, room);
  }
}

function* smallerPieces(sentence: string, room: number): Generator<string, void, undefined> {
  for (const { segment: word } of words.segment(sentence)) {
    if (byteLength(word) <= room) yield word;
    else {
      for (const { segment: character } of characters.segment(word)) {
        // A letter may carry any number of accents.
        if (byteLength(character) <= room) yield character;
        else yield* character;
      }
    }
  }
}

/** The end of a text, in whole sentences if one fits, else in whole words. `isCut`: the text begins in the middle of something. */
function tailWithin(text: string, mostBytes: number, isCut: boolean): string {
  if (mostBytes <= 0 || text === '') return '';
  for (const segmenter of [sentences, words]) {
    const starts = [...segmenter.segment(text)].map(({ index }) => index);
    const fits = (isCut ? starts.slice(1) : starts).find((start) => byteLength(text.slice(start)) <= mostBytes);
    if (fits !== undefined && text.slice(fits).trim() !== '') return text.slice(fits);
  }
  return '';
}
