import type { Hono } from 'hono';
import { ShoalError } from '../../shared/errors.ts';
import { MAX_REQUEST_BODY_BYTES } from '../../shared/limits.ts';
import { parseEmbeddingRequest } from '../../shared/protocol/embeddings-api.ts';
import { SENTENCE_TABLE_MODEL, sentenceTable } from '../models/sentence-table.ts';
import { findVariants, servedCatalogue } from '../models/served-catalogue.ts';
import { admit } from './admission.ts';
import type { AppEnv } from './context.ts';
import { refuseSessionHeader } from './named-session.ts';
import { readJson } from './read-body.ts';

/** Embeddings of the table that comes with the router, which answers by itself: a look-up of words costs less than to ask a tab. */
export function embeddingRoutes(app: Hono<AppEnv>): void {
  app.post('/v1/embeddings', async (c) => {
    refuseSessionHeader(c);
    const request = parseEmbeddingRequest(await readJson(c.req.raw, MAX_REQUEST_BODY_BYTES));
    if (request.model !== SENTENCE_TABLE_MODEL) {
      findVariants(await servedCatalogue(c.env), request.model, null);
      throw new ShoalError(
        'invalid_value',
        `The model '${request.model}' answers chats; no tab serves embeddings yet. This router embeds with '${SENTENCE_TABLE_MODEL}'.`,
        { param: 'model' },
      );
    }
    const table = await sentenceTable(c.env);
    if (request.dimensions !== null && request.dimensions !== table.dims) {
      throw new ShoalError(
        'unsupported_field',
        `The vectors of '${SENTENCE_TABLE_MODEL}' have ${table.dims} numbers.`,
        {
          param: 'dimensions',
        },
      );
    }
    const tokens = request.inputs.reduce((sum, text) => sum + table.pieces(text).length, 0);
    await admit(c, request.model, tokens);
    return c.json({
      object: 'list',
      data: request.inputs.map((text, index) => ({
        object: 'embedding',
        index,
        embedding: encoded(table.embed(text), request.encoding),
      })),
      model: SENTENCE_TABLE_MODEL,
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    });
  });
}

/** Base64 holds float32, little endian, as OpenAI's clients read it. */
function encoded(vector: Float32Array, encoding: 'float' | 'base64'): number[] | string {
  if (encoding === 'float') return [...vector];
  const view = new DataView(new ArrayBuffer(vector.length * 4));
  for (const [at, value] of vector.entries()) view.setFloat32(at * 4, value, true);
  return btoa(String.fromCharCode(...new Uint8Array(view.buffer)));
}
