import { MAX_WANTED_CLASSES } from '../../shared/limits.ts';
import type { Census } from './tab-roster.ts';

/** Requests in line for a class, and those of the last minutes that nobody served. A request that several classes could serve counts for each. */
export interface Demand {
  readonly class: string;
  readonly waiting: number;
  readonly unserved: number;
}

/** A request that nobody served is remembered so long, ms: its client comes back, or is gone. */
const UNSERVED_FOR_MS = 5 * 60_000;
/** Most classes remembered; a catalogue has far fewer. */
const MAX_CLASSES = 256;
/** Most refused requests that count for a class: one client that comes back every second is one client. */
const MAX_UNSERVED = 32;
/** Tabs hear of what is short so often at most, ms: loading another model takes longer. */
const TELL_EVERY_MS = 15_000;

/** What the network is short of, as free tabs are told it: requests per tab that could serve them. */
export class WantedClasses {
  readonly #now: () => number;
  /** By class: when it was asked for while nobody served it. */
  readonly #unserved = new Map<string, number[]>();
  #toldAt = Number.NEGATIVE_INFINITY;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** A request came. `served`: classes that a tab serves now. */
  asked(classes: readonly string[], served: ReadonlySet<string>): void {
    if (classes.some((id) => served.has(id))) return;
    for (const id of classes) {
      const times = this.#unserved.get(id) ?? [];
      times.push(this.#now());
      if (times.length > MAX_UNSERVED) times.shift();
      this.#unserved.delete(id); // The newest last.
      this.#unserved.set(id, times);
    }
    while (this.#unserved.size > MAX_CLASSES) this.#unserved.delete(this.#unserved.keys().next().value ?? '');
  }

  /** `lines`: the classes of each request that waits. */
  demand(lines: readonly (readonly string[])[]): Demand[] {
    const since = this.#now() - UNSERVED_FOR_MS;
    const waiting = new Map<string, number>();
    for (const id of lines.flat()) waiting.set(id, (waiting.get(id) ?? 0) + 1);
    for (const [id, times] of this.#unserved) {
      const recent = times.filter((at) => at > since);
      if (recent.length === 0) this.#unserved.delete(id);
      else this.#unserved.set(id, recent);
    }
    const classes = new Set([...waiting.keys(), ...this.#unserved.keys()]);
    return [...classes].map((id) => ({
      class: id,
      waiting: waiting.get(id) ?? 0,
      unserved: this.#unserved.get(id)?.length ?? 0,
    }));
  }

  /** Classes for a free tab to serve, the shortest first; empty when nothing is short, or it was said a moment ago. */
  toTell(lines: readonly (readonly string[])[], census: readonly Census[]): string[] {
    if (this.#now() - this.#toldAt < TELL_EVERY_MS) return [];
    const tabsOf = new Map(census.map((entry) => [entry.class, entry.tabs]));
    const short = this.demand(lines)
      .map(({ class: id, waiting, unserved }) => {
        const tabs = tabsOf.get(id) ?? 0;
        // Who was refused for want of a tab waits for nobody once there is one.
        return { id, need: tabs > 0 ? waiting / tabs : 2 * (waiting + unserved) };
      })
      .filter(({ need }) => need > 0)
      .toSorted((a, b) => b.need - a.need)
      .slice(0, MAX_WANTED_CLASSES)
      .map(({ id }) => id);
    if (short.length > 0) this.#toldAt = this.#now();
    return short;
  }
}
