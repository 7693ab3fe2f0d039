import { decodeField, type MultipartError, make } from 'multipasta';
import { type Bytes, concatBytes, EMPTY, toBytes } from '../../shared/bytes.ts';
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
  if (Number(request.headers.get('content-length') ?? 0) > MAX_FILE_BYTES + MAX_PARTS * 2 * MAX_FIELD_BYTES) {
    throw tooLarge();
  }
  const fields = new Map<string, string>();
  const files: string[] = [];
  const fault: { error: MultipartError | null } = { error: null };
  let arrived: Uint8Array[] = [];
  const parser = make({
    headers: { 'content-type': type },
    maxParts: MAX_PARTS,
    maxPartSize: MAX_FILE_BYTES,
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
      parser.write(read.value);
      refuse(fault.error);
      await hand(PIECE_BYTES);
    }
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

function refuse(error: MultipartError | null): void {
  if (error === null) return;
  if (error._tag === 'ReachedLimit' && error.limit === 'MaxPartSize') throw tooLarge();
  throw new ShoalError('invalid_multipart', `The body is not multipart/form-data as it says: ${error._tag}.`);
}
