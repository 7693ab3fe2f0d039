import type { ProbeRow } from '../../shared/checking/probe-row.ts';
import { ShoalError } from '../../shared/errors.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Placement } from '../../shared/protocol/placement.ts';
import type { Env } from '../env.ts';
import { placeOfTask, routerKeys } from '../keys/router-keys.ts';
import type { TabView } from '../record/record-book.ts';
import type { Decision } from '../session/session.ts';
import { servableClasses } from './asked-of.ts';
import { inTime } from './in-time.ts';
import type { LivePool } from './live-pool.ts';
import type { Outlook } from './outlook.ts';
import { type Place, type PlaceWant, placeRequest } from './place-request.ts';
import { poolStub } from './pool-address.ts';
import { askPools, isLongSinceHeard, knownPools } from './pool-count.ts';
import type { PoolObject } from './pool-object.ts';
import { homesUpTo } from './rendezvous.ts';
import { sumOfCensus, sumOfDemand, sumOfKinds, sumOfLive, sumOfOutlooks } from './sum-of-pools.ts';
import type { Served } from './tab.ts';
import { homeKeyOf } from './tab-home.ts';
import type { Census, TabKind } from './tab-roster.ts';
import type { Demand } from './wanted-classes.ts';

/** A pool that is looked at on a request's path, and does not answer in this time, ms, is left out. */
const LOOK_MS = 1_000;
/** So is one that is added up with others. */
const SUM_MS = 3_000;
/** How often a tab is looked for whose records are just moving. */
const TAB_ATTEMPTS = 3;
/** When somebody may ask again who found no pool, ms. */
const OUT_OF_REACH_MS = 5_000;

type PoolEnv = Pick<Env, 'POOL' | 'SHOAL_ROUTER_SECRET'>;
type PoolStub = DurableObjectStub<PoolObject>;

/** What was seen of the network's pools, and how many of them were silent. */
export interface SeenPools<T> {
  readonly seen: T;
  readonly pools: number;
  readonly silent: number;
}

/** All pools of the network as one. With one pool every call is one call of it. */
export class AllPools {
  readonly #env: PoolEnv;

  constructor(env: PoolEnv) {
    this.#env = env;
  }

