import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { TEST_CLASS, TEST_SAMPLING, TestNetwork, type TestTab, until } from '../../router-worker/testing/network.ts';
import { MAX_ANSWER_BYTES } from '../../shared/limits.ts';
import { NO_LINKS } from '../../shared/peer/direct-links.ts';
import { decodePacket } from '../../shared/protocol/packets.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import type { OpenedEnvelope } from '../../shared/sealing/envelope.ts';
import { peekFrame } from '../../shared/sealing/frames.ts';
import { ScriptedEngine } from '../engine/scripted-engine.ts';
import { createStoredIdentity, identityFrom } from '../identity/tab-identity.ts';
import { KeptWork } from './kept-work.ts';
import { LendingTab } from './lending-tab.ts';
import type { WorkModel } from './work-model.ts';

const OTHER_CLASS = 'cls_BBBBBBBBBBBBBBBBBBBBBB';
const SLOW = { prefillMsPerToken: 0, decodeMsPerToken: 2 };

const typeOf = (data: string | Uint8Array) =>
  typeof data === 'string' ? (JSON.parse(data) as { t: string }).t : 'packet';

function frameIndex(data: string | Uint8Array): number | null {
  if (typeof data === 'string') return null;
  const { kind, payload } = decodePacket(data);
  return kind === 'frame' ? peekFrame(payload).sequence : null;
}

/** The network breaks just when the tab says this for the first time, so that nobody hears it. */
function breakAt(tab: TestTab, type: string): Promise<void> {
  const broken = Promise.withResolvers<void>();
  tab.wire.tamper = (data) => {
    if (typeOf(data) !== type) return data;
    tab.wire.tamper = (later) => later;
    tab.wire.break();
    broken.resolve();
    return null;
  };
  return broken.promise;
}

