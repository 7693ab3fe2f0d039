import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type BudgetSettings, DEFAULT_BUDGET, SHARES } from './budget-settings.ts';
import { addBytes, bytesToday, NO_DATA } from './data-meter.ts';
import { type BudgetRule, IDLE_AFTER_MS, mayDownload, mayWork, type WorkSignals } from './may-work.ts';
import { Slowdown } from './slowdown.ts';
import { WorkShare } from './work-share.ts';

const NOON = new Date(2026, 10, 22, 12, 0, 0).getTime();

const FREE: WorkSignals = {
  isPaused: false,
  isOnline: true,
  isAway: false,
  isHidden: false,
  lastInputAt: NOON,
  isPluggedIn: null,
  pressure: null,
  bytesToday: 0,
  restsUntil: 0,
  coolsUntil: 0,
};

const settings = fc.record<BudgetSettings>({
  sharePercent: fc.constantFrom(...SHARES),
  onlyWhenIdle: fc.boolean(),
  onlyWhenPluggedIn: fc.boolean(),
  onlyInForeground: fc.boolean(),
  hours: fc.option(fc.record({ from: fc.integer({ min: 0, max: 23 }), to: fc.integer({ min: 0, max: 23 }) })),
  easeUnderPressure: fc.boolean(),
  dailyBytes: fc.option(fc.integer({ min: 1, max: 1e9 })),
  restWhenSlow: fc.boolean(),
  keepAwake: fc.boolean(),
});

const nearNoon = fc.integer({ min: NOON - 1e7, max: NOON + 1e7 });
const signals = fc.record<WorkSignals>({
  isPaused: fc.boolean(),
  isOnline: fc.boolean(),
  isAway: fc.boolean(),
  isHidden: fc.boolean(),
  lastInputAt: nearNoon,
  isPluggedIn: fc.constantFrom(true, false, null),
  pressure: fc.constantFrom('nominal', 'fair', 'serious', 'critical', null),
  bytesToday: fc.integer({ min: 0, max: 2e9 }),
  restsUntil: nearNoon,
  coolsUntil: nearNoon,
});

describe('whether a tab may work', () => {
  it('is yes where nothing was asked for and nothing is the matter', () => {
    expect(mayWork(DEFAULT_BUDGET, FREE, NOON)).toEqual({ may: true, share: 1 });
  });

  it.each<[BudgetRule, Partial<BudgetSettings>, Partial<WorkSignals>]>([
    ['paused', {}, { isPaused: true }],
    ['away', {}, { isAway: true }],
    ['offline', {}, { isOnline: false }],
    ['foreground', { onlyInForeground: true }, { isHidden: true }],
    ['plugged_in', { onlyWhenPluggedIn: true }, { isPluggedIn: false }],
    ['plugged_in', { onlyWhenPluggedIn: true }, { isPluggedIn: null }],
    ['hours', { hours: { from: 22, to: 6 } }, {}],
    ['idle', { onlyWhenIdle: true }, { lastInputAt: NOON - 1 }],
    ['pressure', {}, { pressure: 'critical' }],
    ['data', { dailyBytes: 10 }, { bytesToday: 10 }],
    ['cooling', {}, { coolsUntil: NOON + 1 }],
    ['share', { sharePercent: 25 }, { restsUntil: NOON + 1 }],
  ])('is no by the rule %s alone, with a sentence', (rule, asked, seen) => {
    const answer = mayWork({ ...DEFAULT_BUDGET, ...asked }, { ...FREE, ...seen }, NOON);
    expect(answer).toMatchObject({ may: false, rule, because: expect.stringMatching(/^[A-Z].{8,}\.$|: switch/) });
  });

  it.each<[string, Partial<BudgetSettings>, Partial<WorkSignals>, BudgetRule | null]>([
    ['nothing is the matter', {}, {}, null],
    ['it is paused', {}, { isPaused: true }, 'paused'],
    ['the device is offline', {}, { isOnline: false }, 'offline'],
    ['it is outside the hours', { hours: { from: 22, to: 6 } }, {}, 'hours'],
    ['the data of the day is used up', { dailyBytes: 10 }, { bytesToday: 10 }, 'data'],
    [
      'the data of the day is used up in the background',
      { dailyBytes: 10, onlyInForeground: true },
      { bytesToday: 10, isHidden: true },
      'data',
    ],
    [
      'only the processor is asked to rest',
      {},
      { pressure: 'critical', restsUntil: NOON + 1, coolsUntil: NOON + 1 },
      null,
    ],
    ['somebody uses the device', { onlyWhenIdle: true }, { lastInputAt: NOON }, null],
  ])('a model comes down or not, by the rules that are about data: %s', (_, asked, seen, rule) => {
    const answer = mayDownload({ ...DEFAULT_BUDGET, ...asked }, { ...FREE, ...seen }, NOON);
    expect(answer.may ? null : answer.rule).toBe(rule);
  });

  it('is yes again at the instant that it named, unless another rule holds, and never before', () => {
    fc.assert(
      fc.property(settings, signals, nearNoon, (asked, seen, now) => {
        const answer = mayWork(asked, seen, now);
        if (answer.may || answer.until === null) return;
        expect(answer.until).toBeGreaterThan(now);
        const before = mayWork(asked, seen, answer.until - 1);
        expect(before.may).toBe(false);
        const then = mayWork(asked, answer.rule === 'data' ? { ...seen, bytesToday: 0 } : seen, answer.until);
        if (!then.may) expect(then.rule).not.toBe(answer.rule);
      }),
      { numRuns: 2_000 },
    );
  });

  it('[O1] is never yes against a rule that was asked for, or that the browser gives no signal for', () => {
    fc.assert(
      fc.property(settings, signals, nearNoon, (asked, seen, now) => {
        if (!mayWork(asked, seen, now).may) return;
        expect(seen.isPaused || seen.isAway || !seen.isOnline).toBe(false);
        if (asked.onlyInForeground) expect(seen.isHidden).toBe(false);
        if (asked.onlyWhenPluggedIn) expect(seen.isPluggedIn).toBe(true);
        if (asked.onlyWhenIdle) expect(now - seen.lastInputAt).toBeGreaterThanOrEqual(IDLE_AFTER_MS);
        if (asked.dailyBytes !== null) expect(seen.bytesToday).toBeLessThan(asked.dailyBytes);
        if (asked.easeUnderPressure) expect(seen.pressure).not.toBe('critical');
        expect(now).toBeGreaterThanOrEqual(seen.restsUntil);
      }),
      { numRuns: 2_000 },
    );
  });

  it('knows hours that go over midnight', () => {
    const night = { ...DEFAULT_BUDGET, hours: { from: 22, to: 6 } };
    const at = (hour: number) => mayWork(night, FREE, new Date(2026, 10, 22, hour, 30).getTime()).may;
    expect([21, 22, 23, 0, 5, 6].map(at)).toEqual([false, true, true, true, true, false]);
  });
});

