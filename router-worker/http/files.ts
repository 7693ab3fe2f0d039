import type { Hono } from 'hono';
import * as v from 'valibot';
import { ShoalError } from '../../shared/errors.ts';
import { shownText } from '../../shared/protocol/fields.ts';
import { batchStub } from '../batches/batch-address.ts';
import { FILE_KEPT_MS, MAX_FILENAME_LENGTH, MAX_FILES, MIN_FILE_KEPT_MS } from '../batches/batch-limits.ts';
import { unwrap } from '../pool/session-calls.ts';
import { admit } from './admission.ts';
import type { AppContext, AppEnv } from './context.ts';
import { listQuery } from './list-query.ts';
import { ownerOf } from './owner.ts';
import { readUpload, type Upload } from './read-upload.ts';

/** Files in OpenAI's shape: the input and output of batches. Kept because their owner asked for it, until deleted or expired. */
export function fileRoutes(app: Hono<AppEnv>): void {
  app.post('/v1/files', async (c) => {
    await admit(c, null, 0); // An upload counts against the caller's rate: without a key, every other text is another owner.
    const store = await storeOf(c);
    const id = unwrap(await store.beginFile());
    try {
      const upload = await readUpload(c.req.raw, async (piece, number) => {
        unwrap(await store.writeFile(id, number, piece));
      });
      return c.json(unwrap(await store.finishFile(id, namedBy(upload))));
    } catch (cause) {
      await store.abandonFile(id); // If this is lost too, the upload's deadline removes it.
      throw cause;
    }
  });

  app.get('/v1/files', async (c) => {
    const query = { ...listQuery(c, { most: MAX_FILES, usual: MAX_FILES }), purpose: c.req.query('purpose') ?? null };
    return c.json(unwrap(await (await storeOf(c)).listFiles(query)));
  });

  app.get('/v1/files/:id', async (c) => c.json(unwrap(await (await storeOf(c)).file(c.req.param('id')))));

  app.delete('/v1/files/:id', async (c) => {
    const id = c.req.param('id');
    unwrap(await (await storeOf(c)).removeFile(id));
    return c.json({ id, object: 'file', deleted: true });
  });

  app.get('/v1/files/:id/content', async (c) => {
    const store = await storeOf(c);
    const id = c.req.param('id');
    const { bytes } = unwrap(await store.file(id));
    const { readable, writable } = new FixedLengthStream(bytes);
    void writeContent(writable.getWriter(), async (from) => unwrap(await store.readFile(id, from)));
    return new Response(readable, {
      headers: {
        'content-type': 'application/octet-stream', // Never shown by a browser as a page of ours.
        'content-disposition': `attachment; filename="${id}.jsonl"`,
        'x-content-type-options': 'nosniff',
        'cache-control': 'no-store',
      },
    });
  });
}

/** One part at a time, when the reader has taken the one before: a file is never held whole. */
async function writeContent(
  writer: WritableStreamDefaultWriter<Uint8Array>,
  read: (from: number) => Promise<{ readonly bytes: Uint8Array; readonly next: number | null }>,
): Promise<void> {
  try {
    for (let from: number | null = 0; from !== null; ) {
      const { bytes, next } = await read(from);
      if (bytes.byteLength > 0) await writer.write(bytes);
      from = next;
    }
    await writer.close();
  } catch (cause) {
    await writer.abort(cause).catch(() => undefined); // The reader left, or the file was deleted: what came is cut off.
  }
}

async function storeOf(c: AppContext) {
  return batchStub(c.env, await ownerOf(c));
}

/** Throws `missing_field`, `invalid_value` or `unknown_field`. */
function namedBy({ filename, fields }: Upload): { readonly filename: string; readonly keptMs: number } {
  const purpose = fields.get('purpose');
  if (purpose === undefined)
    throw new ShoalError('missing_field', "The field 'purpose' is missing.", { param: 'purpose' });
  if (purpose !== 'batch') {
    throw new ShoalError('invalid_value', "The purpose must be 'batch'.", { param: 'purpose' });
  }
  const unknown = [...fields.keys()].find(
    (name) => !['purpose', 'expires_after[anchor]', 'expires_after[seconds]'].includes(name),
  );
  if (unknown !== undefined) {
    throw new ShoalError('unknown_field', `The field '${unknown.slice(0, 100)}' is unknown.`, {
      param: unknown.slice(0, 100),
    });
  }
  const anchor = fields.get('expires_after[anchor]') ?? 'created_at';
  const seconds = fields.get('expires_after[seconds]') ?? String(FILE_KEPT_MS / 1000);
  const keptMs = /^\d{1,9}$/.test(seconds) ? Number(seconds) * 1000 : 0;
  if (anchor !== 'created_at' || keptMs < MIN_FILE_KEPT_MS || keptMs > FILE_KEPT_MS) {
    throw new ShoalError('invalid_value', "A file expires 3600 to 2592000 seconds after 'created_at'.", {
      param: 'expires_after',
    });
  }
  const name = filename === '' ? 'file.jsonl' : filename;
  if (!v.is(shownText(MAX_FILENAME_LENGTH), name)) {
    throw new ShoalError('invalid_value', 'The name of the file is too long, or has control characters.', {
      param: 'file',
    });
  }
  return { filename: name, keptMs };
}
