import { type Bytes, concatBytes, fromUtf8 } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';

/** The body, at most `limit` bytes. Throws `body_too_large` as soon as that is clear, not after reading it all. */
export async function readBytes(request: Request, limit: number): Promise<Bytes> {
  const tooLarge = () => new ShoalError('body_too_large', `The body is longer than ${limit} bytes.`);
  if (Number(request.headers.get('content-length') ?? 0) > limit) throw tooLarge();
  const chunks: Uint8Array[] = [];
  let total = 0;
  if (request.body !== null) {
    for await (const chunk of request.body as ReadableStream<Uint8Array>) {
      total += chunk.byteLength;
      if (total > limit) throw tooLarge();
      chunks.push(chunk);
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
