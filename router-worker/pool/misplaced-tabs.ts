import type { PoolPlace } from './pool-ports.ts';
import { homeOf } from './rendezvous.ts';
import type { Tab } from './tab.ts';
import type { TabRoster } from './tab-roster.ts';
import type { TaskBook } from './task-book.ts';

/** Tabs that are sent elsewhere at one look, about a second apart: a pool that is too full is relieved of a hundred in five seconds, and the others see no herd. */
export const MOVES_A_LOOK = 20;

/**
 * Tabs that belong to another pool since there are more of them. One goes when it is idle: it works on no lease, and on no answer of its own that is still being
 * checked, because it has to show that one. So goes whoever did not name
 * itself: it could choose its pool by that.
 */
export class MisplacedTabs {
  readonly #place: PoolPlace;
  readonly #roster: TabRoster;
  readonly #tasks: TaskBook;

  constructor(place: PoolPlace, roster: TabRoster, tasks: TaskBook) {
    this.#place = place;
    this.#roster = roster;
    this.#tasks = tasks;
  }

  /** Whether some could go now. Those at work keep the pool awake by themselves. */
  get isBusy(): boolean {
    return this.#idle(1).length > 0;
  }

  /** Those that go now. */
  next(): Tab[] {
    return this.#idle(MOVES_A_LOOK);
  }

  #idle(most: number): Tab[] {
    const pools = this.#place.pools();
    if (pools === 1) return [];
    const idle: Tab[] = [];
    let writers: ReadonlySet<string> | null = null;
    for (const tab of this.#roster.connected()) {
      if (idle.length >= most) break;
      const isHome = tab.homeKey !== null && homeOf(tab.homeKey, pools) === this.#place.number;
      if (isHome || tab.leases.size > 0) continue;
      writers ??= new Set(this.#tasks.all().flatMap(({ answer }) => (answer === null ? [] : [answer.tab])));
      if (!writers.has(tab.identity)) idle.push(tab);
    }
    return idle;
  }
}
