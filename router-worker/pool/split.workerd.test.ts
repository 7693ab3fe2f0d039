import { env, evictDurableObject, SELF } from 'cloudflare:test';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { RouterCalls } from '../../client/router-calls.ts';
import { randomBytes, toBase64Url } from '../../shared/bytes.ts';
import { SENTENCE_EMBEDDING_PATH, type ServedVariant } from '../../shared/classes/catalogue.ts';
import { CLOSE, decodeRouterToTab } from '../../shared/protocol/tab-socket.ts';
import { type HeldLease, SealedTask, type TaskUpdate } from '../../shared/sealed-task/sealed-task.ts';
import { generateSigningKeys, signerOf } from '../../shared/signing/signed-statement.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { createStoredIdentity, identityFrom, type TabIdentity } from '../../web-miner/identity/tab-identity.ts';
import { operatorPass, placeOfTask, routerKeys } from '../keys/router-keys.ts';
import { servedCatalogue } from '../models/served-catalogue.ts';
import { networkStub } from '../network/network-address.ts';
import { lendWorkerdTab, type WorkerdTab } from '../testing/workerd-tab.ts';
import { AllPools } from './all-pools.ts';
import { poolStub } from './pool-address.ts';
import { homeOf } from './rendezvous.ts';
import { unwrap } from './session-calls.ts';
import { homeKeyOf } from './tab-home.ts';

/** Tabs move once a second, and a busy machine takes its time. */
const soon = <T>(seen: () => T) => expect.poll(seen, { timeout: 10_000 });
vi.setConfig({ testTimeout: 30_000 });

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

async function lend(identity: TabIdentity, engine?: ScriptedEngine, query?: string): Promise<WorkerdTab> {
  const part = { identity, ...(query !== undefined && { query }) };
  const tab = await lendWorkerdTab(q8.class, table, engine, undefined, {}, part);
  lent.push(tab);
  return tab;
}

const paced = (decodeMsPerToken: number) => new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken });

