import type { LiveClass, LiveModel, LivePool, Pace } from './live-pool.ts';
import type { Outlook, ServingTabs } from './outlook.ts';
import type { SeenPool } from './pool-object.ts';
import type { Census, TabKind } from './tab-roster.ts';
import type { Demand } from './wanted-classes.ts';

/** What pools say of themselves, added up. A tab is in one pool, so nothing is counted twice. */

export function sumOfCensus(parts: readonly (readonly Census[])[]): Census[] {
  return sumBy(parts.flat(), (entry) => entry.class, addedTabs);
}

export function sumOfKinds(parts: readonly (readonly TabKind[])[]): TabKind[] {
  return sumBy(parts.flat(), (kind) => kind.classes.join(), addedTabs);
}

export function sumOfDemand(parts: readonly (readonly Demand[])[]): Demand[] {
  return sumBy(
    parts.flat(),
    (entry) => entry.class,
    (a, b) => ({ ...a, waiting: a.waiting + b.waiting, unserved: a.unserved + b.unserved }),
  );
}

/** The wait is that of the pool where it is shortest: requests go there. */
export function sumOfOutlooks(parts: readonly Outlook[]): Outlook {
  return {
    serving: sumBy(
      parts.flatMap(({ serving }) => serving),
      (entry) => entry.class,
      addedTabs,
    ),
    able: parts.map(({ able }) => able).reduce(addedTabs, { tabs: 0, free: 0, checkers: 0 }),
    ahead: parts.reduce((sum, { ahead }) => sum + ahead, 0),
    expectedWaitMs: shortest(parts.map(({ expectedWaitMs }) => expectedWaitMs)),
  };
}

export function sumOfLive(parts: readonly SeenPool[]): LivePool {
  const pools = parts.map(({ live }) => live);
  const sum = (figure: 'tabs' | 'free' | 'waiting' | 'tokensPerSecond') =>
    pools.reduce((total, pool) => total + pool[figure], 0);
  return {
    tabs: sum('tabs'),
    free: sum('free'),
    networks: new Set(parts.flatMap(({ networks }) => networks)).size,
    waiting: sum('waiting'),
    tokensPerSecond: sum('tokensPerSecond'),
    models: sumBy(
      pools.flatMap(({ models }) => models),
      ({ model }) => model,
      addedModels,
    ),
  };
}

function addedModels(a: LiveModel, b: LiveModel): LiveModel {
  return {
    ...addedTabs(a, b),
    ...addedPace(a, b),
    classes: sumBy([...a.classes, ...b.classes], (entry) => entry.class, addedClasses),
    waiting: a.waiting + b.waiting,
    expectedWaitMs: shortest([a.expectedWaitMs, b.expectedWaitMs]),
  };
}

function addedClasses(a: LiveClass, b: LiveClass): LiveClass {
  return { ...addedTabs(a, b), ...addedPace(a, b) };
}

function addedPace(a: Pace, b: Pace): Pace {
  const { unmeasured, slow, steady, fast } = a.speeds;
  return {
    speeds: {
      unmeasured: unmeasured + b.speeds.unmeasured,
      slow: slow + b.speeds.slow,
      steady: steady + b.speeds.steady,
      fast: fast + b.speeds.fast,
    },
    tokensPerSecond: a.tokensPerSecond + b.tokensPerSecond,
  };
}

function addedTabs<T extends ServingTabs>(a: T, b: T): T {
  return { ...a, tabs: a.tabs + b.tabs, free: a.free + b.free, checkers: a.checkers + b.checkers };
}

/** Null when nobody can tell. */
function shortest(waits: readonly (number | null)[]): number | null {
  const told = waits.filter((wait) => wait !== null);
  return told.length === 0 ? null : Math.min(...told);
}

function sumBy<T>(all: readonly T[], keyOf: (one: T) => string, added: (a: T, b: T) => T): T[] {
  const sums = new Map<string, T>();
  for (const one of all) {
    const before = sums.get(keyOf(one));
    sums.set(keyOf(one), before === undefined ? one : added(before, one));
  }
  return [...sums.values()];
}
