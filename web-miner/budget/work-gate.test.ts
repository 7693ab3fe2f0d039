import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DEFAULT_BUDGET } from './budget-settings.ts';
import { type DataOfDay, dayOf } from './data-meter.ts';
import type { MayWork } from './may-work.ts';
import { type GateOptions, QUIET_PAGE, WorkGate } from './work-gate.ts';

const NOON = new Date(2026, 10, 22, 12).getTime();

function gate(options: Partial<GateOptions> = {}) {
  const states: MayWork[] = [];
  const kept: DataOfDay[] = [];
  const made = new WorkGate({
    settings: DEFAULT_BUDGET,
    signals: QUIET_PAGE,
    data: { day: dayOf(NOON), bytes: 0 },
    now: Date.now,
    onChange: (state) => states.push(state),
    keepData: (data) => kept.push(data),
    ...options,
  });
  return { made, states, kept };
}

describe('the gate of a tab', () => {
  beforeEach(() => vi.useFakeTimers({ now: NOON }));
  afterEach(() => vi.useRealTimers());

  it('closes after a piece of work for as long as the share asks, and opens by itself', () => {
    const { made, states } = gate({ settings: { ...DEFAULT_BUDGET, sharePercent: 25 } });
    made.began();
    vi.advanceTimersByTime(1_000);
    made.ended();
    expect(states.at(-1)).toMatchObject({ may: false, rule: 'share', until: NOON + 4_000 });
    vi.advanceTimersByTime(2_999);
    expect(made.state.may).toBe(false);
    vi.advanceTimersByTime(1);
    expect(states.at(-1)).toEqual({ may: true, share: 0.25 });
    made.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  it('says a change once, and nothing when nothing changed', () => {
    const { made, states } = gate();
    made.see(QUIET_PAGE);
    made.see({ ...QUIET_PAGE, isPaused: true });
    made.see({ ...QUIET_PAGE, isPaused: true, isHidden: true });
    made.see(QUIET_PAGE);
    expect(states.map(({ may }) => may)).toEqual([false, true]);
    made.close();
  });

  it('stops at the data of a day, keeps the count, and begins again after midnight', () => {
    const { made, states, kept } = gate({ settings: { ...DEFAULT_BUDGET, dailyBytes: 3_000_000 } });
    made.moved(1_500_000);
    expect([made.downloads.may, kept.length]).toEqual([true, 1]);
    made.moved(1_500_000);
    expect(states.at(-1)).toMatchObject({ may: false, rule: 'data' });
    expect(made.downloads).toMatchObject({ may: false, rule: 'data' });
    vi.advanceTimersByTime(12 * 3_600_000);
    expect(states.at(-1)?.may).toBe(true);
    made.close();
    expect(kept.at(-1)).toEqual({ day: dayOf(NOON), bytes: 3_000_000 });
  });

  it('says that a download may go on, although the rule that keeps the tab from work is the same', () => {
    const { made, states } = gate({
      settings: { ...DEFAULT_BUDGET, onlyInForeground: true, hours: { from: 13, to: 14 } },
      signals: { ...QUIET_PAGE, isHidden: true },
    });
    expect([made.state, made.downloads]).toMatchObject([{ rule: 'foreground' }, { rule: 'hours' }]);
    vi.advanceTimersByTime(3_600_000);
    expect([made.state, made.downloads]).toMatchObject([{ rule: 'foreground' }, { may: true }]);
    expect(states).toMatchObject([{ rule: 'foreground' }]);
    made.close();
  });

  it('takes a rule that is changed at once', () => {
    const { made, states } = gate({ signals: { ...QUIET_PAGE, isHidden: true } });
    made.set({ ...DEFAULT_BUDGET, onlyInForeground: true });
    expect(states.at(-1)).toMatchObject({ may: false, rule: 'foreground' });
    made.set(DEFAULT_BUDGET);
    expect(states.at(-1)?.may).toBe(true);
    made.close();
  });
});
