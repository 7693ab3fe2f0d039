import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FairLine, type Place, SLAS } from './fair-line.ts';

/** Serves everybody, the lowest tag first, while `arrivals` keep coming. */
function serve(line: FairLine, waiting: Place[], count: number): Place[] {
  const served: Place[] = [];
  for (let i = 0; i < count; i++) {
    waiting.sort((a, b) => a.tag - b.tag);
    const next = waiting.shift();
    if (next === undefined) break;
    line.served(next);
    served.push(next);
  }
  return served;
}

describe('a fair line', () => {
  it('serves one account in the order in which it came', () => {
    const line = new FairLine();
    const places = [1, 2, 3].map((at) => line.join('a', 'standard', 10, at));
    expect(serve(line, [...places], 3).map(({ since }) => since)).toEqual([1, 2, 3]);
    expect(line.length).toBe(0);
  });

  it('[W2] lets others past whoever has much in it', () => {
    const line = new FairLine();
    const waiting = Array.from({ length: 50 }, () => line.join('flood', 'standard', 10, 0));
    waiting.push(line.join('b', 'standard', 10, 1), line.join('c', 'standard', 10, 1));
    expect(
      serve(line, waiting, 4)
        .map(({ account }) => account)
        .sort(),
    ).toEqual(['b', 'c', 'flood', 'flood']);
  });

  it('[W2] shares by work, not by number', () => {
    const line = new FairLine();
    const waiting: Place[] = [];
    for (let i = 0; i < 100; i++)
      waiting.push(line.join('long', 'standard', 40, 0), line.join('short', 'standard', 10, 0));
    const served = serve(line, waiting, 100);
    const workOf = (name: string) =>
      served.filter(({ account }) => account === name).length * (name === 'long' ? 40 : 10);
    expect(workOf('long') / workOf('short')).toBeGreaterThan(0.9);
    expect(workOf('long') / workOf('short')).toBeLessThan(1.1);
  });

  it('[W2] gives classes their weights, and an account in several classes no more than its share', () => {
    const line = new FairLine();
    const waiting = SLAS.flatMap((sla) => Array.from({ length: 200 }, () => line.join(sla, sla, 10, 0)));
    const served = serve(line, waiting, 140);
    expect(SLAS.map((sla) => served.filter((place) => place.sla === sla).length)).toEqual([80, 40, 20]);
    const two = new FairLine();
    const both: Place[] = [];
    for (let i = 0; i < 200; i++) {
      for (const sla of SLAS) both.push(two.join('greedy', sla, 10, 0));
      both.push(two.join('plain', 'fast', 10, 0));
    }
    const greedy = serve(two, both, 200).filter(({ account }) => account === 'greedy').length;
    expect(greedy).toBeLessThanOrEqual(105);
  });

  it('[W2] [T6] serves batch too while urgent requests never stop coming', () => {
    const line = new FairLine();
    const waiting = [line.join('patient', 'batch', 10, 0)];
    for (let i = 1; i <= 20; i++) {
      waiting.push(line.join(`urgent${i}`, 'fast', 10, i));
      if (serve(line, waiting, 1)[0]?.account === 'patient') return;
    }
    throw new Error('batch was starved');
  });

  it('is empty when everybody has gone, whatever happened', () => {
    const place = fc.record({
      account: fc.constantFrom('a', 'b', 'c'),
      sla: fc.constantFrom(...SLAS),
      cost: fc.integer({ min: 1, max: 99 }),
    });
    fc.assert(
      fc.property(fc.array(fc.tuple(place, fc.boolean()), { maxLength: 40 }), (steps) => {
        const line = new FairLine();
        const waiting = steps.map(([{ account, sla, cost }]) => line.join(account, sla, cost, 0));
        for (const [i, one] of waiting.entries()) line[steps[i]?.[1] === true ? 'served' : 'left'](one);
        expect([line.length, line.waitingOf('a')]).toEqual([0, 0]);
      }),
    );
  });
});
