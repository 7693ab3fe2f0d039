import { env, evictDurableObject, runDurableObjectAlarm, SELF } from 'cloudflare:test';
import { afterEach, describe, expect, it } from 'vitest';
import { SENTENCE_EMBEDDING_PATH } from '../../shared/classes/catalogue.ts';
import type { ErrorCode } from '../../shared/errors.ts';
import {
  TAB_PROOF_HEADER,
  TAB_PROOF_LIFE_MS,
  type TabOwnerAct,
  tabProof,
} from '../../shared/protocol/tab-owner-api.ts';
import { ERROR_POLICIES } from '../../shared/refusals.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { TabOwnerCalls } from '../../web-miner/work/tab-owner.ts';
import { accountStub } from '../accounts/account-object.ts';
import { pairingStub } from '../accounts/pairing-object.ts';
import { operatorPass, routerKeys } from '../keys/router-keys.ts';
import { ledgerStub } from '../ledger/ledger-address.ts';
import { servedCatalogue } from '../models/served-catalogue.ts';
import { poolStub } from '../pool/pool-address.ts';
import { unwrap } from '../pool/session-calls.ts';
import { lendWorkerdTab, type WorkerdTab } from '../testing/workerd-tab.ts';

const ORIGIN = 'https://shoal.test';
const MODEL = 'shoal-pup-3m:q8_0';

