import type { Hono } from 'hono';
import { LEVEL_HEADER, levelInHeader } from '../../shared/protocol/level.ts';
import { batchStub } from '../batches/batch-address.ts';
import { parseBatchRequest } from '../batches/batch-api.ts';
import { unwrap } from '../pool/session-calls.ts';
import { admit } from './admission.ts';
import type { AppContext, AppEnv } from './context.ts';
import { idempotent } from './idempotent.ts';
import { listQuery } from './list-query.ts';
import { namedSession } from './named-session.ts';
import { ownerOf } from './owner.ts';
import { readJson } from './read-body.ts';

const MAX_BATCH_BODY_BYTES = 32 * 1024;

/** Batches in OpenAI's shape: a file of requests, run in the background where tabs are free. */
export function batchRoutes(app: Hono<AppEnv>): void {
  app.post('/v1/batches', idempotent({ maxBodyBytes: MAX_BATCH_BODY_BYTES, keeps: 'always' }), async (c) => {
    const named = await namedSession(c, null);
    const request = parseBatchRequest(await readJson(c.req.raw, MAX_BATCH_BODY_BYTES));
    const owner = await ownerOf(c);
    const level = levelInHeader(c.req.header(LEVEL_HEADER));
    const { payer } = await admit(c, null, 0);
    const maker = { owner, payer, origin: new URL(c.req.url).origin, level, session: named?.id ?? null };
    return c.json(unwrap(await batchStub(c.env, owner).createBatch(request, maker)));
  });

  app.get('/v1/batches', async (c) => {
    const { limit, after } = listQuery(c, { most: 100, usual: 20 });
    return c.json(unwrap(await (await storeOf(c)).listBatches({ limit, after })));
  });

  app.get('/v1/batches/:id', async (c) => c.json(unwrap(await (await storeOf(c)).batch(c.req.param('id')))));

  app.post('/v1/batches/:id/cancel', async (c) =>
    c.json(unwrap(await (await storeOf(c)).cancelBatch(c.req.param('id')))),
  );
}

async function storeOf(c: AppContext) {
  return batchStub(c.env, await ownerOf(c));
}
