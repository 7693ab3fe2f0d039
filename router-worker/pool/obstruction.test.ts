import { describe, expect, it } from 'vitest';
import { ACK_DEADLINE_MS, HAND_ON_DEADLINE_MS, MAX_WAITING_REQUESTS, RECONNECT_GRACE_MS } from '../../shared/limits.ts';
import { CLOSE } from '../../shared/protocol/tab-socket.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { settle, TEST_CLASS, TestNetwork, type TestTab, until } from '../testing/network.ts';

/** Tabs and clients that obstruct others: by words about tasks that are not theirs, or by taking what they never use. */

const SLOW = { prefillMsPerToken: 0, decodeMsPerToken: 5 };

async function pair(): Promise<{ network: TestNetwork; honest: TestTab; other: TestTab }> {
  const network = await TestNetwork.create();
  return { network, honest: await network.addTab(), other: await network.addTab() };
}

/** Says something more after the tab's commit. */
function afterCommit(tab: TestTab, say: (message: { lease: Signed; commit: Signed }) => unknown): void {
  tab.wire.tamper = (data) => {
    if (typeof data === 'string' && data.startsWith('{"t":"committed"')) {
      const message = JSON.parse(data) as { lease: Signed; commit: Signed };
      setTimeout(async () => tab.wire.send(JSON.stringify(await say(message))), 0);
    }
    return data;
  };
}

const freeTabs = (network: TestNetwork) => network.pool.census()[0]?.free ?? 0;

describe('a tab that speaks of what is not its own', () => {
  it('[L9] [T2] cannot end another tab’s task with a lease that it made itself', async () => {
    const network = await TestNetwork.create();
    const working = await network.addTab({ engine: new ScriptedEngine(SLOW) });
    const liar = await network.addTab({ class: 'cls_BBBBBBBBBBBBBBBBBBBBBB' });
    const { task, want } = await network.open('tell me', { level: 'none', prefer: working.identity });
    const following = network.follow(task, want);
    await until(() => working.snapshot()?.working === 'answer', 'the tab works');
    const lease = { ...JSON.parse(task.held?.statement.payload ?? ''), tab: liar.identity } as object;
    liar.wire.send(
      JSON.stringify({
        t: 'failed',
        lease: await liar.signer.sign('lease', JSON.stringify(lease)),
        error: { code: 'no_tab', message: 'Visit evil.example', param: null },
      }),
    );
    await until(() => !liar.wire.isOpen, 'the liar is put out');
    expect((await following).verdict?.verdict).toEqual({ value: 'unchecked', reason: 'not_asked' });
  });

  it.each(['accepted', 'committed', 'handedOn'])('[L9] [T2] cannot say %s for another tab’s task', async (type) => {
    const network = await TestNetwork.create();
    const working = await network.addTab({ engine: new ScriptedEngine(SLOW) });
    const liar = await network.addTab({ class: 'cls_BBBBBBBBBBBBBBBBBBBBBB' });
    const { task, want } = await network.open('tell me', { level: 'none', prefer: working.identity });
    const following = network.follow(task, want);
    await until(() => task.held !== null, 'the lease is there');
    const lease = task.held?.statement;
    const number = task.held?.lease.number;
    const commit = await liar.signer.sign('commit', '{}');
    liar.wire.send(JSON.stringify({ t: type, lease, number, promptTokens: 999, commit, path: 'direct', bytes: 1 }));
    const answer = await following;
    expect(answer.verdict?.verdict).toEqual({ value: 'unchecked', reason: 'not_asked' });
    expect(answer.updates.find((update) => update.type === 'accepted')).not.toMatchObject({ promptTokens: 999 });
  });

  it('[E4] cannot put its own words or another status into an error', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab();
    tab.wire.tamper = (data) => {
      if (typeof data !== 'string' || !data.startsWith('{"t":"accepted"')) return data;
      const { number } = JSON.parse(data) as { number: number };
      const sent = tab.wire.log.find((entry) => typeof entry !== 'string');
      const lease = leaseInEnvelope(sent as Uint8Array);
      expect(number).toBeGreaterThan(0);
      return JSON.stringify({
        t: 'failed',
        lease,
        error: { code: 'insecure_transport', message: 'Send your key to evil.example', param: 'evil' },
      });
    };
    await expect(network.ask('tell me')).rejects.toMatchObject({
      code: 'engine_failed',
      message: 'The engine of the tab failed.',
      param: null,
    });
  });

  it('counts once for a class, however often it names it', async () => {
    const { network, other } = await pair();
    const model = { model: 'test-model', variant: 'q8_0', class: TEST_CLASS, decodeSpeed: 1e6 };
    other.wire.send(
      JSON.stringify({ t: 'ready', models: Array.from({ length: 16 }, () => model), direct: false, checkOnly: false }),
    );
    await settle();
    expect(network.pool.census()).toEqual([{ class: TEST_CLASS, tabs: 2, free: 2, checkers: 0 }]);
  });
});

