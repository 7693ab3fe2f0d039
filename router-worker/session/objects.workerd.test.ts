import { env, evictDurableObject, runDurableObjectAlarm, runInDurableObject, SELF } from 'cloudflare:test';
import { describe, expect, it } from 'vitest';
import { SENTENCE_EMBEDDING_PATH } from '../../shared/classes/catalogue.ts';
import { RECEIPT_KEPT_MS } from '../../shared/limits.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { routerKeys, sessionOfTask } from '../keys/router-keys.ts';
import { servedCatalogue } from '../models/served-catalogue.ts';
import { poolStub } from '../pool/pool-address.ts';
import { sessionStub } from '../pool/session-calls.ts';
import { lendWorkerdTab } from '../testing/workerd-tab.ts';
import type { SessionObject } from './session-object.ts';
import { SqlSessionStore } from './session-store.ts';
import { SESSION_STORE_EXAM } from './session-store-exam.ts';

const ORIGIN = 'https://shoal.test';
const KEPT_MS = 60_000;

async function aTab(variant: string, engine?: ScriptedEngine) {
  const served = (await servedCatalogue(env)).find((entry) => entry.variant.id === variant)!;
  const table = new Uint8Array(await (await env.ASSETS.fetch(`${ORIGIN}${SENTENCE_EMBEDDING_PATH}`)).arrayBuffer());
  return lendWorkerdTab(served.class, table, engine);
}

function ask(variant: string, part: object = {}): Promise<Response> {
  return SELF.fetch(`${ORIGIN}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ model: `shoal-pup-3m:${variant}`, messages: [{ role: 'user', content: 'hello' }], ...part }),
  });
}

async function sessionOf(id: string): Promise<DurableObjectStub<SessionObject>> {
  const keys = await routerKeys(env.SHOAL_ROUTER_SECRET);
  return sessionStub(env, await sessionOfTask(keys, id.replace(/^[a-z]+[-_]/, '')));
}

describe('the SQL session store', () => {
  it.each(SESSION_STORE_EXAM.map((examCase, index) => ({ ...examCase, index })))('$title', async ({ run, index }) => {
    const stub = env.SESSION.get(env.SESSION.idFromName(`exam ${index}`));
    await runInDurableObject(stub, (_, state) => run(new SqlSessionStore(state.storage.sql, KEPT_MS), KEPT_MS));
  });
});

describe('the pool object', () => {
  it('[L7] survives eviction: sockets stay, tabs are known, the next prompt is served', async () => {
    const tab = await aTab('q8_0');
    await evictDurableObject(poolStub(env));
    expect(await poolStub(env).census()).toContainEqual(expect.objectContaining({ tabs: 1, free: 1 }));
    const answer = await ask('q8_0', { shoal: { level: 'none' } });
    expect(answer.status).toBe(200);
    expect((await answer.json<{ shoal: { tab: string } }>()).shoal.tab).toBe(tab.identity);
    await tab.tab.close();
  });

  it('[L8] gives a tab that dropped its socket in mid-answer time to come back', async () => {
    const tab = await aTab('q8_0', new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 8 }));
    const whole = await (await ask('q8_0', { shoal: { level: 'none' }, temperature: 0 })).json<{
      choices: { message: { content: string } }[];
    }>();
    const response = await ask('q8_0', { shoal: { level: 'none' }, temperature: 0, stream: true });
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    let cut = false;
    for (let { done, value } = await reader.read(); !done; { done, value } = await reader.read()) {
      text += value;
      if (cut || !text.includes('"content"')) continue;
      cut = true;
      tab.break();
      setTimeout(() => void tab.reconnect(), 100);
    }
    const content = text
      .split('\n\n')
      .filter((line) => line.startsWith('data: {'))
      .map(
        (line) =>
          (JSON.parse(line.slice(6)) as { choices: { delta: { content?: string } }[] }).choices[0]?.delta.content ?? '',
      )
      .join('');
    expect(content).toBe(whole.choices[0]?.message.content);
    await tab.tab.close();
  });

  it('[L1] knows nobody before the proof: a socket that only greets is no tab', async () => {
    const response = await SELF.fetch(`${ORIGIN}/v1/tabs/socket`, { headers: { upgrade: 'websocket' } });
    const socket = response.webSocket!;
    const messages: string[] = [];
    socket.addEventListener('message', ({ data }) => void messages.push(String(data)));
    const closed = new Promise<number>((resolve) => socket.addEventListener('close', ({ code }) => resolve(code)));
    socket.accept();
    await expect.poll(() => messages.length).toBe(1);
    expect(JSON.parse(messages[0]!)).toMatchObject({ t: 'challenge', v: 3 });
    socket.send('{"t":"ready","models":[],"direct":false,"checkOnly":false}');
    expect(await closed).toBe(4400);
    expect(JSON.parse(messages[1]!)).toMatchObject({ t: 'refused' });
  });
});

describe('the session object', () => {
  it('[T1] ends by its alarm what nobody else ended, and signs the receipt', async () => {
    const tab = await aTab('q4_0', new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 1_000 }));
    const response = await ask('q4_0', { stream: true });
    const id = response.headers.get('shoal-task')!;
    const session = await sessionOf(id);
    await expect.poll(async () => (await session.view(id.slice(5))).ok).toBe(true);
    await runInDurableObject(session, async (_, state) => {
      expect(await state.storage.getAlarm()).toBeGreaterThan(Date.now());
      state.storage.sql.exec(`UPDATE task SET due_at = 1, state = json_set(state, '$.deadlineAt', 1)`);
    });
    await evictDurableObject(session); // What it held in memory is gone: only what was stored tells that the task is overdue.
    expect(await runDurableObjectAlarm(session)).toBe(true);
    const receipt = await session.receipt(id.slice(5));
    expect(receipt.ok && JSON.parse(receipt.value.payload)).toMatchObject({
      outcome: { value: 'failed', code: 'deadline_exceeded' },
    });
    await response.body?.cancel();
    await tab.tab.close();
  });

  it('survives eviction between answer and receipt', async () => {
    const tab = await aTab('q8_0');
    const answer = await (await ask('q8_0')).json<{ id: string }>();
    const session = await sessionOf(answer.id);
    await evictDurableObject(session);
    await expect.poll(async () => (await SELF.fetch(`${ORIGIN}/v1/receipts/${answer.id}`)).status).toBe(200);
    await tab.tab.close();
  });

  it('forgets what is older than it promises, and gives its storage back', async () => {
    const tab = await aTab('q8_0');
    const answer = await (await ask('q8_0', { messages: [{ role: 'user', content: 'to be forgotten' }] })).json<{
      id: string;
    }>();
    const session = await sessionOf(answer.id);
    await expect.poll(async () => (await SELF.fetch(`${ORIGIN}/v1/receipts/${answer.id}`)).status).toBe(200);
    await runInDurableObject(session, async (_, state) => {
      state.storage.sql.exec('UPDATE task SET due_at = ?', Date.now() - 1);
      await state.storage.setAlarm(Date.now() + 60_000);
    });
    await runDurableObjectAlarm(session);
    // That alarm may have had to hand the receipt to the log first: then the next one, which is due at once, forgets it.
    await expect.poll(async () => (await SELF.fetch(`${ORIGIN}/v1/tasks/${answer.id}`)).status).toBe(404);
    expect(RECEIPT_KEPT_MS).toBe(30 * 24 * 3600 * 1000);
    await tab.tab.close();
  });
});
