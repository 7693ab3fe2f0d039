import { describe, expect, it } from 'vitest';
import { ShoalError } from '../../shared/errors.ts';
import { MAX_WAITING_REQUESTS, RECONNECT_GRACE_MS } from '../../shared/limits.ts';
import { decodePacket } from '../../shared/protocol/packets.ts';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import { peekFrame } from '../../shared/sealing/frames.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { settle, TEST_SAMPLING, TestNetwork, until } from '../testing/network.ts';

const SLOW = { prefillMsPerToken: 0, decodeMsPerToken: 5 };

describe('one prompt through the network', () => {
  it('[K2] [K5] [R2] is answered, checked by another tab and proven by a receipt', async () => {
    const network = await TestNetwork.create();
    const tabs = [await network.addTab(), await network.addTab()];
    const answer = await network.ask('hello');
    expect(answer.text.length).toBeGreaterThan(20);
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid', method: 'exact-re-execution', cosine: 1 });
    const { valid, problems, receipt } = await verifyReceipt(answer.verdict?.receipt, {
      routerKey: network.keys.signer.publicKey,
    });
    expect({ valid, problems }).toEqual({ valid: true, problems: [] });
    const roles = receipt?.readers.map((reader) => reader.role);
    expect(roles).toEqual(['router', 'answer', 'check']);
    const keys = receipt?.readers.slice(1).map((reader) => reader.key);
    expect(new Set(keys)).toEqual(new Set(tabs.map((tab) => tab.identity)));
  });

  it('[K7] stays unchecked, and says so, when no other tab of the model is there', async () => {
    const network = await TestNetwork.create();
    await network.addTab();
    await network.addTab({ class: 'cls_BBBBBBBBBBBBBBBBBBBBBB', model: 'another-model' });
    const answer = await network.ask('hello');
    expect(answer.verdict?.verdict).toEqual({ value: 'unchecked', reason: 'nobody_fit' });
    const { valid } = await verifyReceipt(answer.verdict?.receipt, { routerKey: network.keys.signer.publicKey });
    expect(valid).toBe(true);
  });

  it('is not checked at level none', async () => {
    const network = await TestNetwork.create();
    await network.addTab();
    const other = await network.addTab();
    const answer = await network.ask('hello', { level: 'none' });
    expect(answer.verdict?.verdict).toEqual({ value: 'unchecked', reason: 'not_asked' });
    expect(other.snapshot()?.counts.checks).toBe(0);
  });

  it('[T5] is refused at once when nobody serves the model, naming /join', async () => {
    const network = await TestNetwork.create();
    await expect(network.ask('hello')).rejects.toMatchObject({
      code: 'no_tab',
      message: expect.stringContaining('http://localhost/join'),
    });
  });

  it('[T6] waits in order for a busy tab, and is refused when the line is full', async () => {
    const network = await TestNetwork.create();
    await network.addTab({ engine: new ScriptedEngine(SLOW) });
    const first = await network.open('one', { level: 'none' });
    const second = await network.open('two', { level: 'none' });
    const answers = await Promise.all([
      network.follow(first.task, first.want),
      network.follow(second.task, second.want),
    ]);
    expect(answers[0]?.updates[0]).toMatchObject({ type: 'leased' });
    expect(answers[1]?.updates[0]).toEqual({ type: 'waiting', ahead: 0, etaMs: expect.any(Number) });
    expect(answers.every((answer) => answer.text !== '')).toBe(true);
  });

  it('[T6] is refused, with a time to come back, when the line is full', async () => {
    const network = await TestNetwork.create();
    await network.addTab({ engine: new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 1_000 }) });
    const running = await network.open('long', { level: 'none' });
    const many = [];
    for (let i = 0; i <= MAX_WAITING_REQUESTS; i++) many.push(await network.open('more', { level: 'none' }));
    const last = many.at(-1)!;
    await expect(network.follow(last.task, last.want)).rejects.toMatchObject({
      code: 'overloaded',
      retryAfterMs: 10_000,
    });
    for (const { task } of [...many, running]) await task.stop();
  });

  it('[T3] stops the tab when its client goes away, and the receipt says cancelled', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab({ engine: new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 100 }) });
    const { task, want } = await network.open('hello', {
      sampling: { ...TEST_SAMPLING, maxTokens: 400 },
    });
    await expect(
      (async () => {
        for await (const update of task.updates()) {
          if (update.type === 'text') await task.stop();
        }
      })(),
    ).rejects.toMatchObject({ code: 'cancelled' });
    const session = await network.session(want.task);
    await until(() => session.view(want.task).receipt !== null, 'the task ends');
    expect(session.view(want.task)).toMatchObject({
      outcome: 'cancelled',
      verdict: { value: 'unchecked', reason: 'no_answer' },
    });
    expect(tab.snapshot()?.counts).toMatchObject({ stopped: 1, answers: 0 });
    await until(() => tab.snapshot()?.working === null, 'the tab is free again');
  });

  it('[T4] ends with an error and an honest receipt when the tab dies mid-stream', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab({ engine: new ScriptedEngine(SLOW) });
    const { task, want } = await network.open('hello');
    const seen: string[] = [];
    await expect(
      (async () => {
        for await (const update of task.updates()) {
          seen.push(update.type);
          if (update.type === 'text') tab.wire.break(1001);
        }
      })(),
    ).rejects.toMatchObject({ code: 'tab_lost', retryable: true });
    expect(seen).toContain('text');
    const session = await network.session(want.task);
    await until(() => session.view(want.task).receipt !== null, 'the task ends');
    const receipt = session.receipt(want.task);
    const checked = await verifyReceipt(receipt, { routerKey: network.keys.signer.publicKey });
    expect(checked.valid).toBe(true);
    expect(checked.receipt).toMatchObject({
      outcome: { value: 'failed', code: 'tab_lost' },
      commit: null,
      verdict: { value: 'unchecked', reason: 'no_answer' },
    });
  });

  it('[L8] goes on, with nothing lost and nothing twice, when the tab comes back in time', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab({ engine: new ScriptedEngine(SLOW) });
    const undisturbed = await network.ask('hello', { level: 'none' });
    const { task, want } = await network.open('hello', { level: 'none' });
    let broken = false;
    const parts: string[] = [];
    for await (const update of task.updates()) {
      if (update.type !== 'text') continue;
      parts.push(update.text);
      if (broken) continue;
      broken = true;
      tab.wire.break();
      setTimeout(() => tab.wire.reconnect(), 30);
    }
    expect(parts.join('')).toBe(undisturbed.text);
    expect((await network.session(want.task)).view(want.task)).toMatchObject({ outcome: 'answered' });
  });

  it('[L8] fails when the tab stays away longer than a reconnect takes', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab({ engine: new ScriptedEngine(SLOW) });
    const { task, want } = await network.open('hello');
    const following = network.follow(task, want);
    following.catch(() => undefined);
    await until(() => tab.snapshot()?.working === 'answer', 'the tab works');
    tab.wire.break();
    await network.advance(RECONNECT_GRACE_MS + 1);
    await expect(following).rejects.toMatchObject({ code: 'tab_lost' });
  });

  it('[L7] [T7] survives the loss of the pool’s memory in mid-stream', async () => {
    const network = await TestNetwork.create();
    await network.addTab({ engine: new ScriptedEngine(SLOW) });
    const undisturbed = await network.ask('hello', { level: 'none' });
    const { task } = await network.open('hello', { level: 'none' });
    let lost = false;
    const parts: string[] = [];
    for await (const update of task.updates()) {
      if (update.type !== 'text') continue;
      parts.push(update.text);
      if (!lost) network.loseMemory();
      lost = true;
    }
    expect(parts.join('')).toBe(undisturbed.text);
  });

  it('[T7] asks a tab at work for its frames by relay, for a client whose link broke, and no tab that is not', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab({ engine: new ScriptedEngine(SLOW) });
    const { task, want } = await network.open('hello', { level: 'none', private: true });
    const firstFrames = () =>
      tab.wire.log.filter((entry) => {
        if (typeof entry === 'string') return false;
        const { kind, payload } = decodePacket(entry);
        return kind === 'frame' && peekFrame(payload).sequence === 0;
      }).length;
    let asked = false;
    for await (const update of task.updates()) {
      if (update.type === 'text' && !asked) await network.pool.resend(want.task, task.held!.statement, 0);
      asked ||= update.type === 'text';
    }
    expect(firstFrames()).toBe(2);
    await expect(network.pool.resend(want.task, task.held!.statement, 0)).rejects.toMatchObject({ code: 'tab_lost' });
  });

  it('[L8] asks for the frames that it lacks after a break, however often earlier ones were sent', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab({ engine: new ScriptedEngine(SLOW) });
    const { task, want } = await network.open('hello', { level: 'none', private: true });
    let sent = 0;
    const asked: number[] = [];
    let texts = 0;
    for await (const update of task.updates()) {
      if (update.type !== 'text' || ++texts !== 2) continue;
      for (let i = 0; i < 5; i++) await network.pool.resend(want.task, task.held!.statement, 0);
      await settle(3);
      const frames = tab.wire.log.filter((entry) => typeof entry !== 'string' && decodePacket(entry).kind === 'frame');
      sent = new Set(frames.map((entry) => peekFrame(decodePacket(entry as Uint8Array).payload).sequence)).size;
      const before = tab.wire.log.length;
      tab.wire.reconnect();
      await until(
        () => tab.wire.log.slice(before).some((entry) => String(entry).startsWith('{"t":"resend"')),
        'it asks',
      );
      for (const entry of tab.wire.log.slice(before)) {
        if (String(entry).startsWith('{"t":"resend"')) asked.push((JSON.parse(String(entry)) as { from: number }).from);
      }
    }
    expect(asked[0]).toBeGreaterThan(0);
    expect(asked[0]).toBeLessThanOrEqual(sent + 1);
  });

  it('[L2] seats one socket an identity: the newer one', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab();
    const older = tab.wire.socket;
    tab.wire.reconnect();
    await until(() => network.events.filter(({ event }) => event === 'tab_joined').length === 2, 'the second hello');
    expect(tab.wire.socket?.socket).not.toBe(older?.socket);
    expect(network.pool.census()).toEqual([{ class: 'cls_AAAAAAAAAAAAAAAAAAAAAA', tabs: 1, free: 1, checkers: 0 }]);
  });

  it('[E3] closes the socket of a tab that does not speak the protocol', async () => {
    const network = await TestNetwork.create();
    for (const nonsense of [
      '{}',
      'not json',
      '{"t":"committed"}',
      '{"t":"hello"}',
      `"${'x'.repeat(300_000)}"`,
      new Uint8Array([9, 9, 9]),
    ]) {
      const tab = await network.addTab();
      tab.wire.send(nonsense as string);
      await until(() => !tab.wire.isOpen, 'the socket closes');
      await until(() => network.pool.census().length === 0, 'the tab is gone');
    }
  });

  it('an engine that fails ends the task with engine_failed, and the tab serves on', async () => {
    const network = await TestNetwork.create();
    const engine = new ScriptedEngine();
    const tab = await network.addTab({ engine });
    await engine.dispose();
    await expect(network.ask('hello')).rejects.toMatchObject({ code: 'engine_failed' });
    await engine.load(
      new Blob(['GGUF']),
      { contextTokens: 512, threads: 1, batchTokens: 64, embeddings: false },
      new AbortController().signal,
    );
    expect((await network.ask('hello')).text).not.toBe('');
    expect(tab.snapshot()?.counts).toMatchObject({ failed: 1, answers: 1 });
  });

  it('[T5] a prompt that does not fit is refused by the tab before any token', async () => {
    const network = await TestNetwork.create();
    await network.addTab();
    const error = await network.ask('x'.repeat(5000)).catch((cause: unknown) => cause);
    expect(error).toBeInstanceOf(ShoalError);
    expect(error).toMatchObject({ code: 'context_length_exceeded', status: 400 });
  });
});

