import { describe, expect, it } from 'vitest';
import {
  FIRST_FRAME_DEADLINE_MS,
  FRAME_GAP_DEADLINE_MS,
  MAX_WAIT_MS,
  SUBTASK_DEADLINE_MS,
} from '../../shared/limits.ts';
import { encodePacket } from '../../shared/protocol/packets.ts';
import { CLOSE } from '../../shared/protocol/tab-socket.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { settle, TEST_CLASS, TEST_SAMPLING, TestNetwork, until } from '../testing/network.ts';
import { TaskStream } from './task-stream.ts';

/** A tab whose engine takes so long that only the router's deadlines end its work. */
const HANGING = { prefillMsPerToken: 1e6, decodeMsPerToken: 1e6 };

describe('a tab that hangs', () => {
  it('[T1] before its first token is given up after the time of the longest prefill', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab({ engine: new ScriptedEngine(HANGING) });
    const { task, want } = await network.open('tell me', { level: 'none' });
    const following = network.follow(task, want);
    following.catch(() => undefined);
    await until(() => tab.snapshot()?.working === 'answer', 'the tab works');
    await settle();
    await network.advance(FIRST_FRAME_DEADLINE_MS - 5_000);
    expect((await network.session(want.task)).view(want.task).status).toBe('running');
    await network.advance(6_000);
    await expect(following).rejects.toMatchObject({ code: 'deadline_exceeded' });
  });

  it('[T1] between two tokens is given up sooner', async () => {
    const network = await TestNetwork.create();
    await network.addTab({ engine: new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 200 }) });
    const { task, want } = await network.open('tell me', {
      level: 'none',
      sampling: { ...TEST_SAMPLING, maxTokens: 400 },
    });
    const following = network.follow(task, want);
    following.catch(() => undefined);
    await until(() => network.events.length > 0, 'the task is leased');
    await new Promise((resolve) => setTimeout(resolve, 500));
    await network.advance(FRAME_GAP_DEADLINE_MS + 1_000);
    await expect(following).rejects.toMatchObject({ code: 'deadline_exceeded' });
  });

  it('[T1] with a private answer loses it when the lease has expired', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab({ engine: new ScriptedEngine(HANGING) });
    const { want } = await network.open('tell me', { level: 'none', private: true });
    await until(() => tab.snapshot()?.working === 'answer', 'the tab works');
    await settle();
    await network.advance(SUBTASK_DEADLINE_MS + 1_000);
    await until(() => network.pool.census()[0]?.free === 1, 'the tab is free');
    expect((await network.session(want.task)).view(want.task).status).toBe('ended');
  });
});

describe('the line', () => {
  it('[T6] is served first come, first served, and nobody waits longer than 30 seconds', async () => {
    const network = await TestNetwork.create();
    await network.addTab({ engine: new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 4 }) });
    const order: string[] = [];
    const asking: Promise<unknown>[] = [];
    for (const name of ['a', 'b', 'c', 'd']) {
      const { task, want } = await network.open(name, { level: 'none', sampling: { ...TEST_SAMPLING, maxTokens: 10 } });
      asking.push(network.follow(task, want).then(() => order.push(name)));
    }
    await Promise.all(asking);
    expect(order).toEqual(['a', 'b', 'c', 'd']);

    const busy = await TestNetwork.create();
    const hanging = await busy.addTab({ engine: new ScriptedEngine(HANGING) });
    await busy.open('first', { level: 'none' });
    await until(() => hanging.snapshot()?.working === 'answer', 'the tab works');
    await settle();
    const { task, want } = await busy.open('second', { level: 'none' });
    const waiting = busy.follow(task, want);
    waiting.catch(() => undefined);
    await busy.advance(MAX_WAIT_MS);
    await expect(waiting).rejects.toMatchObject({ code: 'overloaded', retryAfterMs: 10_000 });
  });
});

describe('a client that does not read', () => {
  it('is cut off when four megabytes wait for it', () => {
    let gone = 0;
    let closed = 0;
    const stream = new TaskStream({ write: () => new Promise(() => undefined), close: () => closed++ }, () => gone++);
    const packet = () => encodePacket('frame', 1, new Uint8Array(16_000));
    for (let i = 0; i < 200; i++) stream.frame(packet());
    expect([gone, closed, stream.isOpen]).toEqual([0, 0, true]);
    for (let i = 0; i < 200; i++) stream.frame(packet());
    expect([gone, closed, stream.isOpen]).toEqual([1, 1, false]);
  });
});

