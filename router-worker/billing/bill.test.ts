import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Level } from '../../shared/protocol/level.ts';
import { ended, judged, type Scene, terms, unchecked } from '../testing/ended-task.ts';
import { billOf, type Terms } from './bill.ts';

function bill(scene: Scene, wanted: Terms, amount = 100_000) {
  const { task, receipt } = ended(scene, wanted);
  const { charged, pays, tokens, percent } = billOf(task, receipt, { amount, terms: wanted });
  return { charged, tokens, percent: percent.level, pays: pays.map(({ tab, amount: paid }) => [tab, paid]) };
}

describe('a bill', () => {
  it('[M5] is the tokens that count, times the price, the level and the class', () => {
    const tokens = { prompt: 20, completion: 30 };
    expect(bill({ verdict: unchecked('not_asked') }, terms('none'))).toEqual({
      charged: 500,
      tokens,
      percent: 100,
      pays: [['tab', 475]],
    });
    expect(bill({ verdict: unchecked('not_sampled') }, terms('basic')).charged).toBe(525);
    expect(bill({ verdict: judged('valid', 1, 0), checks: ['same'] }, terms('cross'))).toEqual({
      charged: 1_000,
      tokens,
      percent: 200,
      pays: [
        ['tab', 475],
        ['checker 0', 475],
      ],
    });
    expect(bill({ verdict: judged('valid', 1, 0), checks: ['same'] }, terms('strict')).charged).toBe(1_050);
    expect(bill({ verdict: unchecked('not_asked') }, terms('none', { sla: 'fast' }))).toMatchObject({
      charged: 750,
      pays: [['tab', 712]],
    });
  });

  it('[M6] pays an answering tab the same at every level', () => {
    const paid = (['none', 'basic', 'cross', 'strict'] as const).map(
      (level) => bill({ verdict: judged('valid', 1, 0), checks: ['same'] }, terms(level)).pays[0],
    );
    expect(new Set(paid.map(String))).toEqual(new Set(['tab,475']));
  });

  it('[M5] charges no check that did not come to its end', () => {
    expect(bill({ verdict: unchecked('nobody_fit') }, terms('cross')).charged).toBe(500);
    expect(bill({ verdict: unchecked('nobody_fit') }, terms('basic')).charged).toBe(500);
    expect(
      bill({ verdict: unchecked('checker_lost'), checks: [null, null] }, terms('cross', { wanted: 2 })),
    ).toMatchObject({
      charged: 500,
      pays: [['tab', 475]],
    });
    expect(
      bill({ verdict: judged('valid', 1, 0), checks: ['same', null] }, terms('cross', { wanted: 3 })).charged,
    ).toBe(1_000);
  });

  it('[M5] pays more checks than were asked for, and charges no more than that', () => {
    const disputed = bill({ verdict: judged('valid', 2, 1), checks: ['other', 'same', 'same'] }, terms('cross'));
    expect(disputed).toMatchObject({
      charged: 1_000,
      pays: [
        ['tab', 475],
        ['checker 1', 475],
        ['checker 2', 475],
      ],
    });
  });

  it('[M5] costs nothing for what failed, was refuted or was withheld', () => {
    const nothing = { charged: 0, pays: [] };
    const failed = { outcome: { value: 'failed', code: 'tab_lost' }, verdict: unchecked('no_answer') } as const;
    expect(bill(failed, terms('none'))).toMatchObject(nothing);
    expect(bill({ ...failed, isCommitted: false }, terms('none'))).toMatchObject(nothing);
    expect(bill({ verdict: unchecked('nobody_fit') }, terms('strict'))).toMatchObject(nothing);
    expect(bill({ verdict: unchecked('client_gone') }, terms('strict'))).toMatchObject({ charged: 500 });
    const refuted = bill({ verdict: judged('invalid', 0, 2), checks: ['truth', 'truth'] }, terms('cross'));
    expect(refuted).toMatchObject({
      charged: 0,
      pays: [
        ['checker 0', 475],
        ['checker 1', 475],
      ],
    });
  });

  it('[M5] at level strict is for an answer that as many tabs as were asked for have proven', () => {
    const one = { verdict: judged('valid', 1, 0), checks: ['same', null] };
    expect(bill(one, terms('strict', { wanted: 2 }))).toMatchObject({ charged: 500, pays: [['checker 0', 475]] });
    const two = { verdict: judged('valid', 2, 0), checks: ['same', 'same'] };
    expect(bill(two, terms('strict', { wanted: 2 })).charged).toBe(1_550);
  });

  it('[M5] at level strict pays checks that proved nothing out of what is charged for them, and never out of the fees', () => {
    const disputed = { verdict: judged('disputed', 2, 3), checks: ['same', 'same', 'other', 'other', 'other'] };
    expect(bill(disputed, terms('strict'))).toMatchObject({
      charged: 500,
      pays: [0, 1, 2, 3, 4].map((i) => [`checker ${i}`, 95]),
    });
    fc.assert(
      fc.property(
        fc.record({
          verdict: fc.constantFrom(
            unchecked('nobody_fit'),
            unchecked('checker_lost'),
            judged('disputed', 1, 2),
            judged('valid', 1, 0),
          ),
          tokens: fc.tuple(fc.nat(500), fc.nat(500)),
          checks: fc.array(fc.constantFrom('same', 'other', 'third', null), { maxLength: 6 }),
        }),
        fc.integer({ min: 2, max: 3 }),
        fc.constantFrom('fast', 'standard', 'batch'),
        fc.nat(20_000),
        (scene, wanted, sla: Terms['sla'], amount) => {
          const { charged, pays } = bill(scene, terms('strict', { wanted, sla }), amount);
          expect(pays.reduce((sum, [, paid]) => sum + Number(paid), 0)).toBeLessThanOrEqual(charged);
        },
      ),
      { seed: 5 },
    );
  });

  it('[M5] is nothing for what the router itself threw away, pays nobody for the answer, and all the same who checked it', () => {
    const paid = (scene: Scene, level: Level) => {
      const { task, receipt } = ended(scene, terms(level));
      const bill = billOf(task, receipt, { amount: 5_000, terms: terms(level), discarded: true });
      return [bill.charged, ...bill.pays.map(({ tab, amount }) => [tab, amount])];
    };
    const checked = { verdict: judged('valid', 1, 0), checks: ['same', null] };
    expect(paid(checked, 'cross')).toEqual([0, ['checker 0', 475]]);
    const unproven = { verdict: judged('disputed', 1, 1), checks: ['same', 'other'] };
    expect(paid(unproven, 'strict')).toEqual([0, ['checker 0', 475], ['checker 1', 475]]);
    expect(paid({ verdict: unchecked('not_asked') }, 'none')).toEqual([0]);
  });

  it('[M5] is for a private answer at level strict whatever the checks came to: the router cannot withhold it', () => {
    const isPrivate = true;
    const nobody = { verdict: unchecked('nobody_fit'), isPrivate };
    expect(bill(nobody, terms('strict'))).toMatchObject({ charged: 500, pays: [['tab', 475]] });
    const tooFew = { verdict: judged('valid', 1, 0), checks: ['same', null], isPrivate };
    expect(bill(tooFew, terms('strict', { wanted: 3 }))).toMatchObject({ charged: 1_050 });
    const refuted = { verdict: judged('invalid', 0, 2), checks: ['truth', 'truth'], isPrivate };
    expect(bill(refuted, terms('strict')).charged).toBe(0);
  });

  it('[M5] of a stopped answer is for what was written until then', () => {
    const stopped = { outcome: { value: 'cancelled' }, verdict: unchecked('no_answer'), tokens: [20, 5] } as const;
    expect(bill(stopped, terms('cross'))).toMatchObject({ charged: 250, pays: [['tab', 237]] });
    expect(bill({ ...stopped, isCommitted: false }, terms('cross'))).toMatchObject({ charged: 0, pays: [] });
  });

  it('[M5] believes no tab that claims more tokens than its answer has bytes, or than were allowed', () => {
    expect(bill({ verdict: unchecked('not_asked'), tokens: [20, 5_000], bytes: 99 }, terms('none')).tokens).toEqual({
      prompt: 20,
      completion: 100,
    });
    expect(bill({ verdict: unchecked('not_asked'), tokens: [5_000, 5_000] }, terms('none')).tokens).toEqual({
      prompt: 100,
      completion: 200,
    });
  });

  it('[M3] never comes to more than was held, nor pays an answer more than it charges', () => {
    const verdicts = [
      unchecked('not_asked'),
      unchecked('client_gone'),
      judged('valid', 1, 0),
      judged('disputed', 1, 1),
    ];
    fc.assert(
      fc.property(
        fc.record({
          verdict: fc.constantFrom(...verdicts),
          tokens: fc.tuple(fc.nat(500), fc.nat(500)),
          bytes: fc.nat(2_000),
          checks: fc.array(fc.constantFrom('same', 'other', null), { maxLength: 6 }),
        }),
        fc.constantFrom('none', 'basic', 'cross', 'strict'),
        fc.constantFrom('fast', 'standard', 'batch'),
        fc.nat(5_000),
        (scene, level: Level, sla: Terms['sla'], amount) => {
          const { charged, pays } = bill(scene, terms(level, { sla }), amount);
          const answer = pays.find(([tab]) => tab === 'tab')?.[1] ?? 0;
          expect(charged).toBeLessThanOrEqual(amount);
          expect(Number(answer)).toBeLessThanOrEqual(charged);
          expect(pays.every(([, paid]) => Number.isSafeInteger(paid) && Number(paid) > 0)).toBe(true);
        },
      ),
      { seed: 3 },
    );
  });
});