describe('a tab whose socket drops', () => {
  it('[L8] loses nothing when its answer ends before the socket is back', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab({ engine: new ScriptedEngine(SLOW) });
    const undisturbed = await network.ask('hello', { level: 'none' });
    const { task, want } = await network.open('hello', { level: 'none' });
    const parts: string[] = [];
    for await (const update of task.updates()) {
      if (update.type !== 'text') continue;
      parts.push(update.text);
      if (parts.length > 1) continue;
      tab.wire.break();
      void until(() => tab.snapshot()?.counts.answers === 2, 'the answer ends').then(() => tab.wire.reconnect());
    }
    expect(parts.join('')).toBe(undisturbed.text);
    expect((await network.session(want.task)).view(want.task)).toMatchObject({ outcome: 'answered' });
  });

  it('[L8] says its commit again when that was lost', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab();
    const lost = breakAt(tab, 'committed');
    const asked = network.ask('hello', { level: 'none' });
    await lost;
    tab.wire.reconnect();
    expect((await asked).verdict?.verdict).toEqual({ value: 'unchecked', reason: 'not_asked' });
  });

  it('[L8] says again that it took the prompt when that was lost: the router would give it up', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab({ engine: new ScriptedEngine(SLOW) });
    const lost = breakAt(tab, 'accepted');
    const asked = network.ask('hello', { level: 'none' });
    await lost;
    tab.wire.reconnect();
    const { text, updates } = await asked;
    expect(updates.map(({ type }) => type).slice(0, 3)).toEqual(['leased', 'accepted', 'text']);
    expect(text).not.toBe('');
  });

  it.each(['checkCommitted', 'checkRevealed'])('[L8] says its %s again when that was lost', async (type) => {
    const network = await TestNetwork.create();
    const tab = await network.addTab();
    const checker = await network.addTab();
    const lost = breakAt(checker, type);
    const asked = network.ask('hello', { prefer: tab.identity });
    await lost;
    checker.wire.reconnect();
    const { verdict } = await asked;
    expect(verdict?.verdict).toMatchObject({ value: 'valid' });
    const { problems } = await verifyReceipt(verdict?.receipt, { routerKey: network.keys.signer.publicKey });
    expect(problems).toEqual([]);
    expect(checker.snapshot()?.counts.checks).toBe(1);
  });

  it('[L8] names what is done and not told of in its hello, and forgets it with the verdict', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab();
    const hellos: { readonly running: readonly number[] }[] = [];
    const lost = breakAt(tab, 'committed');
    const asked = network.ask('hello', { level: 'none' });
    await lost;
    const watch = () => {
      tab.wire.tamper = (data) => {
        if (typeOf(data) === 'hello') hellos.push(JSON.parse(data as string) as (typeof hellos)[number]);
        return data;
      };
    };
    watch();
    tab.wire.reconnect();
    await asked;
    tab.wire.break();
    tab.wire.reconnect();
    await until(() => hellos.length === 2, 'the second hello');
    expect(hellos.map(({ running }) => running.length)).toEqual([1, 0]);
  });

  it('says nothing but hello before it is welcome, and comes back from any number of breaks', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab({ engine: new ScriptedEngine(SLOW) });
    const asked = network.ask('hello', { level: 'none', sampling: { ...TEST_SAMPLING, maxTokens: 40 } });
    asked.catch(() => undefined);
    await until(() => tab.snapshot()?.working === 'answer', 'the tab works');
    const firstWords: string[] = [];
    for (let i = 0; i < 5; i++) {
      tab.wire.break();
      let isFirst = true;
      tab.wire.tamper = (data) => {
        if (isFirst) firstWords.push(typeOf(data));
        isFirst = false;
        return data;
      };
      tab.wire.reconnect();
      tab.tab.setDirect(i % 2 === 0);
      await until(() => tab.snapshot()?.tab !== null, 'the tab joins again');
    }
    expect(new Set(firstWords)).toEqual(new Set(['hello']));
    expect((await asked).text).not.toBe('');
    expect(network.events.filter(({ event }) => event === 'tab_refused')).toEqual([]);
  });

  it('[L8] holds new frames and the commit back until the router has said what it misses', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab({ engine: new ScriptedEngine(SLOW) });
    const asked = network.ask('hello', { level: 'none' });
    await until(() => tab.wire.log.some((data) => frameIndex(data) !== null), 'the first frame');
    tab.wire.break();
    tab.wire.reconnect();
    const { socket } = tab.wire.socket!;
    const send = socket.send.bind(socket);
    socket.send = (data) => {
      if (typeOf(data) !== 'resend') return send(data);
      void until(() => tab.snapshot()?.counts.answers === 1, 'the answer ends').then(() => send(data));
    };
    const crossedBefore = tab.wire.log.length;
    expect((await asked).text).not.toBe('');
    const since = tab.wire.log.slice(crossedBefore);
    const indexes = since.map(frameIndex).filter((index) => index !== null);
    expect(indexes.length).toBeGreaterThan(1);
    expect(indexes).toEqual([...new Set(indexes)].sort((a, b) => a - b));
    const lastFrame = since.findLastIndex((data) => frameIndex(data) !== null);
    const commits = since.flatMap((data, at) => (typeOf(data) === 'committed' ? [at] : []));
    expect(commits.every((at) => at > lastFrame)).toBe(true);
    expect(commits.length).toBe(1);
  });

  it('[L1] answers the challenge of the connection that it has, not of the one before', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab();
    // The second break comes while the keys for the first hello are being made.
    tab.wire.reconnect();
    await Promise.resolve();
    await Promise.resolve();
    tab.wire.break();
    tab.wire.reconnect();
    await until(() => tab.snapshot()?.tab !== null, 'the tab joins again');
    await network.ask('hello', { level: 'none' });
    expect(network.events.filter(({ event }) => event === 'tab_refused')).toEqual([]);
  });
});

describe('a tab that is told the same twice', () => {
  it('counts a verdict once', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab();
    await network.addTab();
    const { want } = await network.ask('hello', { prefer: tab.identity });
    await until(() => tab.snapshot()?.counts.valid === 1, 'the verdict is told');
    tab.wire.socket?.socket.send(JSON.stringify({ t: 'verdict', task: want.task, role: 'answer', value: 'valid' }));
    await network.ask('again', { level: 'none', prefer: tab.identity });
    expect(tab.snapshot()?.counts.valid).toBe(1);
  });
});

describe('a lease for another class', () => {
  it('[L4] is refused by the tab, whatever the router believes that it serves', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab({ class: OTHER_CLASS });
    const model = { model: 'test-model', variant: 'q8_0', class: TEST_CLASS, decodeSpeed: null };
    tab.wire.send(JSON.stringify({ t: 'ready', models: [model], direct: false, checkOnly: false }));
    await until(() => network.pool.census()[0]?.class === TEST_CLASS, 'the router believes it');
    await expect(network.ask('hello', { level: 'none' })).rejects.toMatchObject({ code: 'sealed_body_invalid' });
    expect(tab.snapshot()?.counts).toMatchObject({ answers: 0, tokens: 0 });
  });
});

