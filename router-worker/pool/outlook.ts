import { isAllowed, type Placement } from '../../shared/protocol/placement.ts';
import { expectedWait } from '../allocation/expected-wait.ts';
import type { LeaseBook } from './lease-book.ts';
import type { Tab } from './tab.ts';
import type { TabRecords } from './tab-records.ts';
import type { TabRoster } from './tab-roster.ts';

/** Who could serve now, as a request sees it before it is begun. */
export interface Outlook {
  readonly serving: readonly {
    readonly class: string;
    /** Tabs that answer and may by their record, those of them that are free, and tabs that only check. */
    readonly tabs: number;
    readonly free: number;
    readonly checkers: number;
  }[];
  /** Requests in line, of whatever model, and the wait for one more, ms; null when nobody can tell. */
  readonly ahead: number;
  readonly expectedWaitMs: number | null;
}

export function outlookOf(seen: {
  readonly roster: TabRoster;
  readonly records: TabRecords;
  readonly leases: LeaseBook;
  readonly ahead: number;
  readonly now: number;
  readonly placement: Placement;
  readonly classes: readonly string[];
  readonly tokens: number;
}): Outlook {
  const { roster, records, leases, ahead, now, placement, classes, tokens } = seen;
  const counts = new Map<string, { tabs: number; free: number; checkers: number }>();
  const able = new Set<Tab>();
  for (const tab of roster.connected()) {
    if (!isAllowed(placement, tab.identity)) continue;
    for (const { class: id } of tab.models) {
      if (records.rank(tab, id) === null) continue;
      const entry = counts.get(id) ?? { tabs: 0, free: 0, checkers: 0 };
      if (tab.checkOnly) entry.checkers++;
      else {
        entry.tabs++;
        if (tab.leases.size === 0) entry.free++;
        if (classes.includes(id)) able.add(tab);
      }
      counts.set(id, entry);
    }
  }
  const working = [...able].map((tab) => ({
    speed: tab.measuredSpeed,
    leases: [...tab.leases].flatMap((number) => {
      const active = leases.get(number);
      if (active === undefined) return [];
      return [{ tokens: active.lease.sampling.maxTokens, forMs: now - (active.acceptedAt ?? active.lease.issuedAt) }];
    }),
  }));
  return {
    serving: [...counts].map(([id, entry]) => ({ class: id, ...entry })),
    ahead,
    expectedWaitMs: expectedWait(working, ahead, tokens),
  };
}
