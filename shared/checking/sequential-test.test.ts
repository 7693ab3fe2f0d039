import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addEvidence, alarmBound, decayed, failureWeight, passWeight } from './sequential-test.ts';

const RATES = { honest: 0.02, cheat: 0.3 };

const rates = fc
  .tuple(fc.double({ min: 1e-6, max: 0.999, noNaN: true }), fc.double({ min: 1.001, max: 1e5, noNaN: true }))
  .map(([honest, factor]) => ({ honest, cheat: Math.min(0.9999, honest * factor) }));

describe('the sequential test', () => {
  it('weighs a failure and a pass as the calibration of the probes did: times 15, times 0.714', () => {
    expect(Math.exp(failureWeight(RATES))).toBeCloseTo(15);
    expect(Math.exp(passWeight(RATES))).toBeCloseTo(0.714, 3);
  });

  it('counts a failure against, and a pass for, whatever the rates', () => {
    fc.assert(
      fc.property(rates, (given) => {
        expect(failureWeight(given)).toBeGreaterThan(0);
        expect(passWeight(given)).toBeLessThan(0);
      }),
    );
  });

  it('expects a ratio of one of an honest party: Σ P(outcome) · ratio = 1', () => {
    fc.assert(
      fc.property(rates, (given) => {
        const { honest } = given;
        const mean = honest * Math.exp(failureWeight(given)) + (1 - honest) * Math.exp(passWeight(given));
        expect(mean).toBeCloseTo(1, 9);
      }),
    );
  });

  it('never falls below zero, stays finite, and rises with the weight', () => {
    const weight = fc.double({ min: -50, max: 50, noNaN: true });
    const evidence = fc.double({ min: 0, max: 1e6, noNaN: true });
    fc.assert(
      fc.property(evidence, weight, weight, (start, a, b) => {
        const [less, more] = [addEvidence(start, Math.min(a, b)), addEvidence(start, Math.max(a, b))];
        expect(less).toBeGreaterThanOrEqual(0);
        expect(more).toBeGreaterThanOrEqual(less);
        expect(Number.isFinite(more)).toBe(true);
      }),
    );
  });

  it('keeps weak evidence under its ceiling, however often it is repeated, and lowers nothing by it', () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 5, noNaN: true })), fc.nat(20), (weights, start) => {
        let evidence = start;
        for (const weight of weights) evidence = addEvidence(evidence, weight, 4);
        expect(evidence).toBeGreaterThanOrEqual(start);
        expect(evidence).toBeLessThanOrEqual(Math.max(start, 4));
      }),
    );
  });

  it('halves in a half-life, in one step or in many', () => {
    expect(decayed(8, 2000, 1000)).toBe(2);
    expect(decayed(8, -5, 1000)).toBe(8);
    fc.assert(
      fc.property(fc.nat(10_000), fc.nat(10_000), (a, b) => {
        expect(decayed(decayed(1, a, 777), b, 777)).toBeCloseTo(decayed(1, a + b, 777), 9);
      }),
    );
  });

  it('alarms for an honest party no more often than the bound promises', () => {
    const falseAlarm = 0.01;
    const [fail, pass, bound] = [failureWeight(RATES), passWeight(RATES), alarmBound(falseAlarm)];
    let [state, evidence, alarms] = [1, 0, 0];
    const observations = 200_000;
    for (let i = 0; i < observations; i++) {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      evidence = addEvidence(evidence, state / 2 ** 32 < RATES.honest ? fail : pass);
      if (evidence < bound) continue;
      alarms++;
      evidence = 0;
    }
    expect(alarms).toBeGreaterThan(0); // Or the run would show nothing.
    expect(alarms / observations).toBeLessThan(falseAlarm);
  });
});
