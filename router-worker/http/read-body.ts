import { type Bytes, concatBytes, fromUtf8 } from '../../shared/bytes.ts';
import { withDeadline } from '../../shared/deadline.ts';
import { ShoalError } from '../../shared/errors.ts';

/** Longest silence while a body comes in, ms. */
export const BODY_GAP_MS = 20_000;

/** The body, at most `limit` bytes. Throws `body_too_large` as soon as that is clear, not after reading it all, or `body_too_slow`. */
export async function readBytes(request: Request, limit: number): Promise<Bytes> {
  const tooLarge = () => new ShoalError('body_too_large', `The body is longer than ${limit} bytes.`);
  if (Number(request.headers.get('content-length') ?? 0) > limit) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let total = 0;
  if (request.body !== null) {
    const reader = (request.body as ReadableStream<Uint8Array>).getReader();
    for (;;) {
      const read = await withDeadline(reader.read(), BODY_GAP_MS, null);
      if (read === null) throw new ShoalError('body_too_slow', 'The body stopped coming.');
      if (read.done) break;
      total += read.value.byteLength;
      if (total > limit) throw tooLarge();
      chunks.push(read.value);
    }
  }
  return concatBytes(...chunks);
}

/** The body as JSON. Throws `unsupported_media_type`, `body_too_large` or `invalid_json`. */
export async function readJson(request: Request, limit: number): Promise<unknown> {
  const type = request.headers.get('content-type') ?? '';
  if (!/^application\/(?:[\w.+-]+\+)?json\b/i.test(type)) {
    throw new ShoalError('unsupported_media_type', `The content type '${type.slice(0, 100)}' is not JSON.`);
  }
  const bytes = await readBytes(request, limit);
  try {
    return JSON.parse(fromUtf8(bytes));
  } catch (cause) {
    throw new ShoalError('invalid_json', 'The body is not valid JSON in UTF-8.', { cause });
  }
}
