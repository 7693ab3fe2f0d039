import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { StandingOrder } from '../ledger/transfer.ts';
import { RecordBook } from '../record/record-book.ts';
import { SqlRecordStore } from '../record/sql-record-store.ts';
import { NodeSql } from '../testing/node-sql.ts';
import { PoolNeighbours } from './pool-neighbours.ts';
import { homeOf } from './rendezvous.ts';

const CLASS = 'cls_AAAAAAAAAAAAAAAAAAAAAA';

interface KeptPool {
  readonly sql: SqlStorage;
  readonly store: SqlRecordStore;
  readonly sockets: number;
  readonly orders: StandingOrder[];
  pools: number | null;
  isSilent: boolean;
  book: RecordBook;
  neighbours: PoolNeighbours;
}

/** Pools that call each other, each on storage of its own. */
class Pools {
  readonly all: KeptPool[] = [];
  now = 1_000_000;

  constructor(sizes: readonly number[]) {
    for (const sockets of sizes) {
      const { sql } = new NodeSql();
      const store = new SqlRecordStore(sql);
      const kept = { sql, store, sockets, orders: [], pools: null, isSilent: false } as unknown as KeptPool;
      this.all.push(kept);
      this.restart(this.all.length - 1);
    }
  }

  /** The object lost its memory. */
  restart(number: number): void {
    const kept = this.all[number]!;
    kept.neighbours = new PoolNeighbours({
      number,
      stored: kept.pools,
      store: (pools) => {
        kept.pools = pools;
      },
      ...{ sql: kept.sql, records: kept.store, book: () => kept.book },
      outbox: {
        waitingOf: (tab) => kept.orders.filter((order) => order.tab === tab),
        take: (orders) => void kept.orders.push(...orders),
      },
      neighbour: (pool) => this.#call(pool),
      homeKeyOf: async (identity) => identity,
      sockets: () => kept.sockets,
      soft: () => 10,
      grown: () => undefined,
      now: () => this.now,
      log: () => undefined,
    });
    kept.book = new RecordBook(
      kept.store,
      () => this.now,
      () => undefined,
      kept.neighbours.forward,
    );
  }

  #call(pool: number) {
    const at = async () => {
      const kept = this.all[pool];
      if (kept === undefined || kept.isSilent) throw new Error('it cannot be reached');
      return kept.neighbours;
    };
    return {
      handOver: async (identity: string, to: number) => (await at()).handOver(identity, to),
      foundLate: async (...found: [number, Parameters<PoolNeighbours['foundLate']>[1]]) =>
        (await at()).foundLate(...found, false),
      sockets: async () => {
        await at();
        return this.all[pool]?.sockets ?? 0;
      },
      grew: async (pools: number) => (await at()).heardOf(pools),
      overflowed: async () => {
        await (await at()).grow();
        return (await at()).pools;
      },
    };
  }

  grow(pools: number): void {
    for (const { neighbours } of this.all) neighbours.heardOf(pools);
  }
}

describe('a ban', () => {
  it('[Q4] is on the record of every pool that a tab gets into, whatever moves, restarts or is silent', async () => {
    const act = fc.oneof(
      fc.record({ do: fc.constant('grow' as const) }),
      fc.record({ do: fc.constant('join' as const), isNameless: fc.boolean() }),
      fc.record({ do: fc.constant('restart' as const), pool: fc.nat(7) }),
      fc.record({ do: fc.constant('silence' as const), pool: fc.nat(7) }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.string({ minLength: 1 }),
        fc.nat(12),
        fc.array(act, { maxLength: 40 }),
        async (tab, banAt, acts) => {
          const pools = new Pools(Array<number>(8).fill(0));
          let count = 1;
          let seat = 0;
          for (const [step, one] of acts.entries()) {
            // Whoever has the tab finds it out.
            if (step === banAt) pools.all[seat]!.book.ban(tab, CLASS);
            if (one.do === 'grow') {
              count = Math.min(8, count + 1);
              pools.grow(count);
            } else if (one.do === 'restart') pools.restart(one.pool);
            else if (one.do === 'silence') pools.all[one.pool]!.isSilent = !pools.all[one.pool]!.isSilent;
            else {
              const to = one.isNameless ? 0 : homeOf(tab, count);
              if (!(await pools.all[to]!.neighbours.claim(tab))) continue;
              seat = to;
              expect(pools.all[seat]!.book.standing(tab, CLASS)).toBe(step < banAt ? 'new' : 'banned');
            }
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  it('[Q4] a tab does not get in while a pool that may know it is silent, and its orders to the ledger come along', async () => {
    const pools = new Pools([0, 0]);
    const tab = Array.from({ length: 50 }, (_, at) => `tab ${at}`).find((name) => homeOf(name, 2) === 1)!;
    const order: StandingOrder = { id: 'standing:1', tab, class: CLASS, standing: 'fraud' };
    pools.all[0]!.book.ban(tab, CLASS);
    pools.all[0]!.orders.push(order, { ...order, id: 'standing:2', tab: 'another' });
    pools.grow(2);
    pools.all[0]!.isSilent = true;
    expect(await pools.all[1]!.neighbours.claim(tab)).toBe(false);
    pools.all[0]!.isSilent = false;
    expect(await pools.all[1]!.neighbours.claim(tab)).toBe(true);
    expect(pools.all[1]!.orders).toEqual([order]);
    expect(pools.all.map(({ neighbours }) => neighbours.keeps(tab, false))).toEqual([false, true]);
  });
});

describe('how many pools there are', () => {
  const counts = ({ all }: Pools) => all.map(({ neighbours }) => neighbours.pools);

  it('[Q2] is decided by the first for all tabs, told to the others, written down, and never less', async () => {
    const pools = new Pools([6, 11, 0, 0]);
    pools.grow(2);
    await pools.all[1]!.neighbours.full();
    expect(counts(pools).slice(0, 3)).toEqual([3, 3, 3]); // 17 tabs, 8 to a pool.
    for (const number of [0, 1]) pools.restart(number);
    expect(counts(pools).slice(0, 2)).toEqual([3, 3]);
    pools.now += 10_000;
    await pools.all[0]!.neighbours.full();
    pools.all[1]!.neighbours.heardOf(2);
    pools.all[1]!.neighbours.heardOf(Number.NaN);
    pools.all[1]!.neighbours.heardOf(1_000);
    expect(counts(pools).slice(0, 2)).toEqual([3, 3]);
  });

  it('[Q2] does not count the tabs of a pool that is silent, until it answers again', async () => {
    const pools = new Pools([11, 8, 0]);
    pools.grow(2);
    pools.all[1]!.isSilent = true;
    await pools.all[0]!.neighbours.full();
    expect(counts(pools).slice(0, 2)).toEqual([2, 2]);
    pools.all[1]!.isSilent = false;
    pools.now += 10_000;
    await pools.all[0]!.neighbours.full();
    expect(counts(pools).slice(0, 2)).toEqual([3, 3]);
  });
});
