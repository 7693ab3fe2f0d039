import type { Hono } from 'hono';
import { networkStub } from '../network/network-address.ts';
import { unwrap } from '../pool/session-calls.ts';
import type { AppEnv } from './context.ts';

/** How the network is doing, for anyone to see: of the last seconds, and of the last hours and days. */
export function networkRoutes(app: Hono<AppEnv>): void {
  app.get('/v1/network', async (c) => {
    const view = unwrap(await networkStub(c.env).view());
    return c.json(view, 200, { 'cache-control': 'public, max-age=5' });
  });

  app.get('/v1/network/history', async (c) => {
    const points = unwrap(await networkStub(c.env).points());
    return c.json(points, 200, { 'cache-control': 'public, max-age=30' });
  });
}
