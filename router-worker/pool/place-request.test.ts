import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ANYWHERE } from '../../shared/protocol/placement.ts';
import type { Outlook } from './outlook.ts';
import { type PlacePorts, type PlaceWant, placeRequest } from './place-request.ts';
import { homeOf } from './rendezvous.ts';

const WANT: PlaceWant = {
  ...ANYWHERE,
  conversation: 'a conversation',
  classes: ['c'],
  level: 'none',
  checks: 1,
  tokens: 100,
};

/** A pool with so many tabs, and the wait for one; null: it is silent. */
type Pool = { readonly tabs: number; readonly waitMs: number | null } | null;

function outlookOf({ tabs, waitMs }: NonNullable<Pool>): Outlook {
  const able = { tabs, free: waitMs === 0 ? tabs : 0, checkers: 0 };
  return { serving: [], able, ahead: 0, expectedWaitMs: waitMs };
}

function network(pools: readonly Pool[], part: Partial<PlacePorts> = {}) {
  const looked: number[] = [];
  let asked = 0;
  const ports: PlacePorts = {
    homesOf: async () => [],
    look: async (pool) => {
      looked.push(pool);
      const seen = pools[pool];
      return seen == null ? null : outlookOf(seen);
    },
    askPools: async () => {
      asked++;
      return pools.length;
    },
    random: Math.random,
    ...part,
  };
  return { ports, looked, asked: () => asked };
}

const chosen = async (want: PlaceWant, count: number, ports: PlacePorts) =>
  (await placeRequest(want, count, ports))[0]?.pool;

describe('the pool of a request', () => {
  it('[Q5] is the only one where there is one, and nobody is asked', async () => {
    const { ports, looked, asked } = network([{ tabs: 0, waitMs: null }]);
    expect(await placeRequest(WANT, 1, ports)).toEqual([{ pool: 0, free: 0 }]);
    expect([looked, asked()]).toEqual([[], 0]);
  });

  it('is the conversation’s own among equals, of two that are looked at', async () => {
    const pools = Array.from({ length: 8 }, () => ({ tabs: 5, waitMs: 0 }));
    const { ports, looked } = network(pools);
    expect(await chosen(WANT, 8, ports)).toBe(homeOf('a conversation', 8));
    expect(looked).toHaveLength(2);
    const spread = new Set<number | undefined>();
    for (let i = 0; i < 60; i++) spread.add(await chosen({ ...WANT, conversation: null }, 8, network(pools).ports));
    expect(spread.size).toBeGreaterThan(5);
  });

  it('is the one of the two that is free sooner; of whose wait nobody can tell goes last', async () => {
    const own = homeOf('a conversation', 2);
    const pools = [0, 1].map((pool) => ({ tabs: 2, waitMs: pool === own ? 900 : 100 }));
    expect(await chosen(WANT, 2, network(pools).ports)).toBe(1 - own);
    const unmeasured = [0, 1].map((pool) => ({ tabs: 2, waitMs: pool === own ? null : 5_000 }));
    expect(await chosen(WANT, 2, network(unmeasured).ports)).toBe(1 - own);
  });

  it('[Q5] is one that has a tab for it, wherever that is, and whoever is silent', async () => {
    const pool = fc.oneof(
      fc.constant<Pool>(null),
      fc.record({ tabs: fc.integer({ min: 0, max: 2 }), waitMs: fc.constantFrom(0, 10, null) }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(pool, { minLength: 1, maxLength: 12 }),
        fc.integer({ min: 1, max: 12 }),
        async (pools, known) => {
          const heard = Math.min(known, pools.length);
          if (heard === 1) return;
          const at = (await chosen(WANT, heard, network(pools).ports)) ?? -1;
          const hasAny = pools.some((one) => one !== null && one.tabs > 0);
          expect((pools[at]?.tabs ?? 0) > 0).toBe(hasAny);
        },
      ),
    );
  });

  it('[Q5] asks how many there are before it gives up', async () => {
    const none = { tabs: 0, waitMs: null };
    const { ports, asked } = network([none, none, none, { tabs: 1, waitMs: 0 }]);
    expect(await chosen(WANT, 2, ports)).toBe(3);
    expect(asked()).toBe(1);
  });

  it('has enough tabs to check the answer, where any pool has', async () => {
    const pools = [1, 1, 1, 2, 1, 4].map((tabs) => ({ tabs, waitMs: 0 }));
    expect(await chosen({ ...WANT, level: 'strict', checks: 3 }, 6, network(pools).ports)).toBe(5);
    expect([3, 5]).toContain(await chosen({ ...WANT, level: 'cross' }, 6, network(pools).ports));
  });

  it('is where the tabs are that a session allows', async () => {
    const allowed = { ...WANT, allow: ['a tab'] };
    const { ports, looked } = network(
      Array.from({ length: 20 }, () => ({ tabs: 1, waitMs: 0 })),
      { homesOf: async () => [17, 0] },
    );
    expect([0, 17]).toContain(await chosen(allowed, 20, ports));
    expect(new Set(looked)).toEqual(new Set([0, 17]));
  });
});