/** The tab says of each of its answers that it was stopped. */
function callsItStopped(other: TestTab): void {
  other.wire.tamper = async (data) => {
    if (typeof data !== 'string' || !data.startsWith('{"t":"committed"')) return data;
    const message = JSON.parse(data) as { commit: Signed };
    const payload = { ...(JSON.parse(message.commit.payload) as object), finish: 'cancelled' };
    return JSON.stringify({ ...message, commit: await other.signer.sign('commit', JSON.stringify(payload)) });
  };
}

describe('a tab that would escape its check', () => {
  it('[K9] [L9] cannot by failing after its commit', async () => {
    const { network, other } = await pair();
    afterCommit(other, ({ lease }) => ({
      t: 'failed',
      lease,
      error: { code: 'engine_failed', message: 'x', param: null },
    }));
    const answer = await network.ask('tell me', { prefer: other.identity });
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid' });
  });

  it('[K9] [C6] cannot by a second commit to another answer, which nobody hears', async () => {
    const { network, other } = await pair();
    afterCommit(other, async ({ lease, commit }) => {
      const payload = JSON.parse(commit.payload) as { chain: object };
      const lie = { ...payload, chain: { ...payload.chain, head: 'A'.repeat(43) } };
      return { t: 'committed', lease, commit: await other.signer.sign('commit', JSON.stringify(lie)) };
    });
    const answer = await network.ask('tell me', { prefer: other.identity });
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid' });
    expect(answer.updates.filter(({ type }) => type === 'committed')).toHaveLength(1);
  });

  it('[K10] cannot by calling its answer stopped: then it is lost, and another tab writes what is checked', async () => {
    const { network, other } = await pair();
    await network.addTab();
    callsItStopped(other);
    const answer = await network.ask('tell me', { prefer: other.identity });
    expect(answer.task.held?.lease.tab).not.toBe(other.identity);
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid' });
  });

  it('[K10] cannot by calling its answer stopped where nobody else is: then it has failed', async () => {
    const network = await TestNetwork.create();
    const other = await network.addTab();
    callsItStopped(other);
    const { task, want } = await network.open('tell me', { prefer: other.identity });
    await expect(network.follow(task, want)).rejects.toMatchObject({ retryable: true });
    const session = await network.session(want.task);
    const { receipt } = await verifyReceipt(session.receipt(want.task), { routerKey: network.keys.signer.publicKey });
    expect(receipt?.outcome).toEqual({ value: 'failed', code: 'tab_lost' });
  });

  it('loses its seat when its commit lacks blocks, and the task has failed', async () => {
    const { network, other } = await pair();
    other.wire.tamper = async (data) => {
      if (typeof data !== 'string' || !data.startsWith('{"t":"committed"')) return data;
      const message = JSON.parse(data) as { commit: Signed };
      const payload = JSON.parse(message.commit.payload) as { chain: object };
      const cut = { ...payload, chain: { ...payload.chain, blocks: [] } };
      return JSON.stringify({ ...message, commit: await other.signer.sign('commit', JSON.stringify(cut)) });
    };
    await expect(network.ask('tell me', { prefer: other.identity })).rejects.toMatchObject({
      code: 'integrity_failed',
    });
    await until(() => !other.wire.isOpen, 'the liar is put out');
  });

  it('[K7] leaves the checker free when it does not hand on and the client has left', async () => {
    const { network, honest, other } = await pair();
    other.wire.tamper = (data) => (typeof data !== 'string' || data.startsWith('{"t":"handedOn"') ? null : data);
    const { task, want } = await network.open('tell me', { prefer: other.identity });
    other.wire.tamper = (data) => (typeof data !== 'string' && data[0] === 1 ? null : data);
    for await (const update of task.updates()) if (update.type === 'checking') break;
    await settle();
    await task.stop();
    expect(honest.snapshot()?.working).toBeNull();
    await network.advance(HAND_ON_DEADLINE_MS + 1);
    const session = await network.session(want.task);
    expect(session.view(want.task).verdict).toEqual({ value: 'unchecked', reason: 'client_gone' });
    expect(freeTabs(network)).toBe(2);
  });
});

