import { env, evictDurableObject, runInDurableObject, SELF } from 'cloudflare:test';
import { afterEach, beforeAll, describe, expect, it } from 'vitest';
import { SENTENCE_EMBEDDING_PATH, type ServedVariant } from '../../shared/classes/catalogue.ts';
import { CLOSE } from '../../shared/protocol/tab-socket.ts';
import type { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { createStoredIdentity, identityFrom, type TabIdentity } from '../../web-miner/identity/tab-identity.ts';
import { operatorPass, routerKeys } from '../keys/router-keys.ts';
import { servedCatalogue } from '../models/served-catalogue.ts';
import { lendWorkerdTab, type WorkerdTab } from '../testing/workerd-tab.ts';
import { AllPools } from './all-pools.ts';
import { poolStub } from './pool-address.ts';
import { homeOf } from './rendezvous.ts';
import { homeKeyOf } from './tab-home.ts';

const ORIGIN = 'https://shoal.test';
const lent: WorkerdTab[] = [];
let q8: ServedVariant;
let table: Uint8Array<ArrayBuffer>;

beforeAll(async () => {
  q8 = (await servedCatalogue(env)).find((entry) => entry.variant.id === 'q8_0')!;
  table = new Uint8Array(await (await env.ASSETS.fetch(`${ORIGIN}${SENTENCE_EMBEDDING_PATH}`)).arrayBuffer());
});

afterEach(async () => {
  for (const tab of lent.splice(0)) await tab.tab.close();
});

/** An identity whose place among so many pools is this one. */
async function identityAt(pool: number, pools: number): Promise<TabIdentity> {
  const keys = await routerKeys(env.SHOAL_ROUTER_SECRET);
  for (;;) {
    const identity = identityFrom(await createStoredIdentity());
    if (homeOf(await homeKeyOf(keys, identity.signer.publicKey), pools) === pool) return identity;
  }
}

async function lend(identity: TabIdentity, engine?: ScriptedEngine, namesItself = true): Promise<WorkerdTab> {
  const tab = await lendWorkerdTab(q8.class, table, engine, undefined, { identity, namesItself });
  lent.push(tab);
  return tab;
}

/** The pools grow to so many, as pool 0 decides when its tabs are too many. */
async function grownTo(pools: number): Promise<void> {
  await runInDurableObject(poolStub(env), async (pool) => pool.grew(pools));
  for (let number = 1; number < pools; number++) await poolStub(env, number).grew(pools);
}

describe('spike', () => {
  it('env can be set', async () => {
    Object.assign(env, { SHOAL_POOL_SOCKETS: '2' });
    await runInDurableObject(poolStub(env), (pool) => {
      console.log('ENV', (pool as unknown as { env: Record<string, unknown> }).env.SHOAL_POOL_SOCKETS);
    });
    const a = await lend(await identityAt(1, 2));
    const b = await lend(await identityAt(0, 2));
    console.log(await poolStub(env).pools());
    const c = await lend(await identityAt(1, 2));
    await expect.poll(() => poolStub(env).pools()).toBe(2);
    await expect.poll(async () => (await poolStub(env, 1).census()).map(({ tabs }) => tabs)).toEqual([2]);
    expect([a.closes, b.closes, c.closes]).toEqual([[CLOSE.moved], [], [CLOSE.moved]]);
  });
});
