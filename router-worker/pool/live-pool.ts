import { ANYWHERE } from '../../shared/protocol/placement.ts';
import type { Allocator, Seat } from '../allocation/allocator.ts';
import { counted, outlookOf } from './outlook.ts';
import type { Tab } from './tab.ts';
import type { TabRecords } from './tab-records.ts';
import type { TabRoster } from './tab-roster.ts';
import type { WaitingRequest } from './waiting-line.ts';

/** How fast tabs write, by the pool's own measure. */
export type SpeedClass = 'unmeasured' | 'slow' | 'steady' | 'fast';

/** Tokens per second from which a tab counts as steady (about as fast as people read) and as fast (faster than they skim). */
const STEADY_FROM = 5;
const FAST_FROM = 20;

/** The answer that an expected wait is told for, tokens. */
export const TYPICAL_TOKENS = 256;

/** How fast tabs that answer write. One that serves several classes writes in one of them at a time: it counts once, by the fastest. */
export interface Pace {
  readonly speeds: Readonly<Record<SpeedClass, number>>;
  /** Tokens that those of them that were measured write in a second, all together. */
  readonly tokensPerSecond: number;
}

export interface LiveClass extends Pace {
  readonly class: string;
  /** Tabs that answer and may by their record, those of them that are free, and tabs that only check. */
  readonly tabs: number;
  readonly free: number;
  readonly checkers: number;
}

export interface LiveModel extends Pace {
  readonly model: string;
  /** Each tab once. */
  readonly tabs: number;
  readonly free: number;
  readonly checkers: number;
  readonly classes: readonly LiveClass[];
  /** Requests in line for it, and the wait for one more of {@link TYPICAL_TOKENS}, ms; null when nobody can tell. */
  readonly waiting: number;
  readonly expectedWaitMs: number | null;
}

/** The pool as everybody may see it: no tab by name, nobody who asks. */
export interface LivePool {
  /** Connected tabs that serve something, and network prefixes that they are on. */
  readonly tabs: number;
  readonly free: number;
  readonly networks: number;
  readonly waiting: number;
  readonly tokensPerSecond: number;
  readonly models: readonly LiveModel[];
}

export function livePool(seen: {
  readonly roster: TabRoster;
  readonly records: TabRecords;
  readonly allocator: Allocator<WaitingRequest>;
  readonly seats: readonly Seat[];
  /** Requests in line, by model. */
  readonly waiting: ReadonlyMap<string, number>;
  /** The router's models, and the classes that serve each. */
  readonly models: readonly { readonly model: string; readonly classes: readonly string[] }[];
}): LivePool {
  const { roster, records, allocator, seats, waiting, models } = seen;
  const paceOf = (tabs: Iterable<Tab>, classes: readonly string[] | null) =>
    pace([...tabs], (tab) => {
      const served = tab.models.map((ready) => ready.class).filter((id) => classes?.includes(id) ?? true);
      const speeds = served.map((id) => allocator.speedOf(tab.identity, id)).filter((speed) => speed !== null);
      return speeds.length === 0 ? null : Math.max(...speeds);
    });
  const byClass = new Map<string, Tab[]>();
  const serving = new Set<Tab>();
  for (const tab of roster.connected()) {
    for (const { class: id } of tab.models) {
      if (records.rank(tab, id) === null) continue;
      byClass.set(id, [...(byClass.get(id) ?? []), tab]);
      serving.add(tab);
    }
  }
  return {
    tabs: serving.size,
    free: [...serving].filter(isFree).length,
    networks: new Set([...serving].map(({ network }) => network)).size,
    waiting: [...waiting.values()].reduce((sum, count) => sum + count, 0),
    tokensPerSecond: paceOf(serving, null).tokensPerSecond,
    models: models.map(({ model, classes }) => {
      const ahead = waiting.get(model) ?? 0;
      const outlook = outlookOf({
        ...{ roster, records, allocator, seats, classes },
        placement: ANYWHERE,
        tokens: TYPICAL_TOKENS,
      });
      return {
        model,
        ...outlook.able,
        ...paceOf(new Set(classes.flatMap((id) => byClass.get(id) ?? [])), classes),
        classes: classes.map((id) => {
          const tabs = byClass.get(id) ?? [];
          return { class: id, ...counted(tabs), ...paceOf(tabs, [id]) };
        }),
        waiting: ahead,
        expectedWaitMs: outlook.expectedWaitMs,
      };
    }),
  };
}

function pace(tabs: readonly Tab[], speedOf: (tab: Tab) => number | null): Pace {
  const measured = tabs.filter((tab) => !tab.checkOnly).map(speedOf);
  const speeds = { unmeasured: 0, slow: 0, steady: 0, fast: 0 };
  for (const speed of measured) speeds[speedClassOf(speed)]++;
  return { speeds, tokensPerSecond: measured.reduce<number>((sum, speed) => sum + (speed ?? 0), 0) };
}

export function speedClassOf(tokensPerSecond: number | null): SpeedClass {
  if (tokensPerSecond === null) return 'unmeasured';
  if (tokensPerSecond < STEADY_FROM) return 'slow';
  return tokensPerSecond < FAST_FROM ? 'steady' : 'fast';
}

function isFree(tab: Tab): boolean {
  return tab.leases.size === 0 && !tab.checkOnly;
}