  /**
   * The pools that a request may go to, the best first: see {@link placeRequest}. `prefer`: a tab that the client has a link to; where it is connected, that pool is
   * the only one, unless nobody can serve the request there.
   */
  async place(
    want: PlaceWant,
    prefer: string | null,
    known: Promise<number> = knownPools(this.#env),
  ): Promise<readonly Place[]> {
    const pools = await known;
    if (pools === 1) return [{ pool: 0, free: 0 }];
    const { allow, block, regions = [], tokens } = want;
    const classes = servableClasses(want.level, want.classes);
    const look = (pool: number) =>
      inTime<Outlook>(this.#stub(pool).outlook({ allow, block, regions }, classes, tokens), LOOK_MS);
    for (const pool of prefer === null ? [] : await this.#homesOf(prefer, pools)) {
      const seen = await inTime<{ readonly served: Served | null }>(this.#stub(pool).seenTab(prefer ?? ''), LOOK_MS);
      if (seen?.served == null) continue;
      const able = (await look(pool))?.able;
      if (able !== undefined && able.tabs > 0) return [{ pool, free: able.free }];
    }
    return placeRequest(want, pools, {
      homesOf: (tab, count) => this.#homesOf(tab, count),
      look,
      askPools: () => askPools(this.#env),
      random: Math.random,
    });
  }

  async outlook(placement: Placement, classes: readonly string[], tokens: number): Promise<Outlook> {
    const { seen } = await this.#each<Outlook>((pool) => pool.outlook(placement, classes, tokens), LOOK_MS);
    return sumOfOutlooks(seen);
  }

  async census(): Promise<Census[]> {
    return sumOfCensus((await this.#each<Census[]>((pool) => pool.census())).seen);
  }

  async kinds(): Promise<TabKind[]> {
    return sumOfKinds((await this.#each<TabKind[]>((pool) => pool.kinds())).seen);
  }

  async demand(): Promise<Demand[]> {
    return sumOfDemand((await this.#each<Demand[]>((pool) => pool.demand())).seen);
  }

  async live(
    models: readonly { readonly model: string; readonly classes: readonly string[] }[],
  ): Promise<SeenPools<LivePool>> {
    const { seen, ...counts } = await this.#each((pool) => pool.live(models));
    return { seen: sumOfLive(seen), ...counts };
  }

  async readings(model: string): Promise<ProbeRow[]> {
    return (await this.#each<ProbeRow[]>((pool) => pool.readings(model))).seen.flat();
  }

  /** Those of these tasks that a pool has. A pool that cannot be asked may have its own. */
  async inHand(tails: readonly TaskTail[]): Promise<TaskTail[]> {
    const byPool = await this.#byPool(tails, (tail) => tail);
    const inHand = await Promise.all(
      [...byPool].map(([pool, own]) => (byPool.size === 1 ? this.#stub(pool).inHand(own) : this.#inHand(pool, own))),
    );
    return inHand.flat();
  }

  async #inHand(pool: number, tails: readonly TaskTail[]): Promise<readonly TaskTail[]> {
    return (await inTime<TaskTail[]>(this.#stub(pool).inHand(tails), SUM_MS)) ?? tails;
  }

  /** Rejects when one of their pools cannot be reached. */
  async stop(tails: readonly TaskTail[]): Promise<void> {
    const byPool = await this.#byPool(tails, (tail) => tail);
    await Promise.all([...byPool].map(([pool, own]) => this.#stub(pool).stop(own)));
  }

  /** Rejects when one of their pools cannot be reached. */
  async decided(tasks: readonly { readonly tail: TaskTail; readonly decision: Decision }[]): Promise<void> {
    const byPool = await this.#byPool(tasks, ({ tail }) => tail);
    await Promise.all([...byPool].map(([pool, own]) => this.#stub(pool).decided(own)));
  }

  /** A tab: its records where they are kept, and what it serves where it is connected. */
  async tab(identity: string): Promise<{ readonly view: TabView; readonly served: Served | null }> {
    for (let attempt = 1; ; attempt++) {
      const homes = await this.#homesOf(identity, await knownPools(this.#env));
      const seen = await Promise.all(homes.map((pool) => this.#stub(pool).seenTab(identity)));
      const here = seen.find(({ isHere }) => isHere);
      const served = seen.find((one) => one.served !== null)?.served ?? null;
      if (here !== undefined) return { view: here.view, served };
      if (attempt === TAB_ATTEMPTS) throw outOfReach('The records of this tab are just moving.');
      await askPools(this.#env);
    }
  }

  /** By word of the operator: at the pool that keeps the tab's records, from where it goes along. */
  async setStanding(identity: string, classId: string, standing: 'banned' | 'new'): Promise<void> {
    for (let attempt = 1; attempt <= TAB_ATTEMPTS; attempt++) {
      for (const pool of await this.#homesOf(identity, await knownPools(this.#env))) {
        if (await this.#stub(pool).setStanding(identity, classId, standing)) return;
      }
      await askPools(this.#env);
    }
    throw outOfReach('The records of this tab are just moving.');
  }

  /** A tab was paired with an account, or is nobody's any more. Told to every pool where it may be: only the one where it is connected minds. */
  async owned(identity: string, owner: string | null): Promise<void> {
    const homes = await this.#homesOf(identity, await knownPools(this.#env));
    await Promise.all(homes.map((pool) => this.#stub(pool).owned(identity, owner)));
  }

  #stub(pool: number): PoolStub {
    return poolStub(this.#env, pool);
  }

  /** Where a tab may be, where it belongs first. */
  async #homesOf(identity: string, pools: number): Promise<readonly number[]> {
    if (pools === 1) return [0];
    return homesUpTo(await homeKeyOf(await routerKeys(this.#env.SHOAL_ROUTER_SECRET), identity), pools);
  }

  /** Rejects when the only pool does, or all are silent. */
  async #each<T>(ask: (pool: PoolStub) => Promise<T>, deadlineMs = SUM_MS): Promise<SeenPools<T[]>> {
    const known = await knownPools(this.#env);
    const counted = isLongSinceHeard() ? askPools(this.#env) : known; // At the same time: nobody waits for it.
    const askFrom = (first: number, until: number) =>
      Array.from({ length: until - first }, (_, at) => inTime(ask(this.#stub(first + at)), deadlineMs));
    const asked = known === 1 ? [ask(this.#stub(0))] : askFrom(0, known);
    const first = await Promise.all(asked);
    const pools = await counted;
    const seen = [...first, ...(await Promise.all(askFrom(known, pools)))].filter((one) => one !== null);
    if (seen.length === 0) throw outOfReach('No pool of the network answers.');
    return { seen, pools, silent: pools - seen.length };
  }

  async #byPool<T>(all: readonly T[], tailOf: (one: T) => TaskTail): Promise<Map<number, T[]>> {
    const keys = await routerKeys(this.#env.SHOAL_ROUTER_SECRET);
    const byPool = new Map<number, T[]>();
    for (const one of all) {
      const { pool } = await placeOfTask(keys, tailOf(one));
      byPool.set(pool, [...(byPool.get(pool) ?? []), one]);
    }
    return byPool;
  }
}

function outOfReach(message: string): ShoalError {
  return new ShoalError('overloaded', message, { retryAfterMs: OUT_OF_REACH_MS });
}
