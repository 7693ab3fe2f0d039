import type { Hono } from 'hono';
import * as v from 'valibot';
import { ShoalError } from '../../shared/errors.ts';
import { isLocal } from '../../shared/is-local.ts';
import { classId, key32 } from '../../shared/protocol/fields.ts';
import { countryOf } from '../../shared/protocol/regions.ts';
import { networkDigest } from '../keys/network-digest.ts';
import { isOperatorPass, routerKeys } from '../keys/router-keys.ts';
import { servedCatalogue } from '../models/served-catalogue.ts';
import { roleOf } from '../models/tab-role.ts';
import { networkStub } from '../network/network-address.ts';
import { AllPools } from '../pool/all-pools.ts';
import { openTabSocket } from '../pool/open-tab-socket.ts';
import { COUNTRY_HEADER, NETWORK_HEADER } from '../pool/pool-object.ts';
import type { AppContext, AppEnv } from './context.ts';
import { readJson } from './read-body.ts';

const standingRequest = v.strictObject({ class: classId, standing: v.picklist(['banned', 'new']) });
const MAX_STANDING_BODY_BYTES = 1024;

/** Throws `tab_not_found` for what cannot be the name of a tab. */
function tabOf(id: string): string {
  if (!v.is(key32, id)) throw new ShoalError('tab_not_found', 'A tab is named by its key: 43 letters of base64url.');
  return id;
}

/** Where a request comes from: as Cloudflare has it, or, for a router on this machine, as its operator says. Null: not known. Throws `router_not_configured`. */
function countryOfCaller(c: AppContext): string | null {
  if (isLocal(new URL(c.req.url).hostname)) return localCountry(c.env.SHOAL_LOCAL_REGION);
  return countryOf((c.req.raw.cf as { readonly country?: unknown } | undefined)?.country);
}

function localCountry(said: string | undefined): string | null {
  const country = countryOf(said);
  if (country !== null || said === undefined || said === '') return country;
  throw new ShoalError('router_not_configured', "SHOAL_LOCAL_REGION must be a country, as in 'DE'.");
}

/** Where tabs connect, and how they stand. */
export function tabRoutes(app: Hono<AppEnv>): void {
  app.get('/v1/tabs/socket', async (c) => {
    if (c.req.header('upgrade')?.toLowerCase() !== 'websocket') {
      throw new ShoalError('invalid_value', 'This address speaks WebSocket: tabs connect to it from /join.');
    }
    const keys = await routerKeys(c.env.SHOAL_ROUTER_SECRET);
    const request = new Request(c.req.raw);
    request.headers.set(NETWORK_HEADER, await networkDigest(keys, c.req.header('cf-connecting-ip') ?? ''));
    request.headers.set(COUNTRY_HEADER, countryOfCaller(c) ?? '');
    const tab = c.req.query('tab') ?? null;
    if (tab !== null && !v.is(key32, tab)) {
      throw new ShoalError('invalid_value', 'A tab is named by its key: 43 letters of base64url.', { param: 'tab' });
    }
    c.executionCtx.waitUntil(networkStub(c.env).watch()); // Where tabs are, there is something to show. The tab does not wait for it.
    return openTabSocket(c.env, keys, request, { tab, isWorking: c.req.query('working') !== undefined });
  });

  app.get('/v1/tabs/:id', async (c) => {
    const id = tabOf(c.req.param('id'));
    const [{ view, served }, catalogue] = await Promise.all([new AllPools(c.env).tab(id), servedCatalogue(c.env)]);
    return c.json({ ...view, role: roleOf(served, catalogue) });
  });

  app.post('/v1/tabs/:id/standing', async (c) => {
    const tab = tabOf(c.req.param('id'));
    const keys = await routerKeys(c.env.SHOAL_ROUTER_SECRET);
    const pass = /^Bearer (.+)$/.exec(c.req.header('authorization') ?? '')?.[1] ?? '';
    if (!(await isOperatorPass(keys, pass))) {
      throw new ShoalError('operator_only', 'Only the operator of this router changes how a tab stands.');
    }
    const parsed = v.safeParse(standingRequest, await readJson(c.req.raw, MAX_STANDING_BODY_BYTES));
    if (!parsed.success) {
      throw new ShoalError('invalid_value', "The body must name a class and a standing: 'banned' or 'new'.", {
        param: v.getDotPath(parsed.issues[0]),
      });
    }
    const pools = new AllPools(c.env);
    await pools.setStanding(tab, parsed.output.class, parsed.output.standing);
    return c.json((await pools.tab(tab)).view);
  });
}
