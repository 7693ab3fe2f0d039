import { decodeField, type MultipartError, make } from 'multipasta';
import { type Bytes, concatBytes, EMPTY, toBytes, utf8 } from '../../shared/bytes.ts';
import { withDeadline } from '../../shared/deadline.ts';
import { ShoalError } from '../../shared/errors.ts';
import { MAX_FILE_BYTES, PIECE_BYTES } from '../batches/batch-limits.ts';
import { tooLarge } from '../batches/file-desk.ts';
import { BODY_GAP_MS } from './read-body.ts';

export interface Upload {
  readonly filename: string;
  readonly fields: ReadonlyMap<string, string>;
}

/** Fields beside the file: a few short words. */
const MAX_PARTS = 16;
const MAX_FIELD_BYTES = 1024;

/** What such a body has beside its file, at most, bytes: the parts' headers too. */
const MAX_FRAME_BYTES = 2 * MAX_PARTS * MAX_FIELD_BYTES;

/**
 * A `multipart/form-data` body with one part `file`. Its content is handed on in pieces of `PIECE_BYTES`, the last one shorter, and the body is read no faster than they are
 * taken. Throws `unsupported_media_type`, `invalid_multipart`, `missing_field`, `file_too_large` or `body_too_slow`.
 */
export async function readUpload(
  request: Request,
  takePiece: (piece: Bytes, number: number) => Promise<void>,
): Promise<Upload> {
  const type = request.headers.get('content-type') ?? '';
  if (!/^multipart\/form-data\b/i.test(type)) {
    throw new ShoalError('unsupported_media_type', 'A file is uploaded as multipart/form-data.');
  }
  if (Number(request.headers.get('content-length') ?? 0) > MAX_FILE_BYTES + MAX_FRAME_BYTES) {
    throw tooLarge();
  }
  const fields = new Map<string, string>();
  const files: string[] = [];
  const fault: { error: MultipartError | null } = { error: null };
  let arrived: Uint8Array[] = [];
  const parser = make({
    headers: { 'content-type': type },
    maxParts: MAX_PARTS,
    maxPartSize: MAX_FILE_BYTES + MAX_FRAME_BYTES, // It counts headers too; whoever takes the pieces counts the file's own bytes.
    maxFieldSize: MAX_FIELD_BYTES,
    isFile: ({ name }) => name === 'file',
    onField: (info, value) => void fields.set(info.name, decodeField(info, value)),
    onFile: (info) => {
      files.push(info.filename ?? '');
      return (chunk) => {
        if (chunk !== null && files.length === 1) arrived.push(chunk);
      };
    },
    onError: (error) => {
      fault.error ??= error;
    },
    onDone: () => undefined,
  });

  const border = utf8(`--${/boundary="?([^";,]+)/i.exec(type)?.[1] ?? ''}`);
  let unparsed: Bytes = EMPTY;
  let held: Bytes = EMPTY;
  let number = 0;
  const hand = async (least: number) => {
    held = concatBytes(held, ...arrived);
    arrived = [];
    while (held.byteLength >= least && held.byteLength > 0) {
      await takePiece(toBytes(held.slice(0, PIECE_BYTES)), number++);
      held = held.subarray(PIECE_BYTES);
    }
  };
  if (request.body === null) throw new ShoalError('missing_field', 'The body is empty.', { param: 'file' });
  const reader = (request.body as ReadableStream<Uint8Array>).getReader();
  try {
    for (;;) {
      const read = await withDeadline(reader.read(), BODY_GAP_MS, null);
      if (read === null) throw new ShoalError('body_too_slow', 'The body stopped coming.');
      if (read.done) break;
      const { ready, rest } = cutOutsideBorders(concatBytes(unparsed, read.value), border);
      unparsed = rest;
      parser.write(ready);
      refuse(fault.error);
      await hand(PIECE_BYTES);
    }
    parser.write(unparsed);
    parser.end();
    refuse(fault.error);
    await hand(1);
  } catch (cause) {
    await reader.cancel().catch(() => undefined);
    throw cause;
  }
  const [filename] = files;
  if (filename === undefined) throw new ShoalError('missing_field', "The field 'file' is missing.", { param: 'file' });
  if (files.length > 1) throw new ShoalError('invalid_value', 'One upload is one file.', { param: 'file' });
  return { filename, fields };
}

/**
 * The parser takes a border for another when a chunk ends within it or the two bytes that follow (multipasta 0.2.8), so chunks are cut elsewhere: as far behind as a border
 * could reach, and before one that lies there.
 */
function cutOutsideBorders(bytes: Bytes, border: Bytes): { readonly ready: Bytes; readonly rest: Bytes } {
  const reach = border.byteLength + 2;
  const cut = Math.max(0, bytes.byteLength - reach);
  for (let at = Math.max(0, cut - reach); at < cut; at++) {
    if (border.every((byte, i) => bytes[at + i] === byte))
      return { ready: bytes.subarray(0, at), rest: bytes.slice(at) };
  }
  return { ready: bytes.subarray(0, cut), rest: bytes.slice(cut) };
}

function refuse(error: MultipartError | null): void {
  if (error === null) return;
  if (error._tag === 'ReachedLimit' && error.limit === 'MaxPartSize') throw tooLarge();
  throw new ShoalError('invalid_multipart', `The body is not multipart/form-data as it says: ${error._tag}.`);
}
