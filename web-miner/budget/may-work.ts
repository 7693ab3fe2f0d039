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

interface Hold {
  readonly because: string;
  readonly until: number | null;
}
type Rule = (settings: BudgetSettings, signals: WorkSignals, now: number) => Hold | null;

const hold = (holds: boolean, because: string, until: number | null = null): Hold | null =>
  holds ? { because, until } : null;

/** In the order in which they are named to the owner, where several hold. */
const RULES: Readonly<Record<BudgetRule, Rule>> = {
  paused: (_, { isPaused }) => hold(isPaused, 'You paused it.'),
  away: (_, { isAway }) => hold(isAway, 'The browser has put this page aside.'),
  offline: (_, { isOnline }) => hold(!isOnline, 'This device is offline.'),
  foreground: ({ onlyInForeground }, { isHidden }) =>
    hold(onlyInForeground && isHidden, 'This tab is in the background, and you let it work in the foreground only.'),
  plugged_in: ({ onlyWhenPluggedIn }, { isPluggedIn }) =>
    hold(
      onlyWhenPluggedIn && isPluggedIn !== true,
      isPluggedIn === null
        ? 'You let it work only when plugged in, and this browser does not say whether the device is: switch that rule off.'
        : 'The device runs on its battery, and you let it work only when plugged in.',
    ),
  hours: ({ hours }, _, now) => {
    const opensAt = hours === null ? null : nextOpening(hours, now);
    return hold(opensAt !== null, `It is outside the hours that you chose: ${hoursText(hours)}.`, opensAt);
  },
  idle: ({ onlyWhenIdle }, { lastInputAt }, now) =>
    hold(
      onlyWhenIdle && now - lastInputAt < IDLE_AFTER_MS,
      'Somebody is using the device, and you let it work only when idle.',
      lastInputAt + IDLE_AFTER_MS,
    ),
  // `serious` is what the tab's own work comes to on a device with two cores.
  pressure: ({ easeUnderPressure }, { pressure }) =>
    hold(easeUnderPressure && pressure === 'critical', 'The processor is busy with other things, or hot.'),
  data: ({ dailyBytes }, { bytesToday }, now) =>
    hold(dailyBytes !== null && bytesToday >= dailyBytes, 'The data of today is used up.', nextMidnight(now)),
  cooling: ({ restWhenSlow }, { coolsUntil }, now) =>
    hold(restWhenSlow && now < coolsUntil, 'The device became much slower than it was: it cools down.', coolsUntil),
  share: ({ sharePercent }, { restsUntil }, now) =>
    hold(
      now < restsUntil,
      `It rests between two pieces of work: ${sharePercent} % of the time is yours to give.`,
      restsUntil,
    ),
};

const OF_WORK = Object.keys(RULES) as readonly BudgetRule[];
/** A download costs data, and hardly any processor or battery. */
const OF_DOWNLOADS: readonly BudgetRule[] = ['paused', 'away', 'offline', 'hours', 'data'];

/**
 * Whether the tab may take new work now, and if not, why, in a sentence for its owner. What runs is finished in any case. A rule that the browser gives no signal for
 * holds: better no work than work that was forbidden.
 */
export function mayWork(settings: BudgetSettings, signals: WorkSignals, now: number): MayWork {
  return firstOf(OF_WORK, settings, signals, now);
}

/** Whether a model may come down now, and if not, why. What came stays. */
export function mayDownload(settings: BudgetSettings, signals: WorkSignals, now: number): MayWork {
  return firstOf(OF_DOWNLOADS, settings, signals, now);
}

function firstOf(rules: readonly BudgetRule[], settings: BudgetSettings, signals: WorkSignals, now: number): MayWork {
  for (const rule of rules) {
    const held = RULES[rule](settings, signals, now);
    if (held !== null) return { may: false, rule, ...held };
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
