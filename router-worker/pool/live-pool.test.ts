import { describe, expect, it } from 'vitest';
import { TEST_CLASS, TestNetwork } from '../testing/network.ts';
import { speedClassOf } from './live-pool.ts';

const MODELS = [
  { model: 'test-model', classes: [TEST_CLASS] },
  { model: 'other-model', classes: ['cls_BBBBBBBBBBBBBBBBBBBBBB'] },
];

describe('what everybody may see of the pool', () => {
  it('is empty where no tab is', async () => {
    const network = await TestNetwork.create();
    expect(network.pool.live(MODELS)).toMatchObject({ tabs: 0, free: 0, networks: 0, waiting: 0 });
    expect(network.pool.live(MODELS).models.map(({ tabs, expectedWaitMs }) => [tabs, expectedWaitMs])).toEqual([
      [0, null],
      [0, null],
    ]);
  });

  it('counts tabs, their networks and their measured speeds by model', async () => {
    const network = await TestNetwork.create();
    await network.addTab({ network: 'a' });
    await network.addTab({ network: 'b' });
    await network.addTab({ network: 'b', checkOnly: true });
    const before = network.pool.live(MODELS);
    expect(before).toMatchObject({ tabs: 3, free: 2, networks: 2, waiting: 0 });
    expect(before.models[0]).toMatchObject({ tabs: 2, free: 2, checkers: 1, waiting: 0, expectedWaitMs: 0 });
    expect(before.models[0]?.classes[0]?.speeds).toEqual({ unmeasured: 2, slow: 0, steady: 0, fast: 0 });
    await network.ask('one two three');
    const [model] = network.pool.live(MODELS).models;
    expect(model?.classes[0]?.speeds.unmeasured).toBe(1);
    expect(model?.classes[0]?.tokensPerSecond).toBeGreaterThan(0);
  });

  it('[V1] names no tab, no network and nobody who asks', async () => {
    const network = await TestNetwork.create();
    const tabs = [await network.addTab({ network: 'net-one' }), await network.addTab({ network: 'net-two' })];
    await network.ask('a question');
    const told = JSON.stringify(network.pool.live(MODELS));
    for (const secret of [...tabs.map(({ identity }) => identity), 'net-one', 'net-two', network.client.publicKey]) {
      expect(told).not.toContain(secret);
    }
  });

  it('tells speeds by class: below 5 tokens per second, below 20, and faster', () => {
    expect([null, 0.1, 4.9, 5, 19.9, 20, 500].map(speedClassOf)).toEqual([
      'unmeasured',
      'slow',
      'slow',
      'steady',
      'steady',
      'fast',
      'fast',
    ]);
  });
});