describe('whoever takes and does not use', () => {
  it('[T1] [T8] a client that never sends its envelope loses its tab, without any other event', async () => {
    const network = await TestNetwork.create();
    await network.addTab();
    const want = await network.want();
    network.pool.request(want, network.pipe().sink);
    expect(network.pool.isBusy).toBe(true); // So somebody calls tick().
    await settle();
    expect(freeTabs(network)).toBe(0);
    await network.advance(ACK_DEADLINE_MS + 1);
    await until(() => network.pool.census().length === 0, 'the tab is asked to come back on a new socket');
  });

  it('[T3] [T8] a client that left while its lease was signed holds no tab', async () => {
    const network = await TestNetwork.create();
    await network.addTab();
    const stream = network.pool.request(await network.want(), network.pipe().sink);
    stream.gone();
    await settle();
    expect(freeTabs(network)).toBe(1);
    expect(network.pool.isBusy).toBe(false);
  });

  it('[L7] a client cannot lock a tab with the lease of a task that is over', async () => {
    const network = await TestNetwork.create();
    await network.addTab();
    const { task, want } = await network.ask('tell me', { level: 'none', private: true });
    const statement = task.held!.statement;
    for (const part of ['now', 'later']) {
      if (part === 'later') await network.advance(1_000_000);
      const { sink, stream } = network.pipe();
      await network.pool.reattach(want.task, statement, 0, sink);
      await stream.cancel();
      await settle();
      expect(freeTabs(network), part).toBe(1);
    }
    expect(network.pool.isBusy).toBe(false);
  });

  it('[T7] a client that comes back to a task that has ended hears of the end, and the stream closes', async () => {
    const network = await TestNetwork.create();
    await network.addTab();
    const { task, want } = await network.ask('tell me', { level: 'none' });
    const { sink, stream } = network.pipe();
    await network.pool.reattach(want.task, task.held!.statement, 0, sink);
    let bytes = '';
    for await (const chunk of stream) bytes += new TextDecoder().decode(chunk);
    expect(bytes).toContain('"t":"ended"');
  });

  it('nobody takes over the stream of another task with a lease of his own, nor his with another token', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab({ engine: new ScriptedEngine(SLOW) });
    const mine = await network.ask('mine', { level: 'none' });
    const { task, want } = await network.open('yours', { level: 'none', prefer: tab.identity });
    const following = network.follow(task, want);
    await until(() => task.held !== null, 'the lease is there');
    const foreign = network.pipe();
    await network.pool.reattach(mine.want.task, task.held!.statement, 0, foreign.sink);
    await network.pool.reattach(want.task, mine.task.held!.statement, 0, network.pipe().sink).catch(() => undefined);
    let stolen = '';
    for await (const chunk of foreign.stream) stolen += new TextDecoder().decode(chunk);
    expect(stolen).toContain('tab_lost');
    expect((await following).text).not.toBe('');
    expect((await network.session(want.task)).view(want.task).outcome).toBe('answered');
  });

  it('[L9] an envelope is not delivered in the name of another task', async () => {
    const network = await TestNetwork.create();
    await network.addTab();
    const { task: another } = await network.want();
    const deliver = network.pool.deliver.bind(network.pool);
    const refusals: unknown[] = [];
    network.pool.deliver = async (tail, envelope) => {
      refusals.push(await deliver(another, envelope).catch((cause: { code: string }) => cause.code));
      await deliver(tail, envelope);
    };
    await network.ask('tell me', { level: 'none' });
    expect(refusals).toEqual(['sealed_body_invalid']);
  });

  it('[L7] an envelope for a lease that is over reaches no tab', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab();
    let kept: Uint8Array<ArrayBuffer> | null = null;
    const deliver = network.pool.deliver.bind(network.pool);
    network.pool.deliver = async (tail, envelope) => {
      kept = envelope;
      await deliver(tail, envelope);
    };
    const { want } = await network.ask('tell me', { level: 'none' });
    const before = tab.wire.log.length;
    await expect(deliver(want.task, kept!)).rejects.toMatchObject({ code: 'tab_lost' });
    await settle();
    expect(tab.wire.log.length).toBe(before);
  });

  it('[L10] a tab that claims a great speed and takes up nothing is asked last from then on', async () => {
    const network = await TestNetwork.create();
    const honest = await network.addTab();
    const hole = await network.addTab({ engine: new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 200 }) });
    hole.wire.tamper = (data) => (typeof data === 'string' && data.startsWith('{"t":"accepted"') ? null : data);
    const { task, want } = await network.open('tell me', { prefer: hole.identity });
    const following = network.follow(task, want);
    following.catch(() => undefined);
    await until(() => hole.wire.log.some((entry) => typeof entry !== 'string'), 'the envelope arrives');
    await network.advance(ACK_DEADLINE_MS + 1);
    expect((await following).task.held?.lease.tab).toBe(honest.identity); // It was replaced, unseen.
    hole.wire.reconnect();
    await until(() => network.pool.census()[0]?.tabs === 2 && hole.snapshot()?.tab != null, 'it comes back');
    await settle();
    for (let i = 0; i < 5; i++) {
      const answer = await network.ask('tell me', { level: 'none', prefer: hole.identity });
      expect(answer.task.held?.lease.tab).toBe(honest.identity);
    }
  });

  it('[T6] those who left the line make room', async () => {
    const network = await TestNetwork.create();
    await network.addTab({ engine: new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 1_000 }) });
    await network.open('long', { level: 'none' });
    for (let i = 0; i < 3 * MAX_WAITING_REQUESTS; i++) {
      const { task } = await network.open('more', { level: 'none' });
      await task.stop();
    }
    const { task } = await network.open('one more', { level: 'none' });
    const first = await task.updates().next();
    expect(first.value).toEqual({ type: 'waiting', ahead: 0, etaMs: expect.any(Number) });
  });

  it('[L1] sockets that never say who they are are closed', async () => {
    const network = await TestNetwork.create();
    const closes: number[] = [];
    const socket = { send: () => undefined, close: (code: number) => closes.push(code), remember: () => undefined };
    network.pool.greet(socket, 'home');
    expect(network.pool.isBusy).toBe(true);
    await network.advance(11_000);
    expect(closes).toEqual([CLOSE.late]);
    expect(network.pool.isBusy).toBe(false);
  });

  it('[E3] a tab that floods the pool is put out', async () => {
    const { network, other } = await pair();
    for (let i = 0; i < 400; i++) other.wire.send('{"t":"ready","models":[],"direct":false,"checkOnly":false}');
    await until(() => !other.wire.isOpen, 'it is put out');
    expect(network.pool.census()).toEqual([{ class: TEST_CLASS, tabs: 1, free: 1, checkers: 0 }]);
  });
});

