import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Bytes, concatBytes, utf8 } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import { PIECE_BYTES } from '../batches/batch-limits.ts';
import { readUpload, type Upload } from './read-upload.ts';

const BOUNDARY = '--b-b';

function part(name: string, content: Uint8Array | string, filename: string | null = null): Bytes {
  const named = filename === null ? '' : `; filename="${filename}"`;
  const head = `--${BOUNDARY}\r\ncontent-disposition: form-data; name="${name}"${named}\r\n\r\n`;
  return concatBytes(utf8(head), typeof content === 'string' ? utf8(content) : content, utf8('\r\n'));
}

const END = utf8(`--${BOUNDARY}--\r\n`);

/** The upload of a body that comes in chunks of these sizes, again and again. */
async function read(
  body: Uint8Array,
  sizes: readonly number[],
): Promise<Upload & { readonly content: Bytes; readonly pieces: number[] }> {
  let at = 0;
  let turn = 0;
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      const size = sizes[turn++ % sizes.length] ?? 1;
      controller.enqueue(body.slice(at, at + size));
      at += size;
      if (at >= body.byteLength) controller.close();
    },
  });
  const init = { method: 'POST', body: stream, duplex: 'half' } as RequestInit;
  const headers = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` };
  const pieces: Bytes[] = [];
  const upload = await readUpload(new Request('https://shoal.test', { ...init, headers }), async (piece, number) => {
    expect(number).toBe(pieces.length);
    pieces.push(piece);
  });
  return { ...upload, content: concatBytes(...pieces), pieces: pieces.map(({ byteLength }) => byteLength) };
}

describe('an upload', () => {
  it('comes through byte by byte, whatever its chunks, and though it is full of what looks like borders', async () => {
    const bytes = fc
      .array(fc.constantFrom(...utf8('\r\n--bx')), { maxLength: 60 })
      .map((codes) => new Uint8Array(codes));
    const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 });
    const isBorder = (content: Uint8Array) => `\r\n${new TextDecoder().decode(content)}`.includes(`\r\n--${BOUNDARY}`);
    await fc.assert(
      fc.asyncProperty(
        bytes.filter((content) => !isBorder(content)),
        sizes,
        fc.boolean(),
        async (content, chunks, first) => {
          const parts = [part('file', content, 'a.jsonl'), part('purpose', 'batch')];
          const upload = await read(concatBytes(...(first ? parts : parts.reverse()), END), chunks);
          expect(upload.content).toEqual(content);
          expect([upload.filename, [...upload.fields]]).toEqual(['a.jsonl', [['purpose', 'batch']]]);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('is handed on in whole pieces', async () => {
    const content = new Uint8Array(2 * PIECE_BYTES + 3).fill(7);
    const upload = await read(concatBytes(part('file', content, 'a'), END), [65_536]);
    expect(upload.pieces).toEqual([PIECE_BYTES, PIECE_BYTES, 3]);
  });

  it.each([
    ['is cut off', concatBytes(part('file', 'x', 'a')), 'invalid_multipart'],
    ['has two files', concatBytes(part('file', 'x', 'a'), part('file', 'y', 'b'), END), 'invalid_value'],
    ['has none', concatBytes(part('purpose', 'batch'), END), 'missing_field'],
    ['has a field like a book', concatBytes(part('purpose', 'x'.repeat(2_000)), END), 'invalid_multipart'],
    [
      'has too many parts',
      concatBytes(...Array.from({ length: 20 }, (_, i) => part(`${i}`, '')), END),
      'invalid_multipart',
    ],
  ])('that %s is refused', async (_, body, code) => {
    const refused = await read(body, [64]).catch((cause: unknown) => cause);
    expect(refused instanceof ShoalError ? refused.code : refused).toBe(code);
  });
});
