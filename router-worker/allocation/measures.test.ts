import { describe, expect, it } from 'vitest';
import { ExpectedWork } from './expected-work.ts';
import { HedgeBudget, lateAfterMs } from './hedge-budget.ts';
import { NOBODY_WAITS, TabPlans } from './tab-plans.ts';
import { TabSpeeds } from './tab-speeds.ts';
import { WaitEstimate } from './wait-estimate.ts';
import { WarmPrefixes } from './warm-prefixes.ts';

const seen = (prefillMs: number, decodeMs: number) => ({
  prefill: { tokens: 1_000, ms: prefillMs },
  decode: { tokens: 1_000, ms: decodeMs },
  roundTripMs: 50,
});

describe('the speeds of tabs', () => {
  it('follow what is seen, within a few answers', () => {
    const speeds = new TabSpeeds();
    speeds.finished('a', 'c', seen(1_000, 10_000));
    expect(speeds.of('a', 'c')).toMatchObject({ prefill: 1_000, decode: 100, roundTripMs: 50, isMeasured: true });
    for (let i = 0; i < 6; i++) speeds.finished('a', 'c', seen(4_000, 40_000));
    expect(speeds.of('a', 'c').decode).toBeLessThan(30);
  });

  it('expect little of a newcomer: half of its class, or next to nothing', () => {
    const speeds = new TabSpeeds();
    expect(speeds.of('new', 'c')).toMatchObject({ decode: 1, isMeasured: false });
    speeds.finished('a', 'c', seen(1_000, 10_000));
    expect(speeds.of('new', 'c')).toMatchObject({ prefill: 500, decode: 50, isMeasured: false });
    expect(speeds.of('a', 'other class').decode).toBe(1);
  });

  it('remember who does not finish, and forgive', () => {
    const speeds = new TabSpeeds();
    for (let i = 0; i < 3; i++) speeds.lost('a', 'c');
    expect(speeds.of('a', 'c').reliability).toBeLessThan(0.4);
    for (let i = 0; i < 20; i++) speeds.finished('a', 'c', seen(1_000, 10_000));
    expect(speeds.of('a', 'c').reliability).toBeGreaterThan(0.9);
  });
});

describe('the work that is expected', () => {
  it('learns how long prompts and answers are, and keeps to what was asked at most', () => {
    const work = new ExpectedWork();
    for (let i = 0; i < 300; i++) {
      work.read({ promptBytes: 3_000, maxTokens: 1_000 }, 1_000);
      work.wrote(i % 2 === 0 ? 20 : 400);
    }
    const expected = work.of({ promptBytes: 6_000, maxTokens: 1_000 });
    expect(Math.round(expected.promptTokens / 100)).toBe(20);
    expect(expected.outputTokens).toBeGreaterThan(150);
    expect(expected.outputTokens).toBeLessThan(270);
    expect(work.of({ promptBytes: null, maxTokens: 5 }).outputTokens).toBe(5);
  });

  it('expects an answer that has outlived the short ones to be a long one', () => {
    const work = new ExpectedWork();
    for (let i = 0; i < 600; i++) work.wrote(i % 2 === 0 ? 20 : 400);
    expect(work.remaining(0)).toBeLessThan(230);
    expect(work.remaining(100)).toBeGreaterThan(280);
    expect(work.remaining(5_000)).toBe(2_500);
  });
});

describe('warm conversations', () => {
  it('are held by the tab that served them last, until it has served four others or leaves', () => {
    const warm = new WarmPrefixes();
    warm.served('a', 'c', 'talk', 500);
    expect(warm.holderOf('talk')).toEqual({ tab: 'a', class: 'c', tokens: 500 });
    warm.began('a', 'talk');
    expect(warm.holderOf('talk')?.tab).toBe('a');
    for (const other of ['second', 'third', 'fourth']) {
      warm.began('a', other);
      warm.served('a', 'c', other, 100);
    }
    expect(warm.holderOf('talk')?.tab).toBe('a');
    warm.began('a', null); // A check, say: the oldest gives way.
    expect([warm.holderOf('talk'), warm.holderOf('second')?.tab]).toEqual([null, 'a']);
    warm.served('a', 'c', 'talk', 500);
    warm.served('b', 'c', 'talk', 700);
    warm.left('a');
    expect(warm.holderOf('talk')).toEqual({ tab: 'b', class: 'c', tokens: 700 });
    warm.left('b');
    expect([warm.holderOf('talk'), warm.holderOf(null)]).toEqual([null, null]);
  });

  it('are bounded in number', () => {
    const warm = new WarmPrefixes();
    for (let i = 0; i < 5_000; i++) warm.served(`tab${i}`, 'c', `talk${i}`, 1);
    expect([warm.holderOf('talk0'), warm.holderOf('talk4999')?.tab]).toEqual([null, 'tab4999']);
  });
});

describe('plans', () => {
  it('know what is before a request on its tab, and who is next', () => {
    const plans = new TabPlans<string>();
    const plan = (tab: string, tag: number) => ({ tab, tag, workMs: 100, restMs: 300 });
    plans.set('late', plan('a', 9));
    plans.set('early', plan('a', 1));
    plans.set('else', plan('b', 5));
    expect([9, 5, 1].map((tag) => plans.lineOn('a', tag))).toEqual([
      { beforeMs: 100, behind: 0 },
      { beforeMs: 100, behind: 1 },
      { beforeMs: 0, behind: 1 },
    ]);
    expect([plans.lineOn('c', 1), plans.nextOn('a')]).toEqual([NOBODY_WAITS, 'early']);
    plans.set('early', plan('b', 1));
    expect([plans.lineOn('a', 9).beforeMs, plans.nextOn('a')]).toEqual([0, 'late']);
    expect([plans.of('b').sort(), [...plans.oldestFirst]]).toEqual([
      ['early', 'else'],
      ['late', 'else', 'early'],
    ]);
    plans.delete('late');
    expect([plans.nextOn('a'), plans.get('late')]).toEqual([null, undefined]);
  });
});

describe('hedges and estimates', () => {
  it('hedge no more than a twentieth of the answers', () => {
    const budget = new HedgeBudget();
    let hedged = 0;
    for (let i = 0; i < 1_000; i++) {
      budget.earn();
      if (!budget.allows) continue;
      budget.spend();
      hedged++;
    }
    expect(hedged).toBeLessThanOrEqual(51);
    expect(lateAfterMs(500)).toBe(2_000);
  });

  it('[W3] correct what was said too low, and no further than it was', () => {
    const waits = new WaitEstimate();
    for (let i = 0; i < 500; i++) waits.came(1_000, 2_000);
    expect(waits.corrected(1_000)).toBeGreaterThan(1_900);
    expect(waits.corrected(1_000)).toBeLessThan(2_100);
  });
});