describe('who is who', () => {
  it('[L2] the older socket of an identity is told that it was replaced', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab();
    const closes: [number, string][] = [];
    const older = tab.wire.socket!.socket;
    const close = older.close.bind(older);
    older.close = (code, reason) => {
      closes.push([code, reason]);
      close(code, reason);
    };
    tab.wire.reconnect();
    await until(() => closes.length > 0, 'it is told');
    expect(closes).toEqual([[CLOSE.replaced, 'replaced']]);
  });

  it('[L1] a hello that was made for another challenge is refused', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab();
    const hello = tab.wire.log.find((entry) => typeof entry === 'string' && entry.startsWith('{"t":"hello"')) as string;
    const codes: number[] = [];
    const socket = { send: () => undefined, close: (code: number) => codes.push(code), remember: () => undefined };
    network.pool.greet(socket, 'home');
    await network.pool.receive(socket, hello);
    expect(codes).toEqual([CLOSE.protocol]);
    expect(network.pool.census()).toEqual([{ class: TEST_CLASS, tabs: 1, free: 1, checkers: 0 }]);
  });

  it('[L9] frames and handed-on packets of a tab that has nothing to do with a task go nowhere', async () => {
    const network = await TestNetwork.create();
    const working = await network.addTab({ engine: new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 4 }) });
    const honest = await network.addTab();
    const stranger = await network.addTab({ class: 'cls_BBBBBBBBBBBBBBBBBBBBBB' });
    const { task, want } = await network.open('tell me', { prefer: working.identity });
    const following = network.follow(task, want);
    await until(() => task.held !== null, 'the lease is there');
    for (let i = 0; i < 5; i++) stranger.wire.send(encodePacket('frame', task.held!.lease.number, new Uint8Array(40)));
    await until(() => network.events.some(({ event }) => event === 'check_leased'), 'the check is leased');
    const { number } = network.events.find(({ event }) => event === 'check_leased')!.fields;
    const before = honest.wire.log.filter((entry) => typeof entry !== 'string').length;
    for (const kind of ['envelope', 'shown'] as const) {
      stranger.wire.send(encodePacket(kind, Number(number), new Uint8Array(40)));
    }
    await settle(2);
    expect(honest.wire.log.filter((entry) => typeof entry !== 'string').length - before).toBeLessThanOrEqual(1);
    expect((await following).verdict?.verdict).toMatchObject({ value: 'valid' });
  });

  it('[L9] a link is offered by the client of the lease only, and answered by the tab that was asked', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab({ engine: new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 20 }) });
    const stranger = await network.addTab({ class: 'cls_BBBBBBBBBBBBBBBBBBBBBB' });
    const model = { model: 'test-model', variant: 'q8_0', class: TEST_CLASS, decodeSpeed: 1 };
    tab.wire.send(JSON.stringify({ t: 'ready', models: [model], direct: true, checkOnly: false }));
    const { task, want } = await network.open('tell me', { level: 'none' });
    const following = network.follow(task, want);
    await until(() => task.held !== null, 'the lease is there');
    const lease = task.held!.statement;
    const link = 'A'.repeat(22);
    const ours = await network.client.sign('signal', '{}');
    const theirs = await stranger.signer.sign('signal', '{}');
    expect(await network.pool.link(want.task, lease, link, theirs)).toBeNull();

    tab.wire.tamper = (data) => (typeof data === 'string' && data.startsWith('{"t":"answer"') ? null : data);
    const answered = network.pool.link(want.task, lease, link, ours);
    await settle(2);
    const answer = (signal: Signed) => JSON.stringify({ t: 'answer', link, signal });
    stranger.wire.send(answer(theirs));
    await settle(2);
    tab.wire.tamper = (data) => data;
    const own = await tab.signer.sign('signal', '{"own":1}');
    tab.wire.send(answer(own));
    expect(await answered).toEqual(own);
    await following;

    tab.wire.tamper = (data) => (typeof data === 'string' && data.startsWith('{"t":"answer"') ? null : data);
    const later = network.pool.link(want.task, lease, 'B'.repeat(22), ours);
    await settle(2);
    tab.wire.tamper = (data) => data;
    tab.wire.send(JSON.stringify({ t: 'answer', link: 'B'.repeat(22), signal: own }));
    expect(await later).toEqual(own); // The answer is written, the next question may go direct.
    await network.advance(SUBTASK_DEADLINE_MS);
    expect(await network.pool.link(want.task, lease, 'C'.repeat(22), ours)).toBeNull();
  });
});
