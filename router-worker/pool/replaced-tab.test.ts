import { describe, expect, it } from 'vitest';
import { verifyReceipt } from '../../shared/receipt/verify.ts';
import { type Engine, EngineError } from '../../web-miner/engine/engine.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { settle, TestNetwork, type TestTab, until } from '../testing/network.ts';

/** Never comes to its first token. */
const STUCK = { prefillMsPerToken: 10_000, decodeMsPerToken: 1 };

/** An engine that breaks before its first token. */
function broken(): Engine {
  const engine = new ScriptedEngine();
  engine.generate = () => {
    throw new EngineError('crashed', 'out of memory');
  };
  return engine;
}

async function working(tab: TestTab): Promise<void> {
  await until(() => tab.snapshot()?.working === 'answer', 'the tab works');
  await settle();
}

describe('a tab that is lost before its first frame', () => {
  it.each([false, true])(
    '[W4] is replaced in the same stream, and the receipt lists both as readers (private: %s)',
    async (isPrivate) => {
      const network = await TestNetwork.create();
      const first = await network.addTab({ engine: new ScriptedEngine(STUCK) });
      const { task, want } = await network.open('hello', { private: isPrivate, prefer: first.identity });
      const following = network.follow(task, want);
      await working(first);
      const second = await network.addTab();
      await first.tab.close();
      const answer = await following;
      expect(answer.text.length).toBeGreaterThan(20);
      expect(answer.updates.filter(({ type }) => type === 'leased').length).toBe(2);
      const { valid, problems, receipt } = await verifyReceipt(answer.verdict?.receipt, {
        routerKey: network.keys.signer.publicKey,
      });
      expect({ valid, problems }).toEqual({ valid: true, problems: [] });
      expect(receipt?.readers.filter(({ role }) => role === 'answer').map(({ key }) => key)).toEqual([
        second.identity,
        first.identity,
      ]);
      const view = (await network.session(want.task)).view(want.task);
      expect(view).toMatchObject({ tab: second.identity, earlier_tabs: [first.identity] });
    },
  );

  it('[W4] is replaced when its engine breaks, or when it never takes the envelope up', async () => {
    const network = await TestNetwork.create();
    const bad = await network.addTab({ engine: broken() });
    const good = await network.addTab();
    const answer = await network.ask('hello', { level: 'none', prefer: bad.identity });
    expect(answer.task.held?.lease).toMatchObject({ tab: good.identity });
  });

  it('[W4] is not replaced when the fault is the prompt’s, nor when nobody else is there', async () => {
    const network = await TestNetwork.create();
    await network.addTab();
    await network.addTab();
    await expect(network.ask('long '.repeat(600), { level: 'none' })).rejects.toMatchObject({
      code: 'context_length_exceeded',
    });
    expect(network.events.filter(({ event }) => event === 'task_leased_again')).toEqual([]);
    const alone = await TestNetwork.create();
    await alone.addTab({ engine: broken() });
    await expect(alone.ask('hello', { level: 'none' })).rejects.toMatchObject({ code: 'engine_failed' });
  });

  it('[W4] [T1] is replaced at most twice, and the task ends', async () => {
    const network = await TestNetwork.create();
    for (let i = 0; i < 5; i++) await network.addTab({ engine: broken() });
    const { task, want } = await network.open('hello', { level: 'none' });
    await expect(network.follow(task, want)).rejects.toMatchObject({ code: 'engine_failed' });
    expect(network.events.filter(({ event }) => event === 'task_leased_again').length).toBe(2);
    const view = (await network.session(want.task)).view(want.task);
    expect(view).toMatchObject({ status: 'ended', outcome: 'failed' });
    expect(view.earlier_tabs.length).toBe(2);
  });

  it('[W4] [T2] is not heard any more', async () => {
    const network = await TestNetwork.create();
    const slow = await network.addTab({ engine: new ScriptedEngine({ prefillMsPerToken: 15, decodeMsPerToken: 1 }) });
    slow.wire.tamper = (data) => (typeof data === 'string' && data.startsWith('{"t":"accepted"') ? null : data);
    const good = await network.addTab();
    const { task, want } = await network.open('hello', { level: 'none', prefer: slow.identity });
    const following = network.follow(task, want);
    await working(slow);
    await network.advance(16_000); // It took nothing up in time: it is replaced while it reads.
    const answer = await following;
    await settle();
    expect(answer.task.held?.lease.tab).toBe(good.identity);
    expect((await network.session(want.task)).view(want.task)).toMatchObject({
      outcome: 'answered',
      tab: good.identity,
    });
  });

  it('[W4] [T3] gets no successor when its client has left', async () => {
    const network = await TestNetwork.create();
    const first = await network.addTab({ engine: new ScriptedEngine(STUCK) });
    const { task, want } = await network.open('hello', { level: 'none' });
    await working(first);
    const second = await network.addTab();
    await task.stop();
    await first.tab.close();
    await settle();
    expect(second.snapshot()?.counts.answers).toBe(0);
    await until(() => network.pool.census()[0]?.free === 1, 'the other is free');
    expect((await network.session(want.task)).view(want.task).status).toBe('ended');
  });
});

describe('the page of a task', () => {
  it('[W5] shows which tabs were thought of, and why the others were not taken', async () => {
    const network = await TestNetwork.create();
    const tabs = [await network.addTab(), await network.addTab(), await network.addTab()];
    const { want } = await network.ask('hello', { level: 'none', prefer: tabs[1]!.identity });
    const { candidates } = (await network.session(want.task)).view(want.task);
    expect(candidates[0]).toMatchObject({ tab: tabs[1]!.identity, outcome: 'chosen' });
    expect(new Set(candidates.map(({ tab }) => tab))).toEqual(new Set(tabs.map(({ identity }) => identity)));
    expect(candidates.slice(1).every(({ outcome, score_ms }) => outcome === 'as_good' && score_ms > 0)).toBe(true);
  });
});
