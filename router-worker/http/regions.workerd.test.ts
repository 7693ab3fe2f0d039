import { createExecutionContext, env, evictDurableObject, runInDurableObject, SELF } from 'cloudflare:test';
import { afterEach, describe, expect, it } from 'vitest';
import { SENTENCE_EMBEDDING_PATH } from '../../shared/classes/catalogue.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { routerKeys } from '../keys/router-keys.ts';
import { sessionOfId } from '../keys/session-ids.ts';
import { servedCatalogue } from '../models/served-catalogue.ts';
import { poolStub } from '../pool/pool-address.ts';
import { sessionStub } from '../pool/session-calls.ts';
import { lendWorkerdTab, type WorkerdTab } from '../testing/workerd-tab.ts';
import { createApp } from './app.ts';

/** Sessions that want their tabs somewhere: the platform says where a socket comes from. */

const ORIGIN = 'https://shoal.test';
const MODEL = 'shoal-pup-3m';

function call(method: string, path: string, body?: unknown): Promise<Response> {
  return SELF.fetch(ORIGIN + path, {
    method,
    headers: { authorization: 'Bearer mine', 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

async function setUp(body: object): Promise<string> {
  const response = await call('POST', '/v1/sessions', body);
  expect(response.status).toBe(201);
  return (await response.json<{ id: string }>()).id;
}
const ask = (session: string, part: object = {}) =>
  call('POST', '/v1/chat/completions', {
    ...{ model: MODEL, messages: [{ role: 'user', content: 'hello' }], max_tokens: 20 },
    ...{ ...part, shoal: { session, ...(part as { shoal?: object }).shoal } },
  });

const lent: WorkerdTab[] = [];

/** A tab whose socket comes from there. `spoofed`: what its client says of itself. */
async function aTab(country: string | null, engine = new ScriptedEngine(), spoofed = ''): Promise<WorkerdTab> {
  const served = (await servedCatalogue(env)).find(({ variant }) => variant.id === 'q8_0');
  const table = new Uint8Array(await (await env.ASSETS.fetch(`${ORIGIN}${SENTENCE_EMBEDDING_PATH}`)).arrayBuffer());
  const from = { headers: { 'shoal-country': spoofed }, ...(country !== null && { cf: { country } }) };
  const tab = await lendWorkerdTab(served?.class ?? '', table, engine, undefined, from);
  lent.push(tab);
  return tab;
}

afterEach(async () => {
  for (const tab of lent.splice(0)) await tab.tab.close();
});

async function ended(task: string | null): Promise<string[]> {
  for (;;) {
    const view = await (await call('GET', `/v1/tasks/${task}`)).json<{
      status: string;
      tab: string;
      checkers: { tab: string }[];
    }>();
    if (view.status === 'ended') return [view.tab, ...view.checkers.map(({ tab }) => tab)].sort();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('[B10] a session that names regions', () => {
  it('has its prompts read there only, after the pool lost its memory too, and is told whom it can have', async () => {
    const [german, french] = [await aTab('DE'), await aTab('FR')];
    const american = await aTab('US');
    await aTab(null, new ScriptedEngine(), 'DE'); // It says so itself: that counts for nothing.
    await aTab('T1');
    const union = await setUp({ level: 'cross', placement: { regions: ['EU'] } });
    const inUnion = [german.identity, french.identity].sort();
    expect(await ended((await ask(union)).headers.get('shoal-task'))).toEqual(inUnion);
    await evictDurableObject(poolStub(env));
    expect(await ended((await ask(union)).headers.get('shoal-task'))).toEqual(inUnion);
    const tabs = async (regions: string[]) => {
      const session = await setUp({ placement: { regions } });
      const quote = await ask(session, { shoal: { dry_run: true } });
      return (await quote.json<{ tabs: { answering: number } }>()).tabs.answering;
    };
    expect([await tabs(['EU']), await tabs(['europe', 'north-america']), await tabs([])]).toEqual([2, 3, 5]);
    const shown = await (await call('GET', `/v1/tabs/${american.identity}`)).text();
    expect(shown).not.toMatch(/"US"|country|region/);
  });

  it('is refused by name where nobody is there', async () => {
    await aTab('US');
    await aTab(null);
    const session = await setUp({ level: 'none', placement: { regions: ['JP', 'south-america'] } });
    const { placement } = await (await call('GET', `/v1/sessions/${session}`)).json<{ placement: object }>();
    expect(placement).toMatchObject({ regions: ['JP', 'south-america'] });
    for (const part of [{}, { shoal: { dry_run: true } }]) {
      const refused = await ask(session, part);
      expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '15']);
      expect(await refused.json()).toMatchObject({
        error: { code: 'no_tab', param: 'placement.regions', message: expect.stringContaining('JP, south-america') },
      });
    }
  });

  it('holds the pool to it: what the pool forgot, the session knows', async () => {
    const german = await aTab('DE', new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 100 }));
    const session = await setUp({ level: 'cross' });
    const running = await ask(session, { stream: true });
    const task = running.headers.get('shoal-task');
    await expect.poll(async () => (await call('GET', `/v1/tasks/${task}`)).status).toBe(200);
    const others = [await aTab('US'), await aTab('FR'), await aTab(null)];
    const keys = await routerKeys(env.SHOAL_ROUTER_SECRET);
    // What the task was admitted with: set by hand, because the tabs came after it.
    await runInDurableObject(sessionStub(env, await sessionOfId(keys, session)), async (_, state) => {
      const placement = JSON.stringify({ allow: null, block: [], regions: ['EU'] });
      state.storage.sql.exec('UPDATE admitted SET placement = ?', placement);
    });
    await evictDurableObject(poolStub(env));
    await running.text();
    expect(await ended(task)).toEqual([german.identity, others[1]?.identity].sort());
  });

  it('knows of a router on its own machine only what its operator says', async () => {
    const connect = async (region: string | undefined) => {
      const request = new Request('http://localhost:8787/v1/tabs/socket', {
        headers: { upgrade: 'websocket' },
        cf: { country: 'US' },
      } as RequestInit);
      const change = region === undefined ? {} : { SHOAL_LOCAL_REGION: region };
      return createApp().fetch(request, { ...env, ...change }, createExecutionContext());
    };
    const countries = () =>
      runInDurableObject(poolStub(env), (_, state) => state.getWebSockets().flatMap((ws) => state.getTags(ws)));
    for (const [region, country] of [
      ['DE', ['DE']],
      [undefined, []],
    ] as const) {
      const { webSocket } = await connect(region);
      webSocket?.accept();
      expect(await countries()).toEqual(country);
      webSocket?.close();
      await expect.poll(async () => (await countries()).length).toBe(0);
    }
    const refused = await connect('EU');
    expect([refused.status, await refused.json()]).toMatchObject([503, { error: { code: 'router_not_configured' } }]);
  });
});
