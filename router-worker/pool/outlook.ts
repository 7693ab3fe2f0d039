import { isAllowed, type Placement } from '../../shared/protocol/placement.ts';
import { expectedWait } from '../allocation/expected-wait.ts';
import type { LeaseBook } from './lease-book.ts';
import type { Tab } from './tab.ts';
import type { TabRecords } from './tab-records.ts';
import type { TabRoster } from './tab-roster.ts';

/** Tabs that answer and may by their record, those of them that are free, and tabs that only check. */
export interface ServingTabs {
  readonly tabs: number;
  readonly free: number;
  readonly checkers: number;
}

/** Who could serve now, as a request sees it before it is begun. */
export interface Outlook {
  readonly serving: readonly (ServingTabs & { readonly class: string })[];
  /** Of the classes that were asked about, each tab once. */
  readonly able: ServingTabs;
  /** Requests in line, of whatever model, and the wait for one more, ms; null when nobody can tell. */
  readonly ahead: number;
  readonly expectedWaitMs: number | null;
}

export function outlookOf(seen: {
  readonly roster: TabRoster;
  readonly records: TabRecords;
  readonly leases: LeaseBook;
  /** Tokens per second of a tab in a class, as measured; null before its first answer. */
  readonly speedOf: (tab: string, classId: string) => number | null;
  readonly ahead: number;
  readonly now: number;
  readonly placement: Placement;
  readonly classes: readonly string[];
  readonly tokens: number;
}): Outlook {
  const { roster, records, leases, speedOf, ahead, now, placement, classes, tokens } = seen;
  const byClass = new Map<string, Tab[]>();
  const able = new Set<Tab>();
  for (const tab of roster.connected()) {
    if (!isAllowed(placement, tab.identity)) continue;
    for (const { class: id } of tab.models) {
      if (records.rank(tab, id) === null) continue;
      byClass.set(id, [...(byClass.get(id) ?? []), tab]);
      if (classes.includes(id)) able.add(tab);
    }
  }
  const answering = [...able].filter((tab) => !tab.checkOnly);
  const working = answering.map((tab) => ({
    speed: speedIn(tab, classes, speedOf),
    leases: [...tab.leases].flatMap((number) => {
      const active = leases.get(number);
      if (active === undefined) return [];
      return [{ tokens: active.lease.sampling.maxTokens, forMs: now - (active.acceptedAt ?? active.lease.issuedAt) }];
    }),
  }));
  return {
    serving: [...byClass].map(([id, tabs]) => ({ class: id, ...counted(tabs) })),
    able: counted([...able]),
    ahead,
    expectedWaitMs: expectedWait(working, ahead, tokens),
  };
}

/** The fastest that it was in one of these classes. */
function speedIn(tab: Tab, classes: readonly string[], speedOf: (tab: string, classId: string) => number | null) {
  const speeds = tab.models.flatMap(({ class: id }) => {
    const speed = classes.includes(id) ? speedOf(tab.identity, id) : null;
    return speed === null ? [] : [speed];
  });
  return speeds.length === 0 ? null : Math.max(...speeds);
}

function counted(all: readonly Tab[]): ServingTabs {
  const answering = all.filter((tab) => !tab.checkOnly);
  return {
    tabs: answering.length,
    free: answering.filter((tab) => tab.leases.size === 0).length,
    checkers: all.length - answering.length,
  };
}
