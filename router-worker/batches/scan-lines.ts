import { type Bytes, concatBytes, EMPTY } from '../../shared/bytes.ts';

/** Where a line lies in its file. */
export interface ScannedLine {
  /** Counted from 1; empty lines count. */
  readonly number: number;
  /** Of its first byte in the file. */
  readonly offset: number;
  /** Without its line break, bytes. */
  readonly length: number;
  /** The line, or null when it is longer than allowed. */
  readonly bytes: Bytes | null;
}

/** Where to go on: a scan can be broken off between any two lines. */
export interface ScanCursor {
  readonly offset: number;
  /** Number of the line that begins there. */
  readonly line: number;
}

const NEWLINE = 0x0a;

/**
 * Cuts pieces of a file into lines, holding at most one line of `longest` bytes and a piece. A line of nothing, with or without a carriage return, is counted
 * and not yielded.
 */
export function* scanLines(
  pieces: Iterable<Bytes>,
  from: ScanCursor,
  longest: number,
): Generator<ScannedLine, void, undefined> {
  let { offset, line } = from;
  let held: Bytes = EMPTY;
  let length = 0;
  const take = (part: Bytes) => {
    length += part.byteLength;
    held = length > longest ? EMPTY : concatBytes(held, part);
  };
  function* ended(breakBytes: number): Generator<ScannedLine, void, undefined> {
    const isEmpty = length === 0 || (length === 1 && held[0] === 0x0d);
    if (!isEmpty) yield { number: line, offset, length, bytes: length > longest ? null : held };
    offset += length + breakBytes;
    line++;
    held = EMPTY;
    length = 0;
  }
  for (const piece of pieces) {
    let start = 0;
    for (let at = piece.indexOf(NEWLINE); at >= 0; at = piece.indexOf(NEWLINE, start)) {
      if (at === start && length === 0) {
        offset++; // A file of nothing but line breaks must cost little.
        line++;
      } else {
        take(piece.subarray(start, at));
        yield* ended(1);
      }
      start = at + 1;
    }
    if (start < piece.byteLength) take(piece.subarray(start));
  }
  if (length > 0) yield* ended(0);
}
