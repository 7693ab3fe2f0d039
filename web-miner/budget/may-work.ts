import type { BudgetSettings } from './budget-settings.ts';

/** What is known of the device at this moment. Null: this browser does not say. */
export interface WorkSignals {
  readonly isPaused: boolean;
  readonly isOnline: boolean;
  /** The browser is about to freeze the page, or has taken it away. */
  readonly isAway: boolean;
  readonly isHidden: boolean;
  /** When somebody last used the device, ms since the epoch, as far as the browser lets the page know. */
  readonly lastInputAt: number;
  readonly isPluggedIn: boolean | null;
  readonly pressure: 'nominal' | 'fair' | 'serious' | 'critical' | null;
  /** Bytes downloaded and sent since the day began. */
  readonly bytesToday: number;
  /** Until when the tab rests because it worked, and because it was slow, ms since the epoch; 0: it need not. */
  readonly restsUntil: number;
  readonly coolsUntil: number;
}

/** The rule that keeps a tab from working. */
export type BudgetRule =
  | 'paused'
  | 'away'
  | 'offline'
  | 'foreground'
  | 'plugged_in'
  | 'hours'
  | 'idle'
  | 'pressure'
  | 'data'
  | 'cooling'
  | 'share';

export type MayWork =
  | { readonly may: true; readonly share: number }
  /** `until`: when the answer may be another without a new signal, ms since the epoch; null when only a signal changes it. */
  | { readonly may: false; readonly rule: BudgetRule; readonly because: string; readonly until: number | null };

/** Nobody touched the device for this long: it is idle, ms. */
export const IDLE_AFTER_MS = 3 * 60_000;

const HOUR_MS = 3_600_000;

/**
 * Whether the tab may take new work now, and if not, why, in a sentence for its owner. What runs is finished in any case. A rule that the browser gives no signal for
 * holds: better no work than work that was forbidden.
 */
export function mayWork(settings: BudgetSettings, signals: WorkSignals, now: number): MayWork {
  const no = (rule: BudgetRule, because: string, until: number | null = null): MayWork => ({
    may: false,
    rule,
    because,
    until,
  });
  if (signals.isPaused) return no('paused', 'You paused it.');
  if (signals.isAway) return no('away', 'The browser has put this page aside.');
  if (!signals.isOnline) return no('offline', 'This device is offline.');
  if (settings.onlyInForeground && signals.isHidden) {
    return no('foreground', 'This tab is in the background, and you let it work in the foreground only.');
  }
  if (settings.onlyWhenPluggedIn && signals.isPluggedIn !== true) {
    return signals.isPluggedIn === null
      ? no(
          'plugged_in',
          'You let it work only when plugged in, and this browser does not say whether the device is: switch that rule off.',
        )
      : no('plugged_in', 'The device runs on its battery, and you let it work only when plugged in.');
  }
  const opensAt = settings.hours === null ? null : nextOpening(settings.hours, now);
  if (opensAt !== null) {
    return no('hours', `It is outside the hours that you chose: ${hoursText(settings.hours)}.`, opensAt);
  }
  if (settings.onlyWhenIdle && now - signals.lastInputAt < IDLE_AFTER_MS) {
    return no(
      'idle',
      'Somebody is using the device, and you let it work only when idle.',
      signals.lastInputAt + IDLE_AFTER_MS,
    );
  }
  // `serious` is what the tab's own work comes to on a device with two cores.
  if (settings.easeUnderPressure && signals.pressure === 'critical') {
    return no('pressure', 'The processor is busy with other things, or hot.');
  }
  if (settings.dailyBytes !== null && signals.bytesToday >= settings.dailyBytes) {
    return no('data', 'The data of today is used up.', nextMidnight(now));
  }
  if (settings.restWhenSlow && now < signals.coolsUntil) {
    return no('cooling', 'The device became much slower than it was: it cools down.', signals.coolsUntil);
  }
  if (now < signals.restsUntil) {
    return no(
      'share',
      `It rests between two pieces of work: ${settings.sharePercent} % of the time is yours to give.`,
      signals.restsUntil,
    );
  }
  return { may: true, share: settings.sharePercent / 100 };
}

/** Null inside the hours, else the instant at which they begin next. Equal hours mean the whole day. */
function nextOpening({ from, to }: { readonly from: number; readonly to: number }, now: number): number | null {
  if (from === to) return null;
  const at = new Date(now);
  const hour = at.getHours();
  const isInside = from < to ? hour >= from && hour < to : hour >= from || hour < to;
  if (isInside) return null;
  const opens = new Date(now);
  opens.setHours(from, 0, 0, 0);
  if (opens.getTime() <= now) opens.setDate(opens.getDate() + 1);
  // Where clocks go forward the hour may not exist: looked at again in an hour at the latest.
  return Math.min(opens.getTime(), now + 24 * HOUR_MS);
}

function hoursText(hours: BudgetSettings['hours']): string {
  return hours === null ? 'always' : `${hours.from}:00 to ${hours.to}:00`;
}

function nextMidnight(now: number): number {
  const next = new Date(now);
  next.setHours(24, 0, 0, 0);
  return next.getTime();
}
