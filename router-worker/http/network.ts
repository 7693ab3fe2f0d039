import type { Hono } from 'hono';
import { networkStub } from '../network/network-address.ts';
import type { AppEnv } from './context.ts';

/** How the network is doing, for anyone to see: of the last seconds, and of the last hours and days. */
export function networkRoutes(app: Hono<AppEnv>): void {
  app.get('/v1/network', async (c) => {
    c.header('cache-control', 'public, max-age=5');
    return c.json(await networkStub(c.env).view());
  });

  app.get('/v1/network/history', async (c) => {
    c.header('cache-control', 'public, max-age=30');
    return c.json(await networkStub(c.env).points());
  });
}
