import { utf8 } from '../../shared/bytes.ts';
import { MAX_ANSWER_BYTES } from '../../shared/limits.ts';
import { lineLength } from '../../shared/protocol/vector-lines.ts';

/** Texts that one tab is given at once: a second or two of work, so that the loss of a tab costs little and receipts are few. */
export const MAX_TEXTS_A_PART = 16;

/** Bytes of the texts of one part, unless one alone is longer: about 2,000 tokens, which a slow phone reads in a minute. */
export const MAX_BYTES_A_PART = 8 * 1024;

/** Consecutive texts of a request. */
export interface TextsPart {
  /** Place of the first in the request. */
  readonly from: number;
  readonly texts: readonly string[];
}

/** Cuts the texts of a request, in order: as many parts as `tabs` that are free, or more, so that none stands idle. No text is ever cut. */
export function cutTexts(texts: readonly string[], dimensions: number, tabs: number): TextsPart[] {
  const most = Math.min(
    MAX_TEXTS_A_PART,
    Math.max(1, Math.floor(MAX_ANSWER_BYTES / (lineLength(dimensions) + 1))),
    Math.max(1, Math.ceil(texts.length / Math.max(1, tabs))),
  );
  const parts: { readonly from: number; readonly texts: string[] }[] = [];
  let bytes = 0;
  for (const [at, text] of texts.entries()) {
    const last = parts.at(-1);
    const size = utf8(text).byteLength;
    if (last === undefined || last.texts.length >= most || bytes + size > MAX_BYTES_A_PART) {
      parts.push({ from: at, texts: [text] });
      bytes = size;
    } else {
      last.texts.push(text);
      bytes += size;
    }
  }
  return parts;
}