function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Response> {
  return SELF.fetch(ORIGIN + path, {
    method,
    headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
}

function ask(content: string, part: object = {}): Promise<Response> {
  const messages = [{ role: 'user', content }];
  return call('POST', '/v1/chat/completions', { model: 'shoal-pup-3m:q8_0', messages, max_tokens: 40, ...part });
}

/** A client that seals for itself, by relay. */
async function askSealed(content: string, prefer: string | null = null): Promise<TaskUpdate[]> {
  const { pair, publicKey } = await generateSigningKeys();
  const nonce = toBase64Url(randomBytes(16));
  const sampling = { maxTokens: 40 };
  const calls = new RouterCalls(ORIGIN, (input, init) => SELF.fetch(new Request(input, init)));
  const { signal } = new AbortController();
  const asked = { model: 'shoal-pup-3m:q8_0', sampling, level: 'cross', client: publicKey, nonce } as const;
  const stream = await calls.openTask({ ...asked, session: nonce, prefer }, signal);
  const accessOf = ({ lease, token }: HeldLease) => ({ task: lease.task, token });
  const task = new SealedTask(
    stream,
    {
      messages: [{ role: 'user', content }],
      stop: [],
      sampling,
      private: true,
      signer: signerOf(pair.privateKey, publicKey),
      nonce,
      routerKey: null,
      level: 'cross',
    },
    {
      deliver: (envelope, held) => calls.sendEnvelope(accessOf(held), envelope),
      handOn: (wrap, held) => calls.sendWrap(accessOf(held), wrap),
      reattach: (held, from) => calls.reattach(accessOf(held), held.statement, from, signal),
    },
  );
  const updates: TaskUpdate[] = [];
  for await (const update of task.updates()) updates.push(update);
  return updates;
}

const NONE = { shoal: { level: 'none' } };

/** Tabs by pool. */
async function tabsByPool(pools: number): Promise<number[]> {
  const each = Array.from({ length: pools }, (_, pool) => poolStub(env, pool).kinds());
  return (await Promise.all(each)).map((kinds) => kinds.reduce((sum, { tabs }) => sum + tabs, 0));
}

async function standingOf(tab: string): Promise<unknown> {
  const view = await (await call('GET', `/v1/tabs/${tab}`)).json<{ records: { class: string; standing: string }[] }>();
  return view.records.find(({ class: id }) => id === q8.class)?.standing;
}

async function setStanding(tab: string, standing: 'banned' | 'new'): Promise<void> {
  const authorization = `Bearer ${await operatorPass(await routerKeys(env.SHOAL_ROUTER_SECRET))}`;
  const set = await call('POST', `/v1/tabs/${tab}/standing`, { class: q8.class, standing }, { authorization });
  expect(set.status).toBe(200);
}

/** What the operator would set: from so many sockets on a pool is too full. */
function limitSockets(most: number | null): void {
  Object.assign(env, { SHOAL_POOL_SOCKETS: most === null ? undefined : String(most) });
}

/** The tests share one network, which grows: from one pool to two, and at the end to three. */
describe('a network whose pool is too full', () => {
  it('[Q1] [Q2] [Q3] [Q4] gets another pool; idle tabs go there with their records, one at work when it is done', async () => {
    const banned = await lend(await identityAt(1, 2));
    await setStanding(banned.identity, 'banned');
    const busy = await lend(await identityAt(1, 2), paced(25));
    const staying = await lend(await identityAt(0, 2), paced(25));
    const allow = { placement: { allow: [busy.identity] }, level: 'none' };
    const session = await (await call('POST', '/v1/sessions', allow)).json<{ id: string }>();
    const answer = ask('hello', { shoal: { session: session.id } });
    await soon(async () => (await new AllPools(env).outlook({ allow: null, block: [] }, [q8.class], 1)).able.free).toBe(
      1,
    );
    expect(await poolStub(env).pools()).toBe(1);

    limitSockets(3);
    const last = await lend(await identityAt(1, 2));
    await soon(() => poolStub(env).pools()).toBe(2);
    limitSockets(null);
    await soon(() => [banned.closes, last.closes]).toEqual([[CLOSE.moved], [CLOSE.moved]]);
    const whole = await (await answer).json<{ choices: { message: { content: string } }[]; shoal: { tab: string } }>();
    expect(whole.shoal.tab).toBe(busy.identity);
    expect(whole.choices[0]?.message.content).not.toBe('');
    await soon(() => busy.closes).toEqual([CLOSE.moved]);
    await soon(() => tabsByPool(2)).toEqual([1, 3]);
    expect(staying.closes).toEqual([]);
    expect(await standingOf(banned.identity)).toBe('banned');
    await poolStub(env, 1).grew(1); // Old news.
    await evictDurableObject(poolStub(env));
    await evictDurableObject(poolStub(env, 1));
    expect([await poolStub(env).pools(), await poolStub(env, 1).pools()]).toEqual([2, 2]);
    expect(await tabsByPool(2)).toEqual([1, 3]);
    const able = (await new AllPools(env).outlook({ allow: null, block: [] }, [q8.class], 1)).able;
    expect(able).toEqual({ tabs: 3, free: 3, checkers: 0 }); // Not the banned one.
  });

  it('[Q5] finds the only tab of a model in whatever pool it is, and says no_tab when there is none', async () => {
    for (const pool of [0, 1]) {
      const tab = await lend(await identityAt(pool, 2));
      expect(await tabsByPool(2)).toEqual(pool === 0 ? [1, 0] : [0, 1]);
      for (const hello of ['a', 'b', 'c', 'd', 'e', 'f']) {
        const answer = await ask(`${hello} ${pool}`, NONE);
        expect(answer.status).toBe(200);
        expect((await answer.json<{ shoal: { tab: string } }>()).shoal.tab).toBe(tab.identity);
      }
      await tab.tab.close();
      await soon(() => tabsByPool(2)).toEqual([0, 0]);
    }
    const refused = await ask('nobody', NONE);
    expect([refused.status, (await refused.json<{ error: { code: string } }>()).error.code]).toEqual([503, 'no_tab']);
  });

  it('[Q5] prefers a pool where the answer can be checked', async () => {
    await lend(await identityAt(0, 2));
    await lend(await identityAt(1, 2));
    await lend(await identityAt(1, 2));
    for (const hello of ['1', '2', '3', '4']) {
      const answer = await ask(hello, { shoal: { level: 'cross', await_verdict: true } });
      expect((await answer.json<{ shoal: { verdict: unknown } }>()).shoal).toMatchObject({ sure: 'verified' });
    }
  });

  it('[Q5] [Q6] answers a sealed prompt, checks it, and gives its receipt, in each of its pools', async () => {
    for (const pool of [0, 1]) {
      const tabs = [await lend(await identityAt(pool, 2)), await lend(await identityAt(pool, 2))];
      const updates = await askSealed('hello');
      expect(updates.map(({ type }) => type)).toContain('text');
      expect(updates.at(-1)).toMatchObject({ type: 'ended', verdict: { value: 'valid' } });
      const leased = updates.find((update) => update.type === 'leased');
      const known = await placeOfTask(await routerKeys(env.SHOAL_ROUTER_SECRET), leased?.lease.task ?? '');
      expect(known.pool).toBe(pool);
      await Promise.all(tabs.map(({ tab }) => tab.close()));
      await soon(() => tabsByPool(2)).toEqual([0, 0]);
    }
  });

  it('[Q5] gives a client the tab that it has a link to, in whatever pool it is', async () => {
    const tabs = [await lend(await identityAt(0, 2)), await lend(await identityAt(1, 2))];
    for (const { identity } of [...tabs, ...tabs]) {
      const leased = (await askSealed('again', identity)).find((update) => update.type === 'leased');
      expect(leased?.lease.tab).toBe(identity);
    }
  });

  it('[Q5] gives a client another tab, in whatever pool, where the one that it has a link to does not serve the model', async () => {
    const other = (await servedCatalogue(env)).find((entry) => entry.class !== q8.class)!;
    const linked = await identityAt(1, 2);
    lent.push(await lendWorkerdTab(other.class, table, undefined, undefined, {}, { identity: linked }));
    const { identity } = await lend(await identityAt(0, 2));
    const leased = (await askSealed('elsewhere', linked.signer.publicKey)).find((update) => update.type === 'leased');
    expect(leased?.lease.tab).toBe(identity);
  });

  it('spreads the parts of one request over the pools', async () => {
    const tabs = [await lend(await identityAt(0, 2), paced(10)), await lend(await identityAt(1, 2), paced(10))];
    const answer = await ask('parts', { n: 6, shoal: { level: 'none' } });
    const { choices } = await answer.json<{ choices: { shoal: { tab: string } }[] }>();
    expect(new Set(choices.map(({ shoal }) => shoal.tab))).toEqual(new Set(tabs.map(({ identity }) => identity)));
  });

  it('[Q7] counts every tab once, and of a session stops what runs in every pool', async () => {
    await lend(await identityAt(0, 2), paced(40));
    await lend(await identityAt(1, 2), paced(40));
    const models = await (await call('GET', '/v1/models/shoal-pup-3m')).json<{ shoal: { tabs: number } }>();
    expect(models.shoal.tabs).toBe(2);
    const view = unwrap(await networkStub(env).view());
    expect(view).toMatchObject({ tabs: 2, pools: 2, silent_pools: 0, networks: 1 });

    const { id } = await (await call('POST', '/v1/sessions', { level: 'none', tabs: { min: 2 } })).json<{
      id: string;
    }>();
    const running: Response[] = [];
    for (const [at, hello] of ['x', 'y'].entries()) {
      running.push(await ask(hello, { stream: true, max_tokens: 400, shoal: { session: id } }));
      await soon(async () => (await new AllPools(env).kinds()).map(({ free }) => free)).toEqual([1 - at]);
    }
    expect((await call('DELETE', `/v1/sessions/${id}`)).status).toBe(200);
    for (const answer of running) expect(await answer.text()).toContain('cancelled');
  });
});

describe('the record of a tab', () => {
  it('[Q4] hears in its new pool what the old one found afterwards', async () => {
    const tab = await lend(await identityAt(1, 2));
    await poolStub(env).suspect(tab.identity, q8.class, 'empty');
    const suspicious = async () => (await new AllPools(env).tab(tab.identity)).view.records[0]?.counts.suspicious;
    await soon(suspicious).toBe(1);
    const seen = await Promise.all([0, 1].map((pool) => poolStub(env, pool).seenTab(tab.identity)));
    expect(seen.map(({ isHere, view }) => [isHere, view.records.length])).toEqual([
      [false, 0],
      [true, 1],
    ]);
  });

  it('[Q4] is not shed by a socket that names nobody, nor by coming back under its name', async () => {
    const identity = await identityAt(1, 2);
    const named = await lend(identity);
    await setStanding(named.identity, 'banned');
    await named.tab.close();
    const address = `${ORIGIN}/v1/tabs/socket`;
    const { webSocket: socket } = await SELF.fetch(address, { headers: { upgrade: 'websocket' } });
    const closed = new Promise<number>((resolve) => socket?.addEventListener('close', ({ code }) => resolve(code)));
    socket?.accept();
    expect(await closed).toBe(CLOSE.version); // Where there are several pools, a tab names itself.
    expect(await standingOf(named.identity)).toBe('banned');
    await lend(identity);
    expect(await tabsByPool(2)).toEqual([0, 1]);
    expect(await standingOf(named.identity)).toBe('banned');
    await setStanding(named.identity, 'new');
    expect((await ask('one that was pardoned', NONE)).status).toBe(200);
  });
});

describe('a tab’s socket', () => {
  it('[Q3] comes back, when it dropped at work, to the pool where it works, and goes to its place afterwards', async () => {
    let identity = await identityAt(0, 2);
    while (homeOf(await homeKeyOf(await routerKeys(env.SHOAL_ROUTER_SECRET), identity.signer.publicKey), 3) !== 2) {
      identity = await identityAt(0, 2);
    }
    const tab = await lend(identity, paced(10));
    const answer = ask('a long way', NONE);
    await soon(async () => (await poolStub(env).kinds()).map(({ free }) => free)).toEqual([0]);
    await poolStub(env).grew(3);
    await poolStub(env, 1).grew(3);
    tab.break();
    await tab.reconnect();
    const { shoal, usage } = await (await answer).json<{
      shoal: { tab: string };
      usage: { completion_tokens: number };
    }>();
    expect([shoal.tab, usage.completion_tokens > 1]).toEqual([tab.identity, true]);
    await soon(() => tabsByPool(3)).toEqual([0, 0, 1]);
    expect(tab.closes).toEqual([CLOSE.moved]);
  });

  it('[Q1] must prove the identity that it was opened for', async () => {
    const other = (await identityAt(1, 2)).signer.publicKey;
    const address = `${ORIGIN}/v1/tabs/socket?tab=${other}`;
    const { webSocket: socket } = await SELF.fetch(address, { headers: { upgrade: 'websocket' } });
    const closed = new Promise<number>((resolve) => socket?.addEventListener('close', ({ code }) => resolve(code)));
    socket?.addEventListener('message', ({ data }) => void introduce(String(data)));
    const introduce = async (text: string) => {
      const message = decodeRouterToTab(text);
      if (message.t !== 'challenge') return;
      const { signer } = await identityAt(0, 2);
      const claim = JSON.stringify({ v: 1, nonce: message.nonce, router: message.router });
      const proof = await signer.sign('hello', claim);
      const rest = { keys: [], models: [], direct: false, checkOnly: false, guard: null, running: [] };
      socket?.send(JSON.stringify({ t: 'hello', v: message.v, proof, ...rest }));
    };
    socket?.accept();
    expect(await closed).toBe(CLOSE.protocol);
    expect(await new AllPools(env).kinds()).toEqual([]);
  });

  it('is refused where it names nobody who could be', async () => {
    const refused = await call('GET', '/v1/tabs/socket?tab=me', undefined, { upgrade: 'websocket' });
    const { error } = await refused.json<{ error: { code: string; param: string } }>();
    expect([refused.status, error.code, error.param]).toEqual([400, 'invalid_value', 'tab']);
  });

  it('[Q2] is told to come later where its pool takes no more', async () => {
    limitSockets(1);
    const full = await Promise.all(Array.from({ length: 4 }, () => identityAt(0, 3)));
    for (const identity of full) await lend(identity);
    const late = (await identityAt(0, 3)).signer.publicKey;
    const refused = await call('GET', `/v1/tabs/socket?tab=${late}`, undefined, { upgrade: 'websocket' });
    limitSockets(null);
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '30']);
    expect((await refused.json<{ error: { code: string } }>()).error.code).toBe('overloaded');
  });
});
