import { env, evictDurableObject, runDurableObjectAlarm, runInDurableObject, SELF } from 'cloudflare:test';
import { describe, expect, it } from 'vitest';
import { toBase64Url } from '../../shared/bytes.ts';
import { SENTENCE_EMBEDDING_PATH } from '../../shared/classes/catalogue.ts';
import { entryOf } from '../../shared/receipt-log/log-api.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';
import { routerKeys, sessionOfTask } from '../keys/router-keys.ts';
import { servedCatalogue } from '../models/served-catalogue.ts';
import { sessionStub } from '../pool/session-calls.ts';
import { lendWorkerdTab } from '../testing/workerd-tab.ts';
import { networkStub } from './network-address.ts';
import { SqlNetworkStore } from './network-store.ts';
import { NETWORK_STORE_EXAM } from './network-store-exam.ts';
import type { HistoryView, NetworkView } from './network-view.ts';

const ORIGIN = 'https://shoal.test';

async function get<T>(path: string): Promise<T> {
  const response = await SELF.fetch(`${ORIGIN}${path}`);
  expect(response.status, path).toBe(200);
  return response.json<T>();
}

describe('the SQL network store', () => {
  it.each(NETWORK_STORE_EXAM.map((examCase, index) => ({ ...examCase, index })))('$title', async ({ run, index }) => {
    const stub = env.NETWORK.get(env.NETWORK.idFromName(`exam ${index}`));
    await runInDurableObject(stub, (_, { storage }) => run(new SqlNetworkStore(storage.sql)));
  });
});

describe('GET /v1/network', () => {
  it('says so where no tab is, and lists the models all the same', async () => {
    const view = await get<NetworkView>('/v1/network');
    expect(view).toMatchObject({ object: 'network', tabs: 0, waiting: 0, recent: [] });
    expect(view.models.map(({ id }) => id)).toContain('shoal-pup-3m');
    expect(await get<HistoryView>('/v1/network/history')).toMatchObject({ object: 'network.history' });
  });

  it('[V1] shows an answer that ended, with nothing that leads to who asked it, after an eviction too', async () => {
    const served = (await servedCatalogue(env)).find((entry) => entry.variant.id === 'q8_0')!;
    const table = new Uint8Array(await (await env.ASSETS.fetch(`${ORIGIN}${SENTENCE_EMBEDDING_PATH}`)).arrayBuffer());
    const tab = await lendWorkerdTab(served.class, table);
    const response = await SELF.fetch(`${ORIGIN}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'shoal-pup-3m:q8_0',
        messages: [{ role: 'user', content: 'to be counted' }],
        shoal: { level: 'none' },
      }),
    });
    const { shoal } = await response.json<{ shoal: { receipt: string; task: string; tab: string } }>();
    const session = sessionStub(
      env,
      await sessionOfTask(await routerKeys(env.SHOAL_ROUTER_SECRET), shoal.task.slice(5)),
    );
    await expect.poll(async () => (await SELF.fetch(`${ORIGIN}/v1/receipts/${shoal.receipt}`)).status).toBe(200);
    await runDurableObjectAlarm(session); // False when it went off by itself already.
    await expect.poll(async () => (await get<NetworkView>('/v1/network')).recent.length).toBe(1);
    await evictDurableObject(networkStub(env));
    const view = await get<NetworkView>('/v1/network');
    const receipt = await get<Signed>(`/v1/receipts/${shoal.receipt}`);
    expect(view.recent).toEqual([
      {
        entry: toBase64Url(await entryOf(receipt)),
        minute: expect.any(Number),
        model: 'shoal-pup-3m',
        variant: 'q8_0',
        answered: true,
        sure: 'unverified',
        independence: null,
      },
    ]);
    expect(view.last_hour).toMatchObject({ answers: 1, sure: { unverified: 1 } });
    expect(view.tabs).toBe(1);
    const told = JSON.stringify([view, await get<HistoryView>('/v1/network/history')]);
    for (const secret of [shoal.receipt.slice(5), shoal.tab, tab.identity]) expect(told).not.toContain(secret);
    await tab.tab.close();
  });

  it('looks at the pool once a minute while there are tabs, and sleeps when there are none', async () => {
    const stub = networkStub(env);
    await stub.watch();
    await evictDurableObject(stub);
    expect(await runDurableObjectAlarm(stub)).toBe(true);
    const { minutes } = await get<HistoryView>('/v1/network/history');
    expect(minutes.at(-1)?.tabs).not.toBeNull();
  });
});
