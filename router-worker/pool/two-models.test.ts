import { describe, expect, it } from 'vitest';
import { ANYWHERE } from '../../shared/protocol/placement.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { TEST_CLASS, TestNetwork, type TestTab, until } from '../testing/network.ts';
import { tabsServing } from './tab-roster.ts';

const CHATS = { model: 'test-model', variant: 'q8_0', class: TEST_CLASS, decodeSpeed: null };
const EMBEDS = { model: 'embed-model', variant: 'q8_0', class: 'cls_BBBBBBBBBBBBBBBBBBBBBB', decodeSpeed: null };
const MODELS = [
  { model: CHATS.model, classes: [CHATS.class] },
  { model: EMBEDS.model, classes: [EMBEDS.class] },
];
const BOTH = [CHATS.class, EMBEDS.class];

/** A tab that says it serves these, whatever its engine has loaded. */
async function tabThatServes(
  network: TestNetwork,
  models: readonly object[],
  engine?: ScriptedEngine,
): Promise<TestTab> {
  const tab = await network.addTab(engine === undefined ? {} : { engine });
  tab.wire.send(JSON.stringify({ t: 'ready', models, direct: false, checkOnly: false }));
  await until(() => tabsServing(network.pool.kinds(), BOTH).tabs > 0, 'the pool knows');
  await until(() => network.pool.served(tab.identity)?.classes.length === models.length, 'the pool knows of them all');
  return tab;
}

describe('[Q8] a tab that serves a model that chats and one that embeds', () => {
  it('is one tab, and one free tab, wherever tabs are counted', async () => {
    const network = await TestNetwork.create();
    await tabThatServes(network, [CHATS, EMBEDS]);
    const one = { tabs: 1, free: 1, checkers: 0 };
    expect(network.pool.kinds()).toEqual([{ classes: BOTH, ...one }]);
    expect(tabsServing(network.pool.kinds(), BOTH)).toEqual(one);
    expect(network.pool.outlook(ANYWHERE, BOTH, 10).able).toEqual(one);
    const live = network.pool.live(MODELS);
    expect([live.tabs, live.free, live.networks]).toEqual([1, 1, 1]);
    expect(live.models).toMatchObject([one, one]);
    expect(network.pool.live([{ model: 'both', classes: BOTH }]).models[0]).toMatchObject({
      ...one,
      speeds: { unmeasured: 1, slow: 0, steady: 0, fast: 0 },
    });
  });

  it('has one lease at a time, whichever model it is for, and is then free for neither', async () => {
    const network = await TestNetwork.create();
    const tab = await tabThatServes(
      network,
      [CHATS, EMBEDS],
      new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 5 }),
    );
    const first = await network.open('one two three', { level: 'none' });
    await until(() => network.pool.kinds()[0]?.free === 0, 'it is at work');
    const texts = { variants: [EMBEDS], kind: 'embed', level: 'none' } as const;
    await network.open('a text', texts);
    expect(tabsServing(network.pool.kinds(), BOTH)).toEqual({ tabs: 1, free: 0, checkers: 0 });
    expect(network.pool.live(MODELS)).toMatchObject({ tabs: 1, free: 0, waiting: 1 });
    const leases = () => network.events.filter(({ event }) => event === 'task_leased');
    expect(leases()).toHaveLength(1);
    const answer = await network.follow(first.task, first.want);
    expect(answer.text).not.toBe('');
    await until(() => leases().length === 2, 'the texts have its slot when the answer is written');
    expect(leases().map(({ fields }) => fields.tab)).toEqual([tab.identity, tab.identity]);
  });

  it('adds its speed up once, as it can be used once', async () => {
    const network = await TestNetwork.create();
    await tabThatServes(network, [CHATS, EMBEDS]);
    await network.ask('one two three', { level: 'none' });
    const live = network.pool.live([...MODELS, { model: 'both', classes: BOTH }]);
    const [chats, , both] = live.models;
    expect(chats?.tokensPerSecond).toBeGreaterThan(0);
    expect(both?.tokensPerSecond).toBe(Math.max(...(both?.classes ?? []).map((one) => one.tokensPerSecond)));
    expect(live.tokensPerSecond).toBe(both?.tokensPerSecond);
  });
});