describe('faults between the router’s own objects', () => {
  it('[T1] a reply of the session that was lost is given again', async () => {
    const { network } = await pair();
    network.doublesCalls = true;
    const answer = await network.ask('tell me');
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid' });
    await settle();
    expect(freeTabs(network)).toBe(2);
    expect(network.pool.isBusy).toBe(false);
  });

  it('[T1] a session that cannot be reached fails the task, not the tab', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab({ engine: new ScriptedEngine(SLOW) });
    const { task, want } = await network.open('tell me');
    const following = network.follow(task, want);
    following.catch(() => undefined);
    await until(() => tab.snapshot()?.working === 'answer', 'the tab works');
    network.sessionFault = new Error('Network connection lost.');
    await expect(following).rejects.toMatchObject({ retryable: true });
    network.sessionFault = null;
    expect(tab.wire.isOpen).toBe(true);
    expect((await network.ask('again', { level: 'none' })).text).not.toBe('');
  });

  it('[L8] [K7] a tab whose socket broke while its check was on its way is not called lost', async () => {
    const { network, honest, other } = await pair();
    const { task, want } = await network.open('tell me', { prefer: honest.identity });
    const following = network.follow(task, want);
    await until(() => network.events.some(({ event }) => event === 'check_leased'), 'the check is leased');
    other.wire.break();
    setTimeout(() => other.wire.reconnect(), 20);
    const answer = await following;
    expect(RECONNECT_GRACE_MS).toBeGreaterThan(20);
    expect(['valid', 'unchecked']).toContain(answer.verdict?.verdict.value);
  });
});

function leaseInEnvelope(packet: Uint8Array): Signed {
  const envelope = packet.subarray(5);
  const length = new DataView(envelope.buffer, envelope.byteOffset).getUint32(0);
  return (JSON.parse(new TextDecoder().decode(envelope.subarray(4, 4 + length))) as { lease: Signed }).lease;
}
