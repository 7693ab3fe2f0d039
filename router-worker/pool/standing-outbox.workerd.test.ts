import { env, runInDurableObject } from 'cloudflare:test';
import { describe, expect, it } from 'vitest';
import type { StandingOrder } from '../ledger/transfer.ts';
import { StandingOutbox } from './standing-outbox.ts';

describe('the outbox for how tabs stand', () => {
  it('[M6] [M7] keeps what the ledger did not take, and sends it again under the same ids, in its order', async () => {
    const stub = env.POOL.get(env.POOL.idFromName('standing outbox'));
    await runInDurableObject(stub, async (_, { storage }) => {
      const sent: (readonly StandingOrder[])[] = [];
      const broken = new StandingOutbox(storage.sql, async (orders) => {
        sent.push(orders);
        throw new Error('the ledger cannot be reached');
      });
      broken.changed('tab', 'cls', 'trusted');
      await expect.poll(() => sent.length).toBe(1);
      broken.changed('tab', 'cls', 'quarantined');
      broken.changed('tab', 'cls', 'suspected');
      await expect.poll(() => sent.length).toBeGreaterThan(1);
      const taken: StandingOrder[] = [];
      const afterwards = new StandingOutbox(storage.sql, async (orders) => taken.push(...orders));
      await afterwards.drain();
      await afterwards.drain();
      expect(taken.map(({ standing }) => standing)).toEqual(['trusted', 'fraud', 'untrusted']);
      expect(taken[0]).toEqual(sent[0]?.[0]);
      expect(new Set(taken.map(({ id }) => id)).size).toBe(3);
    });
  });
});
