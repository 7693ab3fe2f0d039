import { Hono } from 'hono';
import { cors } from 'hono/cors';
import { ShoalError } from '../../shared/errors.ts';
import { PROTOCOL_VERSION } from '../../shared/protocol/version.ts';
import { routerKeys } from '../keys/router-keys.ts';
import { accountRoutes } from './account.ts';
import { batchRoutes } from './batches.ts';
import { calibrationRoutes } from './calibration.ts';
import { chatRoutes } from './chat-completions.ts';
import { completionRoutes } from './completions.ts';
import type { AppEnv } from './context.ts';
import { deviceRoutes } from './devices.ts';
import { embeddingRoutes } from './embeddings.ts';
import { fileRoutes } from './files.ts';
import { REPLAYED_HEADER } from './idempotent.ts';
import { isLocal } from './is-local.ts';
import { ledgerRoutes } from './ledger.ts';
import { logRoutes } from './log.ts';
import { mapRoutes } from './map.ts';
import { modelRoutes } from './models.ts';
import { networkRoutes } from './network.ts';
import { quoteRoutes } from './quotes.ts';
import { RATE_HEADERS, setRateHeaders } from './rate-headers.ts';
import { recordRoutes } from './records.ts';
import { respondError } from './respond-error.ts';
import { sealedTaskRoutes } from './sealed-tasks.ts';
import { sessionRoutes } from './sessions.ts';
import { tabOwnerRoutes } from './tab-owner.ts';
import { tabRoutes } from './tabs.ts';

/** The HTTP surface. Order matters: identify, refuse insecure transport, open CORS, then the routes. */
export function createApp(): Hono<AppEnv> {
  const app = new Hono<AppEnv>();

  app.use(async (c, next) => {
    c.set('requestId', `req_${crypto.randomUUID()}`);
    const { protocol, hostname } = new URL(c.req.url);
    if (protocol === 'http:' && !isLocal(hostname)) {
      throw new ShoalError('insecure_transport', 'Plain http:// is refused: prompts would cross the network readable.');
    }
    await next();
    setRateHeaders(c);
    if (!c.res.headers.has('x-request-id') && c.res.status !== 101) c.header('x-request-id', c.get('requestId'));
  });
  app.use(
    '/v1/*',
    cors({
      origin: '*', // Request headers are allowed as asked: SDKs send many of their own.
      exposeHeaders: [
        'shoal-task',
        'shoal-level',
        'shoal-sure',
        'x-request-id',
        'retry-after',
        REPLAYED_HEADER,
        ...RATE_HEADERS,
      ],
      maxAge: 86_400,
    }),
  );

  app.get('/healthz', (c) => c.json({ status: 'ok', protocol: PROTOCOL_VERSION }));
  app.get('/.well-known/shoal.json', async (c) => {
    const keys = await routerKeys(c.env.SHOAL_ROUTER_SECRET);
    c.header('access-control-allow-origin', '*');
    return c.json({
      protocol: PROTOCOL_VERSION,
      /** The router's clock: what a tab signs for it is dated by it, Unix time, ms. */
      now: Date.now(),
      router_keys: [{ id: keys.signer.publicKey.slice(0, 8), algorithm: 'Ed25519', key: keys.signer.publicKey }],
      socket: '/v1/tabs/socket',
      pages: { join: '/join', chat: '/chat', network: '/network', audit: '/audit' },
      routes: [...routeTable(app)].map(([path, methods]) => `${[...methods].join(', ')} ${path}`),
    });
  });

  chatRoutes(app);
  completionRoutes(app);
  mapRoutes(app);
  embeddingRoutes(app);
  sealedTaskRoutes(app);
  recordRoutes(app);
  logRoutes(app);
  modelRoutes(app);
  tabRoutes(app);
  tabOwnerRoutes(app);
  networkRoutes(app);
  quoteRoutes(app);
  sessionRoutes(app);
  fileRoutes(app);
  batchRoutes(app);
  accountRoutes(app);
  deviceRoutes(app);
  ledgerRoutes(app);
  calibrationRoutes(app);

  app.notFound((c) => {
    const path = new URL(c.req.url).pathname;
    const allowed = [...routeTable(app)].find(([pattern]) => matches(pattern, path))?.[1];
    if (allowed === undefined) {
      return respondError(
        new ShoalError('route_not_found', `There is nothing at ${path.slice(0, 200)}.`),
        c.get('requestId'),
      );
    }
    const methods = [...allowed].join(', ');
    const error = new ShoalError('method_not_allowed', `${path} takes ${methods}, not ${c.req.method}.`);
    const response = respondError(error, c.get('requestId'));
    response.headers.set('allow', methods);
    return response;
  });
  app.onError((cause, c) => respondError(cause, c.get('requestId') ?? 'req_unknown'));
  return app;
}

function routeTable(app: Hono<AppEnv>): Map<string, Set<string>> {
  const table = new Map<string, Set<string>>();
  for (const { path, method } of app.routes) {
    if (method === 'ALL' || path.includes('*')) continue;
    table.set(path, (table.get(path) ?? new Set()).add(method));
  }
  return table;
}

function matches(pattern: string, path: string): boolean {
  const parts = pattern.split('/');
  const given = path.split('/');
  const fits = (part: string, i: number) => (part.startsWith(':') ? given[i] !== '' : part === given[i]);
  return parts.length === given.length && parts.every(fits);
}
