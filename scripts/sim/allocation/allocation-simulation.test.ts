import { describe, expect, it } from 'vitest';
import { seededRandom } from '../seeded-random.ts';
import { allocationChart } from './allocation-chart.ts';
import { SCHEDULERS, simulate } from './compare.ts';
import { decisionCost } from './decision-cost.ts';
import { Device } from './devices.ts';
import { jain } from './figures-of.ts';
import { simulateFlood } from './flood.ts';
import { parseRequests, syntheticRequests } from './requests.ts';
import { VirtualClock } from './virtual-clock.ts';

const SMALL = { seed: 7, tabs: 30, requests: 200, accounts: 5, warmUp: 0.2 };

describe('the simulation of the allocator', () => {
  const recorded = syntheticRequests(200, seededRandom(1));

  it.each(Object.keys(SCHEDULERS))(
    'serves every request under %s, and the same seed gives the same figures',
    (name) => {
      const { seconds: _, ...first } = simulate(name, 0.7, recorded, SMALL);
      const { seconds: __, ...second } = simulate(name, 0.7, recorded, SMALL);
      expect(first).toEqual(second);
      expect(first.requests).toBe(160);
      expect(first.startP50).toBeGreaterThanOrEqual(0);
      expect(first.waitP50).toBeGreaterThan(first.startP50);
      expect(first.endP50).toBeGreaterThan(first.waitP50);
      expect(first.waitP99).toBeGreaterThanOrEqual(first.waitP50);
      expect(first.etaError === null).toBe(name !== 'router');
    },
  );

  it('[W2] lets nobody else pay for a flood with most of what he asks', () => {
    const flood = simulateFlood(recorded, 3, 10, 20, 300_000);
    expect(flood.mean).toBeGreaterThan(flood.flooder);
  });

  it('times decisions of every kind', () => {
    const { tabs, ...costs } = decisionCost(250, 1);
    expect([tabs, Object.keys(costs)]).toEqual([250, ['leaseUs', 'planUs', 'releaseUs']]);
    expect(Object.values(costs).every((us) => us > 0)).toBe(true);
  });

  it('draws a picture that says in words what it shows', () => {
    const chart = allocationChart([simulate('router', 0.5, recorded, SMALL)], 'few & small');
    expect(chart).toContain('<desc id="desc">router at 50 %:');
    expect(chart).toContain('few &amp; small');
  });
});

describe('what it is made of', () => {
  it('runs events in their order, those of one instant as they were planned', () => {
    const clock = new VirtualClock();
    const order: string[] = [];
    for (const [at, name] of [
      [5, 'c'],
      [1, 'a'],
      [5, 'd'],
      [3, 'b'],
    ] as const)
      clock.at(at, () => order.push(`${name}${clock.now}`));
    clock.run(() => false);
    expect(order).toEqual(['a1', 'b3', 'c5', 'd5']);
  });

  it('reads traces of the Azure shape, and nothing else', () => {
    const csv =
      'TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.0000000,374,44\n2023-11-16 18:15:48.0000000,396,109\n';
    expect(parseRequests(csv)).toEqual({
      sizes: [
        { prompt: 374, output: 44 },
        { prompt: 396, output: 109 },
      ],
      gaps: [1, 1],
    });
    expect(() => parseRequests('a,b\n1,2')).toThrow(RangeError);
  });

  it('has devices that do work in the time that their speed takes, and longer while they are hidden', () => {
    const device = new Device('tab', 0, seededRandom(5));
    const work = { promptTokens: 100, outputTokens: 50, pace: 1 };
    const fastest = (1000 * work.promptTokens) / device.prefill;
    for (const at of [0, 600_000, 60_000, 3_600_000]) {
      const { acceptedAt, firstTokenAt, endAt } = device.course(at, work);
      expect(firstTokenAt - acceptedAt).toBeGreaterThanOrEqual(fastest - 1e-6);
      expect(firstTokenAt - acceptedAt).toBeLessThanOrEqual(fastest / 0.4 + 1e-6);
      expect(endAt).toBeGreaterThan(firstTokenAt);
      expect(device.course(at, work)).toEqual({ acceptedAt, firstTokenAt, endAt });
    }
  });

  it('knows Jain’s index', () => {
    expect([jain([1, 1, 1]), jain([1, 0, 0, 0]), jain([])]).toEqual([1, 0.25, 1]);
  });
});
