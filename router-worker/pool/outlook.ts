import { mayRead, type Placement } from '../../shared/protocol/placement.ts';
import type { Allocator, Seat } from '../allocation/allocator.ts';
import { countryOfTab, type Tab } from './tab.ts';
import type { TabRecords } from './tab-records.ts';
import type { TabRoster } from './tab-roster.ts';
import type { WaitingRequest } from './waiting-line.ts';

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
  readonly allocator: Allocator<WaitingRequest>;
  readonly seats: readonly Seat[];
  readonly placement: Placement;
  readonly classes: readonly string[];
  /** The most that the request may write. */
  readonly tokens: number;
}): Outlook {
  const { roster, records, allocator, seats, placement, classes, tokens } = seen;
  const byClass = new Map<string, Tab[]>();
  const able = new Set<Tab>();
  let model = '';
  for (const tab of roster.connected()) {
    if (!mayRead(placement, tab.identity, countryOfTab(tab))) continue;
    for (const ready of tab.models) {
      const id = ready.class;
      if (records.rank(tab, id) === null) continue;
      byClass.set(id, [...(byClass.get(id) ?? []), tab]);
      if (!classes.includes(id)) continue;
      able.add(tab);
      model = ready.model;
    }
  }
  const expectedWaitMs = allocator.waitOf(seats, {
    ...{ ...placement, model, classes, only: null, prefer: null },
    size: { promptBytes: null, maxTokens: tokens },
    ...{ account: '', sla: 'standard', conversation: null },
  });
  return {
    serving: [...byClass].map(([id, tabs]) => ({ class: id, ...counted(tabs) })),
    able: counted([...able]),
    ahead: allocator.length,
    expectedWaitMs,
  };
}

export function counted(all: readonly Tab[]): ServingTabs {
  const answering = all.filter((tab) => !tab.checkOnly);
  return {
    tabs: answering.length,
    free: answering.filter((tab) => tab.leases.size === 0).length,
    checkers: all.length - answering.length,
  };
}
