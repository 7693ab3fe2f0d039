import type { Hono } from 'hono';
import * as v from 'valibot';
import { ShoalError } from '../../shared/errors.ts';
import { MAX_ENVELOPE_BYTES, MAX_REQUEST_BODY_BYTES } from '../../shared/limits.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import {
  framesRequest,
  linkRequest,
  STREAM_CONTENT_TYPE,
  sealedTaskRequest,
  TASK_TOKEN_HEADER,
  wrapRequest,
} from '../../shared/protocol/sealed-task-api.ts';
import { tailOf, taskId } from '../../shared/protocol/task-ids.ts';
import { isTaskToken, newTaskTail, placeOfTask, routerKeys, sessionNameOf } from '../keys/router-keys.ts';
import { quoteFor } from '../models/quote.ts';
import { wantOfSealedTask } from '../pool/lease-want.ts';
import { poolStub } from '../pool/pool-address.ts';
import { knownPools, learnPools } from '../pool/pool-count.ts';
import { unwrap } from '../pool/session-calls.ts';
import { admit, holdFor } from './admission.ts';
import { choosePool } from './choose-pool.ts';
import { claimOf } from './claim-of.ts';
import type { AppContext, AppEnv } from './context.ts';
import { admitToSession, leaveSession, namedSession } from './named-session.ts';
import { readBytes, readJson } from './read-body.ts';
import { offerRequest, verifyRequest } from './verify-request.ts';

/** Tasks of clients that seal for themselves: the router passes sealed bytes and signatures on, and reads neither prompt nor answer. */
export function sealedTaskRoutes(app: Hono<AppEnv>): void {
  app.post('/v1/tasks', async (c) => {
    const known = knownPools(c.env);
    const request = await parseBody(c, sealedTaskRequest);
    const named = await namedSession(c, null);
    const sampling = Object.fromEntries(Object.entries(request.sampling).filter(([, value]) => value !== undefined));
    const offered = await offerRequest(c, named, {
      model: request.model,
      promptBytes: null, // Sealed: nobody here knows how long the prompt is.
      messages: 0,
      sampling,
      level: request.level ?? null,
      checks: request.checks ?? 1,
      awaitVerdict: false,
    });
    const { payer, floor } = await admit(c, offered.name, offered.tokensAtMost);
    const verified = await verifyRequest(c, offered, floor, 'work');
    const { variants, level, checks } = verified;
    const keys = await routerKeys(c.env.SHOAL_ROUTER_SECRET);
    const conversation = await sessionNameOf(keys, JSON.stringify(['sealed', request.client, request.session]));
    const session = named?.name ?? conversation;
    const at = await choosePool(c, verified, named, conversation, request.prefer, known);
    const task = await newTaskTail(keys, session, at);
    if (named !== null) {
      await admitToSession(c, named, { task, tokensAtMost: verified.tokens.total, price: verified.price });
    }
    const claim = claimOf(c, payer.account, conversation, named?.settings);
    const quote = quoteFor(variants, verified.tokens, level, checks, verified.sla);
    const { held } = await holdFor(c, session, task, payer, quote).catch(async (cause) => {
      if (named !== null) await leaveSession(c, named, task);
      throw cause;
    });
    const asked = { task, network: new URL(c.req.url).origin, served: variants, level, wanted: checks, claim };
    const { sampling: pinned, deadlineAt } = verified;
    const { client, nonce, prefer } = request;
    const { stream, pools } = await poolStub(c.env, at).request(
      await wantOfSealedTask(keys, { ...asked, kind: 'chat', sampling: pinned, deadlineAt }, { client, nonce, prefer }),
    );
    learnPools(pools);
    await held.catch(async (cause) => {
      await stream.cancel();
      throw cause;
    });
    return new Response(stream, {
      headers: { 'content-type': STREAM_CONTENT_TYPE, 'cache-control': 'no-store', 'shoal-task': taskId(task) },
    });
  });

  app.post('/v1/tasks/:id/envelope', async (c) => {
    const { task, pool } = await authorizedTask(c);
    const envelope = await readBytes(c.req.raw, MAX_ENVELOPE_BYTES);
    unwrap(await pool.deliver(task, envelope));
    return c.body(null, 204);
  });

  app.post('/v1/tasks/:id/wraps', async (c) => {
    const { task, pool } = await authorizedTask(c);
    const { wrap } = await parseBody(c, wrapRequest);
    unwrap(await pool.handOn(task, wrap));
    return c.body(null, 204);
  });

  app.post('/v1/tasks/:id/links', async (c) => {
    const { task, pool } = await authorizedTask(c);
    const { lease, link, signal } = await parseBody(c, linkRequest);
    return c.json({ signal: await pool.link(task, lease, link, signal) });
  });

  app.post('/v1/tasks/:id/resend', async (c) => {
    const { task, pool } = await authorizedTask(c);
    const { lease, from } = await parseBody(c, framesRequest);
    unwrap(await pool.resend(task, lease, from));
    return c.body(null, 204);
  });

  app.post('/v1/tasks/:id/stream', async (c) => {
    const { task, pool } = await authorizedTask(c);
    const { lease, from } = await parseBody(c, framesRequest);
    const stream = await pool.reattach(task, lease, from);
    return new Response(stream, { headers: { 'content-type': STREAM_CONTENT_TYPE, 'cache-control': 'no-store' } });
  });
}

async function parseBody<T>(c: AppContext, schema: v.GenericSchema<unknown, T>): Promise<T> {
  const parsed = v.safeParse(schema, await readJson(c.req.raw, MAX_REQUEST_BODY_BYTES));
  if (parsed.success) return parsed.output;
  const param = v.getDotPath(parsed.issues[0]) ?? '';
  throw new ShoalError('invalid_value', `The field '${param}' is not of the agreed shape.`, { param });
}

/** The task that a call is for, and the pool that has it. Throws `task_not_found` or `task_token_invalid`. */
async function authorizedTask(
  c: AppContext,
): Promise<{ readonly task: TaskTail; readonly pool: ReturnType<typeof poolStub> }> {
  const tail = tailOf(c.req.param('id') ?? '');
  const keys = await routerKeys(c.env.SHOAL_ROUTER_SECRET);
  const { pool } = await placeOfTask(keys, tail);
  if (!(await isTaskToken(keys, tail, c.req.header(TASK_TOKEN_HEADER) ?? ''))) {
    throw new ShoalError('task_token_invalid', 'The token does not belong to this task.');
  }
  return { task: tail, pool: poolStub(c.env, pool) };
}
