import { describe, expect, it } from 'vitest';
import { ANYWHERE, type Placement } from '../../shared/protocol/placement.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { settle, TEST_CLASS, TestNetwork, until } from '../testing/network.ts';
import type { Claim, LeaseWant } from './pool-ports.ts';

const slow = () => new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 20 });

/** What a session with this placement makes of a request. */
function within(placement: Placement): Partial<LeaseWant> {
  const claim: Claim = { account: 'test', sla: 'standard', conversation: null, ...placement, bindsCheckers: true };
  return { claim };
}

describe('[B2] the tabs that may read a prompt', () => {
  it('are the only ones that answer and that check', async () => {
    const network = await TestNetwork.create();
    const [a, b, c] = [await network.addTab(), await network.addTab(), await network.addTab()];
    for (let i = 0; i < 6; i++) {
      const allowed = await network.ask(`${i}`, within({ allow: [a.identity, b.identity], block: [] }));
      const view = (await network.session(allowed.want.task)).view(allowed.want.task);
      expect([view.tab, ...view.checkers.map(({ tab }) => tab)].sort()).toEqual([a.identity, b.identity].sort());
      const blocked = await network.ask(`${i}`, within({ allow: null, block: [a.identity] }));
      const other = (await network.session(blocked.want.task)).view(blocked.want.task);
      expect([other.tab, ...other.checkers.map(({ tab }) => tab)].sort()).toEqual([b.identity, c.identity].sort());
    }
  });

  it('are nobody where none of them serves, although others do: refused at once, not queued', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab();
    await expect(network.ask('x', within({ allow: null, block: [tab.identity] }))).rejects.toMatchObject({
      code: 'no_tab',
    });
  });
});

describe('[B10] the regions that a session wants', () => {
  it('are where every tab is that reads a prompt, to answer and to check', async () => {
    const network = await TestNetwork.create();
    const german = await network.addTab({ country: 'DE' });
    const french = await network.addTab({ country: 'FR' });
    const swiss = await network.addTab({ country: 'CH' });
    const unknown = await network.addTab();
    const readersOf = async (regions: readonly string[]) => {
      const { want } = await network.ask('x', within({ ...ANYWHERE, regions }));
      const view = (await network.session(want.task)).view(want.task);
      return [view.tab, ...view.checkers.map(({ tab }) => tab)];
    };
    const union = [german.identity, french.identity];
    for (let i = 0; i < 6; i++) expect((await readersOf(['EU'])).toSorted()).toEqual(union.toSorted());
    const continent = [...union, swiss.identity];
    for (let i = 0; i < 4; i++) for (const tab of await readersOf(['europe'])) expect(continent).toContain(tab);
    // Alone in its country, it answers and nobody checks.
    expect(await readersOf(['CH'])).toEqual([swiss.identity]);
    const able = (regions: readonly string[]) => network.pool.outlook({ ...ANYWHERE, regions }, [TEST_CLASS], 60).able;
    expect([able([]).tabs, able(['europe']).tabs, able(['EU']).tabs, able(['JP']).tabs]).toEqual([4, 3, 2, 0]);
    expect(JSON.stringify(network.pool.tabView(unknown.identity))).not.toContain('country');
    expect(JSON.stringify(network.pool.tabView(german.identity))).not.toContain('DE"');
  });

  it('are named when nobody is there, although others serve: refused at once, not queued', async () => {
    const network = await TestNetwork.create();
    await network.addTab({ country: 'US' });
    await network.addTab();
    await expect(network.ask('x', within({ ...ANYWHERE, regions: ['DE', 'FR'] }))).rejects.toMatchObject({
      code: 'no_tab',
      param: 'placement.regions',
      message: 'No tab that is known to be in DE, FR serves test-model at the moment.',
    });
  });
});

describe('[B3] a deadline of a session', () => {
  it('stops the answer, tells the client why, and blames no tab', async () => {
    const network = await TestNetwork.create();
    const tab = await network.addTab({ engine: slow() });
    const { task, want } = await network.open('x', { deadlineAt: network.now() + 2_000, level: 'none' });
    const followed = network.follow(task, want).catch((cause: unknown) => cause);
    await until(
      () => (tab.snapshot()?.tab ?? null) !== null && network.pool.inHand([want.task]).length === 1,
      'leased',
    );
    await settle();
    await network.advance(2_001);
    expect(await followed).toMatchObject({ code: 'deadline_exceeded' });
    const session = await network.session(want.task);
    await until(() => session.view(want.task).status === 'ended', 'the tab commits to what it wrote');
    expect(session.view(want.task).outcome).toBe('cancelled');
    expect(network.pool.tabView(tab.identity).records.filter(({ standing }) => standing !== 'new')).toEqual([]);
    // The tab is asked first again: it is not resting.
    expect((await network.ask('y', { level: 'none' })).text.length).toBeGreaterThan(0);
  });

  it('ends a request that still waits for a tab', async () => {
    const network = await TestNetwork.create();
    await network.addTab({ engine: slow() });
    const running = await network.open('x', { level: 'none' });
    void network.follow(running.task, running.want).catch(() => undefined);
    await settle();
    const waiting = await network.open('y', { deadlineAt: network.now() + 3_000, level: 'none' });
    const followed = network.follow(waiting.task, waiting.want).catch((cause: unknown) => cause);
    await network.advance(3_001);
    expect(await followed).toMatchObject({ code: 'deadline_exceeded' });
    expect(network.pool.inHand([waiting.want.task, running.want.task])).toEqual([running.want.task]);
    await running.task.stop();
  });
});

describe('the outlook of a request', () => {
  it('counts the tabs that may serve it, and says how long it would wait', async () => {
    const network = await TestNetwork.create();
    expect(network.pool.outlook(ANYWHERE, [TEST_CLASS], 60)).toEqual({
      serving: [],
      able: { tabs: 0, free: 0, checkers: 0 },
      ahead: 0,
      expectedWaitMs: null,
    });
    const tab = await network.addTab({ engine: slow() });
    await network.addTab({ checkOnly: true });
    const outlook = (placement: Placement = ANYWHERE) => network.pool.outlook(placement, [TEST_CLASS], 60);
    const able = { tabs: 1, free: 1, checkers: 1 };
    const serving = { class: TEST_CLASS, ...able };
    expect(outlook()).toEqual({ serving: [serving], able, ahead: 0, expectedWaitMs: 0 });
    expect(outlook({ allow: null, block: [tab.identity] }).serving).toEqual([{ ...serving, tabs: 0, free: 0 }]);
    const running = await network.open('x', { level: 'none' });
    void network.follow(running.task, running.want).catch(() => undefined);
    await settle();
    expect(outlook().able).toEqual({ ...able, free: 0 });
    expect(outlook().expectedWaitMs).toBe(null); // Nobody knows how fast it is.
    await running.task.stop();
  });
});
