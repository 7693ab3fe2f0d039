import { describe, expect, it } from 'vitest';
import { poolsFor, socketLimit } from './pool-size.ts';
import { sumOfCensus, sumOfDemand, sumOfKinds, sumOfLive, sumOfOutlooks } from './sum-of-pools.ts';
import { tabsServing } from './tab-roster.ts';

const some = (tabs: number, free: number, checkers = 0) => ({ tabs, free, checkers });
const speeds = { unmeasured: 1, slow: 0, steady: 2, fast: 0 };

describe('what several pools say', () => {
  it('[Q7] is added up by class, by kind of tab, and by what is asked for', () => {
    expect(
      sumOfCensus([
        [{ class: 'a', ...some(2, 1) }],
        [
          { class: 'a', ...some(3, 3, 1) },
          { class: 'b', ...some(1, 0) },
        ],
      ]),
    ).toEqual([
      { class: 'a', ...some(5, 4, 1) },
      { class: 'b', ...some(1, 0) },
    ]);
    const kinds = sumOfKinds([
      [{ classes: ['a', 'b'], ...some(2, 1) }],
      [
        { classes: ['a', 'b'], ...some(1, 1) },
        { classes: ['a'], ...some(4, 0, 2) },
      ],
    ]);
    expect(kinds).toEqual([
      { classes: ['a', 'b'], ...some(3, 2) },
      { classes: ['a'], ...some(4, 0, 2) },
    ]);
    expect([tabsServing(kinds, ['a', 'b']), tabsServing(kinds, ['b']), tabsServing(kinds, [])]).toEqual([
      some(7, 2, 2),
      some(3, 2),
      some(0, 0),
    ]);
    expect(
      sumOfDemand([[{ class: 'a', waiting: 1, unserved: 0 }], [{ class: 'a', waiting: 2, unserved: 5 }], []]),
    ).toEqual([{ class: 'a', waiting: 3, unserved: 5 }]);
  });

  it('[Q7] is the shortest wait of those that can tell', () => {
    const outlook = (expectedWaitMs: number | null) => ({
      serving: [{ class: 'a', ...some(1, 0) }],
      able: some(1, 0),
      ahead: 2,
      expectedWaitMs,
    });
    expect(sumOfOutlooks([outlook(null), outlook(700), outlook(300)])).toEqual({
      serving: [{ class: 'a', ...some(3, 0) }],
      able: some(3, 0),
      ahead: 6,
      expectedWaitMs: 300,
    });
    expect(sumOfOutlooks([outlook(null)]).expectedWaitMs).toBe(null);
  });

  it('[Q7] has a network once that tabs of two pools are on', () => {
    const seen = (networks: readonly string[]) => ({
      networks,
      live: {
        ...{ tabs: 2, free: 1, networks: networks.length, waiting: 1, tokensPerSecond: 10 },
        models: [
          {
            ...{ model: 'm', ...some(2, 1), waiting: 1, expectedWaitMs: null, speeds, tokensPerSecond: 10 },
            classes: [{ class: 'a', ...some(2, 1), speeds, tokensPerSecond: 10 }],
          },
        ],
      },
    });
    expect(sumOfLive([seen(['x', 'y']), seen(['y'])])).toEqual({
      ...{ tabs: 4, free: 2, networks: 2, waiting: 2, tokensPerSecond: 20 },
      models: [
        {
          ...{ model: 'm', ...some(4, 2), waiting: 2, expectedWaitMs: null, tokensPerSecond: 20 },
          speeds: { unmeasured: 2, slow: 0, steady: 4, fast: 0 },
          classes: [
            {
              ...{ class: 'a', ...some(4, 2), tokensPerSecond: 20 },
              speeds: { unmeasured: 2, slow: 0, steady: 4, fast: 0 },
            },
          ],
        },
      ],
    });
  });
});

describe('the number of pools', () => {
  it('[Q2] is what all tabs need, with room for chance, and bounded', () => {
    expect([0, 400, 401, 501, 801, 1_000_000].map((sockets) => poolsFor(sockets, 500))).toEqual([1, 1, 2, 2, 3, 64]);
  });

  it('follows the operator, who may be wrong', () => {
    const limits = ['20', 'many', '-1', '0', undefined].map((set) =>
      socketLimit(set === undefined ? {} : { SHOAL_POOL_SOCKETS: set }),
    );
    const usual = { soft: 500, most: 2_000 };
    expect(limits).toEqual([{ soft: 20, most: 80 }, usual, usual, usual, usual]);
  });
});
