import type { Hono } from 'hono';
import { type ErrorCode, ShoalError } from '../../shared/errors.ts';
import { BEST_MODEL, parseSessionSettings, type SessionSettings } from '../../shared/protocol/session-api.ts';
import { tailOf } from '../../shared/protocol/task-ids.ts';
import { routerKeys } from '../keys/router-keys.ts';
import { newSessionName, sessionIdOf, sessionOfId } from '../keys/session-ids.ts';
import { findVariants, servedCatalogue } from '../models/served-catalogue.ts';
import { sessionStub, unwrap } from '../pool/session-calls.ts';
import { sessionListStub } from '../session/session-list-object.ts';
import type { SessionView } from '../session/set-up-session.ts';
import { accountOf } from './admission.ts';
import type { AppContext, AppEnv } from './context.ts';
import { listQuery } from './list-query.ts';
import { ownerOf } from './owner.ts';
import { readJson } from './read-body.ts';

/** Largest body that sets up a session, bytes: two full lists of tabs, and the rest. */
const MAX_SESSION_BODY_BYTES = 64 * 1024;

/** Sessions on one page: each is asked for by itself, and a Worker may make 50 calls on the smallest plan. */
const SESSION_PAGE = { most: 20, usual: 20 };
const TASK_PAGE = { most: 100, usual: 20 };

/** Sessions that somebody sets up. Whoever sets none up has an implicit one for each conversation. Another owner's session is none. */
export function sessionRoutes(app: Hono<AppEnv>): void {
  app.post('/v1/sessions', async (c) => {
    const settings = parseSessionSettings(await readJson(c.req.raw, MAX_SESSION_BODY_BYTES), null);
    await refuseUnknownModel(c, settings.model);
    await refuseWithoutAccount(c, settings);
    const owner = await ownerOf(c);
    const keys = await routerKeys(c.env.SHOAL_ROUTER_SECRET);
    const name = newSessionName();
    const id = await sessionIdOf(keys, name);
    // Listed first: what is listed and does not exist is found out, what exists and is not listed is not.
    unwrap(await sessionListStub(c.env, owner).add(id, Date.now() + settings.lifeS * 1000));
    const view = unwrap(await sessionStub(c.env, name).setUp(id, owner, settings));
    return c.json(view, 201);
  });

  app.get('/v1/sessions', async (c) => {
    const { limit, after } = pageQuery(c, SESSION_PAGE);
    const owner = await ownerOf(c);
    const list = sessionListStub(c.env, owner);
    const { ids, more } = unwrap(await list.page(after, limit));
    const found = await Promise.all(ids.map((id) => viewIfThere(c, id, owner)));
    const gone = ids.filter((_, i) => found[i] === null);
    if (gone.length > 0) await list.remove(gone);
    const data = found.filter((view) => view !== null);
    return c.json({ object: 'list', data, ...endsOf(data), has_more: more });
  });

  app.get('/v1/sessions/:id', async (c) => {
    const { session, owner } = await sessionOf(c);
    return c.json(unwrap(await session.sessionView(owner)));
  });

  app.patch('/v1/sessions/:id', async (c) => {
    const body = await readJson(c.req.raw, MAX_SESSION_BODY_BYTES);
    const { id, session, owner } = await sessionOf(c);
    const changed = parseSessionSettings(body, unwrap(await session.settings(owner)));
    await refuseUnknownModel(c, changed.model);
    await refuseWithoutAccount(c, changed);
    const view: SessionView = unwrap(await session.patch(owner, body));
    await sessionListStub(c.env, owner).renew(id, view.expires_at);
    return c.json(view);
  });

  app.delete('/v1/sessions/:id', async (c) => {
    const { id, session, owner } = await sessionOf(c);
    const stopped = unwrap(await session.remove(owner));
    await sessionListStub(c.env, owner).remove([id]);
    return c.json({ id, object: 'session', deleted: true, stopped });
  });

  app.get('/v1/sessions/:id/tasks', async (c) => {
    const { limit, after } = pageQuery(c, TASK_PAGE);
    const { session, owner } = await sessionOf(c);
    const { data, more } = unwrap(await session.tasks(owner, after === null ? null : tailOf(after), limit));
    return c.json({ object: 'list', data, ...endsOf(data), has_more: more });
  });

  app.get('/v1/sessions/:id/events', async (c) => {
    const { session, owner } = await sessionOf(c);
    return new Response(unwrap(await session.events(owner)), {
      headers: {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-cache, no-transform',
        'x-accel-buffering': 'no',
        'x-request-id': c.get('requestId'),
      },
    });
  });
}

/** Both lists begin with the newest. Throws `invalid_value` or `unsupported_field`. */
function pageQuery(c: AppContext, limits: { readonly most: number; readonly usual: number }) {
  const { order, ...page } = listQuery(c, limits);
  if (order === 'desc') return page;
  throw new ShoalError('unsupported_field', 'This list begins with the newest.', { param: 'order' });
}

/** The session that a path names. Throws `session_not_found` for an id that this router did not make. */
async function sessionOf(c: AppContext) {
  const id = c.req.param('id') ?? '';
  const name = await sessionOfId(await routerKeys(c.env.SHOAL_ROUTER_SECRET), id);
  return { id, session: sessionStub(c.env, name), owner: await ownerOf(c) };
}

async function viewIfThere(c: AppContext, id: string, owner: string) {
  const name = await sessionOfId(await routerKeys(c.env.SHOAL_ROUTER_SECRET), id);
  const reply = await sessionStub(c.env, name).sessionView(owner);
  const missing: ErrorCode = 'session_not_found';
  if (!reply.ok && reply.error.code === missing) return null;
  return unwrap(reply);
}

/** A model may come and go with the catalogue; that it never was there is said at once. Throws `model_not_found`. */
async function refuseUnknownModel(c: AppContext, model: string | null): Promise<void> {
  if (model !== null && model !== BEST_MODEL) findVariants(await servedCatalogue(c.env), model, 'chat');
}

/** Own devices are those that are paired with an account. Throws `invalid_api_key`. */
async function refuseWithoutAccount(c: AppContext, { placement }: SessionSettings): Promise<void> {
  if (placement.ownDevicesOnly !== true || (await accountOf(c)) !== null) return;
  throw new ShoalError(
    'invalid_api_key',
    'Own devices are those that are paired with an account: send its key as Authorization: Bearer sk-shoal-….',
    { param: 'placement.own_devices_only' },
  );
}

/** OpenAI's lists name their first and last entry. */
function endsOf(data: readonly { readonly id: string }[]) {
  return { first_id: data[0]?.id ?? null, last_id: data.at(-1)?.id ?? null };
}
