import { type Explanation, explain } from './explain.ts';
import {
  ban,
  checkRate,
  type Finding,
  newRecord,
  observe,
  pardon,
  type Role,
  type Source,
  type Standing,
  standingOf,
  type TabRecord,
  wantsNetworkTask,
} from './record.ts';
import type { RecordStore } from './record-store.ts';

/** Records without an observation are kept so long, ms: longer than a quarantine lasts and trust is kept. Then there is nothing left to remember. */
export const RECORD_KEPT_MS = 90 * 24 * 60 * 60 * 1000;

/** Most records of one pool, of less than a kilobyte each: many times the sockets that it can hold. */
export const MAX_RECORDS = 20_000;

/** Records at hand in memory: more than a pool has sockets. */
const MAX_CACHED = 2_048;

/** Observations between two looks for records to forget. */
const FORGET_EVERY = 1_000;

/** `GET /v1/tabs/:id`: what the network knows of an identity, for whoever asks. A class in which it was never observed is not in it. */
export interface TabView {
  readonly object: 'tab';
  readonly id: string;
  readonly records: readonly (Explanation & { readonly class: string })[];
}

/** Hears how a tab stands after a finding that changed it. Not of the operator's word, nor of what time alone changes. */
export type StandingListener = (tab: string, classId: string, standing: Standing) => void;

/** Takes what was found of a tab whose records are elsewhere; false when they are here. */
export type FindingForwarder = (tab: string, classId: string, finding: Finding, role: Role, source: Source) => boolean;

/** The records of a pool's tabs: read from the store once, written at every observation. */
export class RecordBook {
  readonly #store: RecordStore;
  readonly #now: () => number;
  readonly #changed: StandingListener;
  readonly #forward: FindingForwarder;
  readonly #cache = new Map<string, TabRecord>();
  #observations = 0;

  constructor(
    store: RecordStore,
    now: () => number,
    changed: StandingListener = () => undefined,
    forward: FindingForwarder = () => false,
  ) {
    this.#forward = forward;
    this.#store = store;
    this.#now = now;
    this.#changed = changed;
  }

  /** Takes down what was found about a tab. Returns its standing now. */
  observe(tab: string, classId: string, finding: Finding, role: Role, source: Source): Standing {
    if (this.#forward(tab, classId, finding, role, source)) return this.standing(tab, classId);
    const at = this.#now();
    const before = this.#load(tab, classId);
    const record = observe(before, { ...finding, role, source, at });
    this.#save(record);
    const standing = standingOf(record, at);
    if (standing !== standingOf(before, at)) this.#changed(tab, classId, standing);
    if (++this.#observations % FORGET_EVERY === 0) this.#store.forget(at - RECORD_KEPT_MS, MAX_RECORDS);
    return standing;
  }

  standing(tab: string, classId: string): Standing {
    return standingOf(this.#load(tab, classId), this.#now());
  }

  /** The chance with which an answer of this tab is checked: see {@link checkRate}. */
  rate(tab: string, classId: string, idleShare: number, size: number): number {
    return checkRate(this.#load(tab, classId), this.#now(), idleShare, size);
  }

  wantsNetworkTask(tab: string, classId: string): boolean {
    return wantsNetworkTask(this.#load(tab, classId), this.#now());
  }

  view(tab: string): TabView {
    const at = this.#now();
    const records = this.#store.ofTab(tab).map((record) => ({ class: record.class, ...explain(record, at) }));
    return { object: 'tab', id: tab, records };
  }

  /** By word of the operator. */
  ban(tab: string, classId: string): void {
    this.#save(ban(this.#load(tab, classId), this.#now()));
  }

  /** By word of the operator: the tab is new again. */
  pardon(tab: string, classId: string): void {
    this.#save(pardon(this.#load(tab, classId), this.#now()));
  }

  /** The store has other records of this tab now. */
  reload(tab: string): void {
    for (const [key, record] of this.#cache) if (record.tab === tab) this.#cache.delete(key);
  }

  #load(tab: string, classId: string): TabRecord {
    const cached = this.#cache.get(keyOf(tab, classId));
    if (cached !== undefined) return cached;
    const record = this.#store.load(tab, classId) ?? newRecord(tab, classId, this.#now());
    this.#remember(record);
    return record;
  }

  #save(record: TabRecord): void {
    this.#store.save(record);
    this.#remember(record);
  }

  #remember(record: TabRecord): void {
    const key = keyOf(record.tab, record.class);
    this.#cache.delete(key);
    const [oldest] = this.#cache.keys();
    if (oldest !== undefined && this.#cache.size >= MAX_CACHED) this.#cache.delete(oldest);
    this.#cache.set(key, record);
  }
}

function keyOf(tab: string, classId: string): string {
  return `${tab} ${classId}`;
}