describe('the share of time', () => {
  it('is never passed over whole stretches of work and rest, whatever comes when', () => {
    const pieces = fc.array(fc.record({ idleMs: fc.nat(5_000), workMs: fc.nat(60_000) }), { maxLength: 40 });
    fc.assert(
      fc.property(pieces, fc.constantFrom(...SHARES), (all, percent) => {
        const share = new WorkShare();
        let now = 0;
        let worked = 0;
        for (const { idleMs, workMs } of all) {
          now = Math.max(now + idleMs, share.restsUntil);
          share.began(now);
          now += workMs;
          worked += workMs;
          share.ended(percent / 100, now);
          expect(worked).toBeLessThanOrEqual((Math.max(now, share.restsUntil) * percent) / 100 + 1e-6 * now + 1e-6);
        }
      }),
    );
  });

  it('owes the rest that was cut short by work that had been leased before', () => {
    const share = new WorkShare();
    share.began(0);
    share.ended(0.5, 10);
    share.began(12);
    share.ended(0.5, 15);
    expect(share.restsUntil).toBe(15 + 8 + 3);
  });

  it('counts work that overlaps once', () => {
    const share = new WorkShare();
    share.began(0);
    share.began(5);
    share.ended(0.5, 8);
    expect(share.restsUntil).toBe(0);
    share.ended(0.5, 10);
    expect(share.restsUntil).toBe(20);
  });
});

describe('a device that becomes slow', () => {
  it('rests after it was slow for a while, and not after one slow answer', () => {
    const slowdown = new Slowdown();
    for (const [speed, at] of [
      [10, 0],
      [3, 1_000],
      [9, 2_000],
      [3, 3_000],
      [3, 30_000],
    ] as const)
      slowdown.measured(speed, at);
    expect(slowdown.coolsUntil).toBe(0);
    slowdown.measured(3, 63_000);
    expect(slowdown.coolsUntil).toBe(183_000);
  });

  it('is measured anew when it does something else', () => {
    const slowdown = new Slowdown();
    slowdown.measured(10, 0);
    slowdown.reset();
    slowdown.measured(3, 1_000);
    slowdown.measured(3, 100_000);
    expect(slowdown.coolsUntil).toBe(0);
  });
});

it('bytes are counted by the day', () => {
  const today = addBytes(addBytes(NO_DATA, 5, NOON), 6, NOON);
  expect([bytesToday(today, NOON), bytesToday(today, NOON + 86_400_000)]).toEqual([11, 0]);
  expect(bytesToday(addBytes(today, 1, NOON + 86_400_000), NOON + 86_400_000)).toBe(1);
});