describe('a tab whose engine cannot work', () => {
  it('says why, draws nothing while it is withdrawn, and serves again when it is resumed', async () => {
    const network = await TestNetwork.create();
    const engine = new ScriptedEngine();
    const tab = await network.addTab({ engine });
    await engine.dispose();
    await expect(network.ask('hello')).rejects.toMatchObject({ code: 'engine_failed' });
    expect(tab.snapshot()?.engineFailure).toContain('No model is loaded');
    tab.tab.withdraw();
    await until(() => network.pool.census().length === 0, 'the router knows');
    await expect(network.ask('hello')).rejects.toMatchObject({ code: 'no_tab' });
    tab.wire.break();
    tab.wire.reconnect();
    await until(() => tab.snapshot()?.tab !== null, 'the tab is back');
    expect(network.pool.census()).toEqual([]);
    tab.tab.resume();
    await until(() => network.pool.census().length === 1, 'the router knows');
    expect(tab.snapshot()?.engineFailure).toBeNull();
  });
});

describe('a tab that was closed', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it('leaves no timer behind', async () => {
    const kept = new KeptWork();
    const opened = { lease: { number: 7, task: 'a task' } } as unknown as OpenedEnvelope;
    const answered = { frames: [], text: '' } as never;
    expect([kept.take(7), kept.take(7)]).toEqual([true, false]);
    kept.keep({ opened, answered });
    kept.told('a task', 'answer');
    expect(vi.getTimerCount()).toBeGreaterThan(0);
    kept.close();
    kept.keep({ opened, answered });
    expect([vi.getTimerCount(), kept.answer(7), kept.take(8)]).toEqual([0, undefined, false]);
  });

  it('forgets an answer in time', () => {
    const kept = new KeptWork();
    const opened = { lease: { number: 7, task: 'a task' } } as unknown as OpenedEnvelope;
    kept.keep({ opened, answered: { frames: [], text: '' } as never });
    expect(kept.untold).toEqual([7]);
    vi.runAllTimers();
    expect([kept.untold, kept.answer(7)]).toEqual([[], undefined]);
  });
});

describe('the switch of direct links', () => {
  it('that is turned off while a link is being answered keeps the description here', async () => {
    const described = Promise.withResolvers<string>();
    const sent: { readonly t: string; readonly signal?: unknown }[] = [];
    const closed: string[] = [];
    let receive: (data: string) => void = () => undefined;
    const identity = identityFrom(await createStoredIdentity());
    const peer = identityFrom(await createStoredIdentity()).signer;
    const tab = new LendingTab({
      identity,
      connect: (events) => {
        receive = events.onMessage;
        return {
          isOpen: true,
          send: (data) => sent.push(JSON.parse(data as string) as (typeof sent)[number]) > 0,
          close: () => undefined,
          retryNow: () => undefined,
        };
      },
      work: { model: 'm', variant: 'v', class: TEST_CLASS } as unknown as WorkModel,
      links: () => ({ ...NO_LINKS, describe: () => described.promise, close: (id) => void closed.push(id) }),
      decodeSpeed: null,
      direct: true,
      onChange: () => undefined,
    });
    receive(JSON.stringify({ t: 'welcome', tab: identity.signer.publicKey, now: Date.now() }));
    const link = 'A'.repeat(22);
    const claim = { v: 1, link, to: identity.signer.publicKey, type: 'offer', sdp: 'x' };
    const signal = await peer.sign('signal', JSON.stringify(claim));
    receive(JSON.stringify({ t: 'offer', link, from: peer.publicKey, signal }));
    tab.setDirect(false); // Before the offer is even read.
    described.resolve('an address of this device');
    await until(() => sent.some(({ t }) => t === 'answer'), 'the offer is declined');
    expect(sent.find(({ t }) => t === 'answer')).toEqual({ t: 'answer', link, signal: null });
    expect(closed).toEqual([link]);
    await tab.close();
  });
});

/** Writes tokens of a thousand spaces, as some vocabularies have them, for as long as it is let. */
class WideEngine extends ScriptedEngine {
  override async *generate(): ReturnType<ScriptedEngine['generate']> {
    yield { type: 'prompt', tokens: 3 };
    const tokens = (2 * MAX_ANSWER_BYTES) / 1_000;
    for (let i = 0; i < tokens; i++) yield { type: 'delta', text: ' '.repeat(1_000), tokens: 1 };
    yield { type: 'end', finish: 'stop', promptTokens: 3, completionTokens: tokens, prefillMs: 0, decodeMs: 0 };
  }
}

describe('an answer without end', () => {
  it('ends as length where its commit would outgrow a message, is found valid, and costs nobody a seat', async () => {
    const network = await TestNetwork.create();
    await network.addTab({ engine: new WideEngine() });
    await network.addTab({ engine: new WideEngine() });
    const answer = await network.ask('hello');
    expect(answer.text.length).toBe(MAX_ANSWER_BYTES);
    expect(answer.updates.find(({ type }) => type === 'answered')).toMatchObject({ finish: 'length' });
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid' });
    expect(network.pool.census()).toMatchObject([{ tabs: 2 }]);
  }, 30_000);
});
