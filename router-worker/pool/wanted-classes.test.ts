import { describe, expect, it } from 'vitest';
import type { RouterToTab } from '../../shared/protocol/tab-socket.ts';
import { ScriptedEngine } from '../../web-miner/engine/scripted-engine.ts';
import { TEST_CLASS, TestNetwork, until } from '../testing/network.ts';
import { WantedClasses } from './wanted-classes.ts';

const OTHER_CLASS = 'cls_BBBBBBBBBBBBBBBBBBBBBB';
const tabs = (id: string, count: number) => ({ class: id, tabs: count, free: 0, checkers: 0 });

describe('what the network is short of', () => {
  it('is what most requests wait for per tab, and before it what nobody serves', () => {
    let now = 0;
    const wanted = new WantedClasses(() => now);
    wanted.asked(['c'], new Set(['a', 'b']));
    wanted.asked(['a'], new Set(['a', 'b']));
    const lines = [['a'], ['a'], ['a', 'b']];
    const census = [tabs('a', 3), tabs('b', 2)];
    expect(wanted.toTell(lines, census)).toEqual(['c', 'a', 'b']);
    expect(wanted.toTell(lines, census)).toEqual([]);
    now = 400_000;
    expect(wanted.toTell([], census)).toEqual([]);
    expect(wanted.demand([])).toEqual([]);
  });

  it('is bounded, whatever is asked for', () => {
    const wanted = new WantedClasses(() => 1);
    for (let i = 0; i < 5_000; i++) wanted.asked([`class ${i % 1_000}`], new Set());
    expect(wanted.demand([]).length).toBe(256);
    expect(wanted.toTell([], []).length).toBe(8);
  });

  it('is told to free tabs of other models, and to nobody else', async () => {
    const network = await TestNetwork.create();
    const busy = await network.addTab({ engine: new ScriptedEngine({ prefillMsPerToken: 0, decodeMsPerToken: 5 }) });
    const other = await network.addTab({ class: OTHER_CLASS });
    const heard = (tab: typeof busy) =>
      tab.wire.log.flatMap((data) => {
        if (typeof data !== 'string') return [];
        const message = JSON.parse(data) as RouterToTab | { readonly t: '' };
        return message.t === 'wanted' ? [message.classes] : [];
      });
    const first = network.ask('hello', { level: 'none' });
    await until(() => busy.snapshot()?.working === 'answer', 'it works');
    const second = network.ask('hello again', { level: 'none' });
    await until(() => heard(other).length === 1, 'the other tab is told');
    expect(network.pool.demand()).toEqual([{ class: TEST_CLASS, waiting: 1, unserved: 0 }]);
    await Promise.all([first, second]);
    expect([heard(other), heard(busy)]).toEqual([[[TEST_CLASS]], []]);
    expect(network.pool.demand()).toEqual([]);
  });

  it('counts requests that found nobody', async () => {
    const network = await TestNetwork.create();
    await network.addTab({ class: OTHER_CLASS });
    await expect(network.ask('hello')).rejects.toMatchObject({ code: 'no_tab' });
    expect(network.pool.demand()).toEqual([{ class: TEST_CLASS, waiting: 0, unserved: 1 }]);
  });
});
