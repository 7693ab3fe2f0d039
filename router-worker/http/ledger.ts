import type { Hono } from 'hono';
import { ledgerStub } from '../ledger/ledger-address.ts';
import { unwrap } from '../pool/session-calls.ts';
import type { AppEnv } from './context.ts';

/** Whether the money adds up, for anyone to see. */
export function ledgerRoutes(app: Hono<AppEnv>): void {
  app.get('/v1/ledger/health', async (c) => {
    const { healthy, sum, overdrawn, openGrants, granted, held, issued, fees, accounts, transfers } = unwrap(
      await ledgerStub(c.env).health(),
    );
    return c.json({
      object: 'ledger.health',
      healthy,
      unit: 'micro-credit',
      sum,
      overdrawn,
      grants: { open: openGrants, granted, held },
      issued,
      fees,
      accounts,
      transfers,
    });
  });
}