async function call(method: string, path: string, key: string | null, body?: object, headers: object = {}) {
  const response = await SELF.fetch(ORIGIN + path, {
    method,
    headers: {
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return response;
}

async function refusal(response: Response): Promise<unknown[]> {
  const { error } = await response.json<{ error: { code: ErrorCode; param: string | null } }>();
  expect(response.status).toBe(ERROR_POLICIES[error.code].status);
  return [error.code, error.param];
}

interface Holder {
  readonly key: string;
  readonly account: string;
}

/** Somebody with a key, and so many micro-credits. */
async function aHolder(name = 'Ann', credits = 0): Promise<Holder> {
  const operator = await operatorPass(await routerKeys(env.SHOAL_ROUTER_SECRET));
  const made = await (await call('POST', '/v1/keys', operator, { name })).json<Holder & { id: string }>();
  if (credits > 0) await call('POST', '/v1/credits', operator, { id: made.id, account: made.account, amount: credits });
  return made;
}

interface OfferedPairing {
  readonly code: string;
  readonly link: string;
  readonly owner: string;
  readonly devices: number;
  readonly expires_at: number;
}
const offer = async ({ key }: Holder, part: object = {}) =>
  (await call('POST', '/v1/account/pairings', key, part)).json<OfferedPairing>();
const devicesOf = async ({ key }: Holder) =>
  (await (await call('GET', '/v1/account/devices', key)).json<{ data: Record<string, unknown>[] }>()).data;
const freeOf = async ({ key }: Holder) => (await (await call('GET', '/v1/account', key)).json<{ free: number }>()).free;

interface ProofPart {
  readonly code?: string;
  readonly router?: string;
  readonly at?: number;
}

/** A call that a tab signs; `claimed`: what it signs, where that is something else. */
async function say(
  tab: WorkerdTab,
  act: TabOwnerAct,
  part: ProofPart = {},
  claimed: TabOwnerAct = act,
  signer = tab.signer,
) {
  const { publicKey: router } = (await routerKeys(env.SHOAL_ROUTER_SECRET)).signer;
  const proof = await tabProof(signer, { router, code: null, at: Date.now(), ...part, act: claimed });
  const body = part.code === undefined ? undefined : { code: part.code, dry_run: act === 'ask' };
  const method = { look: 'GET', ask: 'POST', pair: 'POST', leave: 'DELETE' }[act];
  return call(method, `/v1/tabs/${tab.identity}/owner`, null, body, { [TAB_PROOF_HEADER]: proof });
}
const seen = async (tab: WorkerdTab) => (await say(tab, 'look')).json<Record<string, unknown>>();

const lent: WorkerdTab[] = [];
async function aTab(address = ''): Promise<WorkerdTab> {
  const table = new Uint8Array(await (await env.ASSETS.fetch(`${ORIGIN}${SENTENCE_EMBEDDING_PATH}`)).arrayBuffer());
  const served = (await servedCatalogue(env)).find(({ variant }) => variant.id === 'q8_0');
  const serves = { model: 'shoal-pup-3m', variant: 'q8_0', embeds: false };
  const tab = await lendWorkerdTab(served?.class ?? '', table, new ScriptedEngine(), serves, address);
  lent.push(tab);
  return tab;
}
async function aPairedTab(holder: Holder, address = ''): Promise<WorkerdTab> {
  const tab = await aTab(address);
  expect((await say(tab, 'pair', { code: (await offer(holder)).code })).status).toBe(201);
  return tab;
}

const ask = (key: string | null, shoal: object = { level: 'none' }, tokens = 32) =>
  call('POST', '/v1/chat/completions', key, {
    model: MODEL,
    messages: [{ role: 'user', content: 'hello' }],
    max_tokens: tokens,
    shoal,
  });

async function boundSession({ key }: Holder, part: object = {}): Promise<string> {
  const { placement, ...rest } = part as { placement?: object };
  const body = { level: 'none', ...rest, placement: { own_devices_only: true, ...placement } };
  return (await (await call('POST', '/v1/sessions', key, body)).json<{ id: string }>()).id;
}

afterEach(async () => {
  for (const tab of lent.splice(0)) await tab.tab.close();
});

describe('a tab and an account', () => {
  it('[O6] are paired when the tab signs a code of the account, and no sooner', async () => {
    const ann = await aHolder('Ann’s network');
    const offered = await offer(ann, { name: 'kitchen', devices: 2 });
    expect(offered).toMatchObject({ object: 'pairing', owner: 'Ann’s network', name: 'kitchen', devices: 2 });
    expect(offered.code).toMatch(/^\w{4}-\w{4}-\w{4}$/);
    expect(offered.link).toBe(`${ORIGIN}/join#pair=${offered.code.replaceAll('-', '')}`);
    expect(JSON.stringify(offered)).not.toContain(ann.account.slice(5));
    const tab = await aTab();
    const asked = await say(tab, 'ask', { code: offered.code });
    expect([asked.status, await asked.json()]).toEqual([
      200,
      { object: 'pairing', owner: 'Ann’s network', devices: 2, expires_at: offered.expires_at },
    ]);
    expect(await devicesOf(ann)).toEqual([]);
    for (let i = 0; i < 2; i++) {
      const paired = await say(tab, 'pair', { code: offered.code.toLowerCase() });
      expect([paired.status, await paired.json()]).toEqual([
        201,
        {
          object: 'tab.owner',
          tab: tab.identity,
          owner: 'Ann’s network',
          name: 'kitchen',
          paired_at: expect.any(Number),
          unit: 'micro-credit',
          ...{ earned: 0, today: 0, collected: 0, waiting: 0, held: 0, lost: 0, step: 1 },
        },
      ]);
    }
    expect(await devicesOf(ann)).toEqual([
      {
        tab: tab.identity,
        object: 'device',
        name: 'kitchen',
        paired_at: expect.any(Number),
        ...{ earned: 0, today: 0, collected: 0, waiting: 0, held: 0, lost: 0, step: 1 },
      },
    ]);
  });

  it('[O6] are not paired by anybody else’s signature, by one for another call or router, or by an old one', async () => {
    const [ann, tab, stranger] = [await aHolder(), await aTab(), await aTab()];
    const { code } = await offer(ann);
    const wrong = [
      await say(tab, 'pair', { code }, 'pair', stranger.signer),
      await say(tab, 'pair', { code }, 'ask'),
      await say(tab, 'look', {}, 'leave'),
      await say(tab, 'pair', { code, router: 'R'.repeat(43) }),
      await say(tab, 'pair', { code, at: Date.now() - TAB_PROOF_LIFE_MS - 1_000 }),
      await say(tab, 'pair', { code, at: Date.now() + TAB_PROOF_LIFE_MS + 5_000 }),
      await call('GET', `/v1/tabs/${tab.identity}/owner`, null),
      await call('GET', `/v1/tabs/${tab.identity}/owner`, ann.key, undefined, { [TAB_PROOF_HEADER]: 'e30' }),
    ];
    for (const response of wrong) expect(await refusal(response)).toEqual(['tab_proof_invalid', TAB_PROOF_HEADER]);
    expect(await devicesOf(ann)).toEqual([]);
    expect((await say(tab, 'pair', { code })).status).toBe(201);
  });

  it('[O6] keep to a code’s time and number, and survive evictions', async () => {
    const [ann, one, other] = [await aHolder(), await aTab(), await aTab()];
    const { code } = await offer(ann, { expires_in_s: 60 });
    await evictDurableObject(accountStub(env, ann.account.slice(5)));
    expect((await say(one, 'pair', { code })).status).toBe(201);
    expect(await refusal(await say(other, 'pair', { code }))).toEqual(['pairing_not_found', 'code']);
    await evictDurableObject(accountStub(env, ann.account.slice(5)));
    await evictDurableObject(ledgerStub(env));
    expect((await devicesOf(ann)).map(({ tab }) => tab)).toEqual([one.identity]);
    const later = await offer(ann);
    expect(await runDurableObjectAlarm(pairingStub(env, later.code.replaceAll('-', '')))).toBe(true);
    expect(await refusal(await say(other, 'ask', { code: later.code }))).toEqual(['pairing_not_found', 'code']);
  });

  it('[O6] part when either of them says so', async () => {
    const ann = await aHolder();
    const tab = await aPairedTab(ann);
    const path = `/v1/account/devices/${tab.identity}`;
    expect(await (await call('DELETE', path, ann.key)).json()).toEqual({
      tab: tab.identity,
      object: 'device',
      deleted: true,
    });
    expect([await devicesOf(ann), await seen(tab)]).toMatchObject([[], { owner: null }]);
    expect(await refusal(await call('DELETE', path, ann.key))).toEqual(['device_not_found', 'tab']);
    expect((await say(tab, 'pair', { code: (await offer(ann)).code })).status).toBe(201);
    expect(await (await say(tab, 'leave')).json()).toMatchObject({ owner: null });
    expect((await say(tab, 'leave')).status).toBe(200);
    expect(await devicesOf(ann)).toEqual([]);
  });

  it('[O6] are for a key without limits to join and to part', async () => {
    const ann = await aHolder();
    const { key } = await (await call('POST', '/v1/keys', ann.key, { budget: 5 })).json<{ key: string }>();
    expect(await refusal(await call('POST', '/v1/account/pairings', key, {}))).toEqual(['key_not_allowed', null]);
    expect(await refusal(await call('DELETE', '/v1/account/devices/x', key))).toEqual(['key_not_allowed', null]);
    expect(await refusal(await call('POST', '/v1/account/pairings', null, {}))).toEqual(['invalid_api_key', null]);
    for (const part of [
      { devices: 17 },
      { devices: 0 },
      { expires_in_s: 59 },
      { expires_in_s: 3_601 },
      { owner: '' },
    ]) {
      const [code, param] = await refusal(await call('POST', '/v1/account/pairings', ann.key, part));
      expect([code, param]).toEqual(['invalid_value', Object.keys(part)[0]]);
    }
  });
});

describe('the calls of a tab about its owner', () => {
  it('[O6] ask, pair, look and leave, and throw what the router refuses', async () => {
    const [ann, tab] = [await aHolder('Ann'), await aTab()];
    const calls = new TabOwnerCalls(ORIGIN, tab.signer, (input, init) => SELF.fetch(new Request(input, init)));
    const { code } = await offer(ann, { name: 'kitchen' });
    const nobodys = {
      owner: null,
      name: null,
      ...{ earned: 0, today: 0, collected: 0, waiting: 0, held: 0, lost: 0, step: 1 },
    };
    expect(await calls.look()).toEqual(nobodys);
    expect(await calls.ask(code)).toMatchObject({ owner: 'Ann', devices: 1 });
    expect(await calls.pair(code)).toEqual({ ...nobodys, owner: 'Ann', name: 'kitchen' });
    expect(await calls.leave()).toEqual(nobodys);
    await expect(calls.pair(code)).rejects.toMatchObject({
      code: 'pairing_not_found',
      nextStep: ERROR_POLICIES.pairing_not_found.next,
    });
  });
});

/** Until nothing more comes of what was asked. */
async function ledgerIsTold(tab: WorkerdTab): Promise<void> {
  for (let before = ''; ; ) {
    const now = JSON.stringify(unwrap(await ledgerStub(env).health()));
    if (now === before) return;
    before = now;
    await new Promise((resolve) => setTimeout(resolve, 1_500)); // A session tells the ledger a second after its last task.
    await seen(tab);
  }
}

describe('what a tab earned', () => {
  it('[O7] waits until it is paired, then goes to the account, which spends it by its key', async () => {
    const [ann, ben] = [await aHolder('Ann'), await aHolder('Ben', 1_000_000)];
    const tab = await aTab();
    const some = async () => {
      for (let i = 0; i < 20; i++) expect((await ask(ben.key)).status).toBe(200);
    };
    await some();
    await expect.poll(async () => (await seen(tab)).waiting, { timeout: 10_000 }).toBeGreaterThan(0);
    await ledgerIsTold(tab);
    const alone = await seen(tab);
    expect(alone).toMatchObject({ owner: null, collected: 0, lost: 0 });
    for (const figure of ['earned', 'today', 'waiting', 'held']) {
      expect(Number(alone[figure]) % Number(alone.step), figure).toBe(0); // Not by the task.
    }
    await say(tab, 'pair', { code: (await offer(ann)).code });
    expect(await seen(tab)).toMatchObject({ owner: 'Ann', collected: alone.waiting, waiting: 0, held: alone.held });
    expect(await freeOf(ann)).toBe(alone.waiting);
    await some();
    const collected = async () => Number((await seen(tab)).collected);
    await expect.poll(collected, { timeout: 10_000 }).toBeGreaterThan(Number(alone.waiting));
    await ledgerIsTold(tab);
    expect(await freeOf(ann)).toBe(await collected());
    expect(await devicesOf(ann)).toMatchObject([{ tab: tab.identity, collected: await collected() }]);
    const statement = await (await call('GET', '/v1/account/statement', ann.key)).json<{ data: { kind: string }[] }>();
    expect(new Set(statement.data.map(({ kind }) => kind))).toEqual(new Set(['collect']));
    expect((await ask(ann.key, { level: 'none' }, 1)).status).toBe(200);
    await expect.poll(async () => freeOf(ann), { timeout: 10_000 }).toBeLessThan(await collected());
    expect(await (await call('GET', '/v1/ledger/health', null)).json()).toMatchObject({ healthy: true, sum: 0 });
  }, 30_000);

  it('[O7] is nobody else’s to see, and whose the tab is is not told', async () => {
    const ann = await aHolder('Ann of the secret name');
    const tab = await aPairedTab(ann);
    const answer = await ask(null);
    const tail = (await answer.json<{ id: string }>()).id.replace('chatcmpl-', '');
    await expect.poll(async () => (await call('GET', `/v1/receipts/rcpt_${tail}`, null)).status).toBe(200);
    const shown = await Promise.all(
      [`/v1/tabs/${tab.identity}`, `/v1/tasks/task_${tail}`, `/v1/receipts/rcpt_${tail}`, '/v1/network'].map(
        async (path) => (await call('GET', path, null)).text(),
      ),
    );
    for (const text of shown) {
      expect(text).not.toContain('secret name');
      expect(text).not.toContain(ann.account.slice(5));
    }
  });
});

describe('a session for own devices only', () => {
  it('[O8] is answered and checked by devices of its account alone', async () => {
    const ann = await aHolder('Ann', 10_000_000);
    const strangers = [await aTab(), await aTab()];
    const id = await boundSession(ann);
    expect(await refusal(await ask(ann.key, { session: id }))).toEqual(['no_tab', null]);
    const mine = [await aPairedTab(ann), await aPairedTab(ann)];
    for (let i = 0; i < 3; i++) {
      const answer = await (await ask(ann.key, { session: id })).json<{ shoal: { tab: string } }>();
      expect(mine.map(({ identity }) => identity)).toContain(answer.shoal.tab);
    }
    const shoal = { session: id, level: 'cross', await_verdict: true };
    const checked = await (await ask(ann.key, shoal)).json<{ id: string; shoal: { verdict: { value: string } } }>();
    expect(checked.shoal.verdict.value).toBe('valid');
    const task = await (await call('GET', `/v1/tasks/${checked.id.replace('chatcmpl-', 'task_')}`, null)).json<{
      tab: string;
      checkers: { tab: string; independence: string }[];
    }>();
    // One owner: no more than another key, and said so.
    expect(task.checkers.map(({ independence }) => independence)).toEqual(['key']);
    expect(JSON.stringify(task)).not.toContain(strangers[0]!.identity);
    const view = await (await call('GET', `/v1/sessions/${id}`, ann.key)).json();
    expect(view).toMatchObject({ placement: { regions: [], own_devices_only: true, allow: null, block: [] } });
  });

  it('[O8] counts them in dry runs and in tabs.min, within its lists', async () => {
    const ann = await aHolder('Ann', 10_000_000);
    await aTab();
    const [one, other] = [await aPairedTab(ann), await aPairedTab(ann)];
    const dry = async (id: string) => (await ask(ann.key, { session: id, dry_run: true })).json<{ tabs: unknown }>();
    expect(await dry(await boundSession(ann))).toMatchObject({ tabs: { answering: 2, free: 2 } });
    const blocked = await boundSession(ann, { placement: { block: [one.identity] } });
    expect(await dry(blocked)).toMatchObject({ tabs: { answering: 1 } });
    const answer = await (await ask(ann.key, { session: blocked })).json<{ shoal: { tab: string } }>();
    expect(answer.shoal.tab).toBe(other.identity);
    const three = await boundSession(ann, { tabs: { min: 3 } });
    expect(await refusal(await ask(ann.key, { session: three }))).toEqual(['no_tab', 'tabs.min']);
    expect((await ask(ann.key, { session: await boundSession(ann, { tabs: { min: 2 } }) })).status).toBe(200);
  });

  it('[O8] leaves a device out from the next task on that is one no more', async () => {
    const ann = await aHolder('Ann', 10_000_000);
    const tab = await aPairedTab(ann);
    const id = await boundSession(ann);
    expect((await ask(ann.key, { session: id })).status).toBe(200);
    await call('DELETE', `/v1/account/devices/${tab.identity}`, ann.key);
    expect(await refusal(await ask(ann.key, { session: id }))).toEqual(['no_tab', null]);
    expect((await ask(ann.key)).status).toBe(200); // It lends on.
  });

  it('[O8] needs an account, when it is set up and when it is changed', async () => {
    const needed = ['invalid_api_key', 'placement.own_devices_only'];
    const body = { placement: { own_devices_only: true } };
    expect(await refusal(await call('POST', '/v1/sessions', null, body))).toEqual(needed);
    const open = await (await call('POST', '/v1/sessions', null, {})).json<{ id: string }>();
    expect(await refusal(await call('PATCH', `/v1/sessions/${open.id}`, null, body))).toEqual(needed);
  });
});

describe('the pool', () => {
  it('[O9] takes tabs of one account for one owner, wherever they are, until they part', async () => {
    const ann = await aHolder('Ann');
    const [one, other] = [await aPairedTab(ann, '192.0.2.1'), await aPairedTab(ann, '198.51.100.1')];
    const grade = async () => {
      const { id } = await (await ask(null, { level: 'cross', await_verdict: true })).json<{ id: string }>();
      const path = `/v1/tasks/${id.replace('chatcmpl-', 'task_')}`;
      const task = await (await call('GET', path, null)).json<{ checkers: { independence: string }[] }>();
      return task.checkers.map(({ independence }) => independence);
    };
    expect(await grade()).toEqual(['key']);
    for (const tab of [one, other]) {
      tab.break();
      await tab.reconnect();
    }
    await evictDurableObject(poolStub(env));
    await expect.poll(grade).toEqual(['key']);
    expect((await say(other, 'leave')).status).toBe(200);
    expect(await grade()).toEqual(['network']);
  });
});
