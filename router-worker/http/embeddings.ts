import type { Hono } from 'hono';
import { ShoalError } from '../../shared/errors.ts';
import { MAX_REQUEST_BODY_BYTES } from '../../shared/limits.ts';
import {
  type EmbeddingRequest,
  parseEmbeddingRequest,
  refuseOtherDimensions,
} from '../../shared/protocol/embeddings-api.ts';
import { vectorLine } from '../../shared/protocol/vector-lines.ts';
import { SENTENCE_TABLE_MODEL, sentenceTable } from '../models/sentence-table.ts';
import { findVariants, servedCatalogue } from '../models/served-catalogue.ts';
import { admit } from './admission.ts';
import type { AppContext, AppEnv } from './context.ts';
import { embedInTabs } from './embed-in-tabs.ts';
import { idempotent } from './idempotent.ts';
import { refuseSessionHeader } from './named-session.ts';
import { readJson } from './read-body.ts';
import { refuseTooManyNumbers, respondVectors } from './vectors-response.ts';

/** Embeddings: by models in tabs, or by the table that comes with the router. Each is named for what it is. */
export function embeddingRoutes(app: Hono<AppEnv>): void {
  app.post('/v1/embeddings', idempotent({ maxBodyBytes: MAX_REQUEST_BODY_BYTES, keeps: 'asked' }), async (c) => {
    refuseSessionHeader(c);
    const request = parseEmbeddingRequest(await readJson(c.req.raw, MAX_REQUEST_BODY_BYTES));
    if (request.model === SENTENCE_TABLE_MODEL) return embedByTable(c, request);
    return embedInTabs(c, request, findVariants(await servedCatalogue(c.env), request.model, 'embed'));
  });
}

/** Answered here: a look-up of words costs less than to ask a tab. */
async function embedByTable(c: AppContext, request: EmbeddingRequest): Promise<Response> {
  const table = await sentenceTable(c.env);
  refuseOtherDimensions(request, SENTENCE_TABLE_MODEL, table.dims);
  refuseTooManyNumbers(request, table.dims);
  if (request.checking !== null) {
    const message = `'${SENTENCE_TABLE_MODEL}' is looked up by the router itself: no tab's work is there to be checked.`;
    throw new ShoalError('unsupported_field', message, { param: 'shoal' });
  }
  const tokens = request.inputs.reduce((sum, text) => sum + table.pieces(text).length, 0);
  await admit(c, request.model, tokens);
  return respondVectors(
    request.inputs,
    (text) => {
      const vector = table.embed(text);
      // Base64 holds float32, little endian, as OpenAI's clients read it.
      return request.encoding === 'float' ? [...vector] : vectorLine(vector);
    },
    { model: SENTENCE_TABLE_MODEL, usage: { prompt_tokens: tokens, total_tokens: tokens } },
  );
}