describe('an answer whose class nobody else serves', () => {
  const OTHER = `cls_${'B'.repeat(22)}`;

  it('[K17] is compared with another variant’s, which decides nothing and proves so', async () => {
    const network = await TestNetwork.create();
    const answering = await network.addTab();
    await network.addTab({ class: OTHER, variant: 'q4_0' });
    const answer = await network.ask('shoal tab checks', { prefer: answering.identity });
    expect(answer.verdict?.verdict).toMatchObject({ value: 'inconclusive', method: 'embedding-similarity', cosine: 1 });
    const receipt = (await network.session(answer.want.task)).receipt(answer.want.task);
    const { problems } = await verifyReceipt(receipt, { routerKey: network.keys.signer.publicKey });
    expect(problems).toEqual([]);
    expect(network.pool.tabView(answering.identity).records).toEqual([]);
  });

  it('is not even compared by a tab that may not serve', async () => {
    const network = await TestNetwork.create();
    const answering = await network.addTab();
    const banned = await network.addTab({ class: OTHER, variant: 'q4_0' });
    network.pool.setStanding(banned.identity, OTHER, 'banned');
    const answer = await network.ask('shoal tab checks', { prefer: answering.identity });
    expect(answer.verdict?.verdict).toEqual({ value: 'unchecked', reason: 'nobody_fit' });
  });

  it('is checked by its class as soon as somebody of it is there', async () => {
    const network = await TestNetwork.create();
    const answering = await network.addTab();
    await network.addTab({ class: OTHER, variant: 'q4_0' });
    await network.addTab();
    const answer = await network.ask('tell me', { prefer: answering.identity });
    expect(answer.verdict?.verdict).toMatchObject({ value: 'valid', method: 'exact-re-execution' });
  });
});
