import type { StandingOrder } from '../ledger/transfer.ts';
import { LateFindings, type NumberedFinding } from '../record/late-findings.ts';
import type { FindingForwarder, RecordBook } from '../record/record-book.ts';
import { type HandedRecords, RecordHomes } from '../record/record-homes.ts';
import type { RecordStore } from '../record/record-store.ts';
import { inTime } from './in-time.ts';
import { poolsFor } from './pool-size.ts';
import { homesUpTo, MAX_POOLS } from './rendezvous.ts';
import type { StandingOutbox } from './standing-outbox.ts';

/** What goes along with a tab to its next pool. */
export interface HandedTab extends HandedRecords {
  readonly orders: readonly StandingOrder[];
}

/** Another pool, as this one calls it. */
export interface Neighbour {
  handOver(identity: string, to: number): Promise<HandedTab>;
  foundLate(from: number, found: NumberedFinding): Promise<boolean>;
  sockets(): Promise<number>;
  grew(pools: number): Promise<void>;
  overflowed(): Promise<number>;
}

export interface NeighboursPorts {
  /** Of this pool. */
  readonly number: number;
  /** How many pools there are, as it was last written down; in pool 0 it is the truth. Null: never. */
  readonly stored: number | null;
  readonly store: (pools: number) => void;
  readonly sql: SqlStorage;
  readonly records: RecordStore;
  readonly book: () => RecordBook;
  readonly outbox: Pick<StandingOutbox, 'waitingOf' | 'take'>;
  readonly neighbour: (pool: number) => Neighbour;
  readonly homeKeyOf: (identity: string) => Promise<string>;
  /** Sockets of this pool, and from how many on a pool is too full. */
  readonly sockets: () => number;
  readonly soft: () => number;
  /** There are more pools: tabs that belong elsewhere now are to go there. */
  readonly grown: () => void;
  readonly now: () => number;
  readonly log: (event: string, fields: Readonly<Record<string, string | number>>) => void;
}

/** How long another pool may take to answer, ms: a tab that joins waits for it. */
const OTHER_POOL_MS = 3_000;
/** A pool that is too full says so so often at most, ms. */
const FULL_EVERY_MS = 2_000;
/** Pool 0 counts all tabs so often at most, ms, whoever says that it is full. */
const GROW_EVERY_MS = 1_000;

/** What a pool has to do with the others: how many there are, and what is known of tabs that come from them or go to them. */
export class PoolNeighbours {
  readonly #ports: NeighboursPorts;
  readonly #homes: RecordHomes;
  readonly #late: LateFindings;
  #pools: number;
  #fullAt = Number.NEGATIVE_INFINITY;
  #grewAt = Number.NEGATIVE_INFINITY;

  constructor(ports: NeighboursPorts) {
    this.#ports = ports;
    this.#pools = Math.max(ports.stored ?? 1, ports.number + 1);
    this.#homes = new RecordHomes(ports.sql, ports.records, ports.number, ports.now);
    this.#late = new LateFindings(ports.sql, (found) => this.#sendOn(found));
  }

  /** How many pools there are, as far as this one knows. */
  get pools(): number {
    return this.#pools;
  }

  /** What a start finds to be done. */
  begin(): void {
    void this.#late.drain();
    this.#homes.forget();
  }

  // ---- how many ------------------------------------------------------------------------------------------------------

  /** Somebody knows of so many. Fewer than are known say nothing. */
  heardOf(pools: number): void {
    if (!Number.isSafeInteger(pools) || pools <= this.#pools || pools > MAX_POOLS) return;
    this.#pools = pools;
    this.#ports.store(pools);
    this.#ports.log('pools_grew', { pool: this.#ports.number, pools });
    this.#ports.grown();
  }

  /** There are too many tabs here. Never rejects. */
  async full(): Promise<void> {
    const { now, number, neighbour, log } = this.#ports;
    if (now() - this.#fullAt < FULL_EVERY_MS) return;
    this.#fullAt = now();
    try {
      if (number === 0) await this.grow();
      else this.heardOf(await neighbour(0).overflowed());
    } catch (cause) {
      log('pool_unreachable', { reason: String(cause) });
    }
  }

  /** For pool 0: as many pools as all tabs need. Said twice for the same tabs it changes nothing. */
  async grow(): Promise<void> {
    const { now, neighbour, sockets, soft } = this.#ports;
    if (now() - this.#grewAt < GROW_EVERY_MS) return;
    this.#grewAt = now();
    const others = () => Array.from({ length: this.#pools - 1 }, (_, at) => neighbour(at + 1));
    const counts = await Promise.all(others().map((other) => inTime(other.sockets(), OTHER_POOL_MS)));
    const all = counts.reduce<number>((sum, count) => sum + (count ?? 0), sockets()); // A silent one counts for none.
    this.heardOf(poolsFor(all, soft()));
    await Promise.all(others().map((other) => inTime(other.grew(this.#pools), OTHER_POOL_MS)));
  }

  // ---- tabs that come and go -----------------------------------------------------------------------------------------

  /** Whether the records of a tab are here, or will be as soon as there are any. `isSeated`: it has its seat here. */
  keeps(identity: string, isSeated: boolean): boolean {
    const home = this.#homes.homeOf(identity);
    return home === this.#ports.number || (home === null && isSeated);
  }

  /**
   * Makes the records of a tab that joins this pool's own: the pools where it was at home before are asked. False where one of them does not answer: the tab is to come
   * again, or a ban would be shed by joining at the right moment.
   */
  async claim(identity: string): Promise<boolean> {
    const { number, neighbour, homeKeyOf, outbox, book, log } = this.#ports;
    if (this.#pools === 1 || this.#homes.isAdopted(identity)) return true;
    const homes = new Set(homesUpTo(await homeKeyOf(identity), this.#pools));
    const last = this.#homes.homeOf(identity);
    if (last !== null) homes.add(last);
    homes.delete(number);
    const handed = await Promise.all(
      [...homes].map((pool) => inTime(neighbour(pool).handOver(identity, number), OTHER_POOL_MS)),
    );
    const known = handed.filter((one) => one !== null);
    if (known.length < homes.size) {
      log('tab_not_claimed', { tab: identity });
      return false;
    }
    this.#homes.adopt(identity, known);
    book().reload(identity);
    outbox.take(known.flatMap(({ orders }) => orders));
    return true;
  }

  /** The tab is pool `to`'s from now on. Asked twice it gives the same. */
  handOver(identity: string, to: number): HandedTab {
    const { outbox, book } = this.#ports;
    const handed = { ...this.#homes.handOver(identity, to), orders: outbox.waitingOf(identity) };
    book().reload(identity);
    this.#late.drainLater();
    return handed;
  }

  /** What is found of a tab that has gone is for its new pool. */
  readonly forward: FindingForwarder = (tab, classId, finding, role, source) => {
    const home = this.#homes.homeOf(tab);
    if (home === null || home === this.#ports.number) return false;
    this.#late.add({ tab, class: classId, finding, role, source });
    return true;
  };

  /** What pool `from` found of a tab after it had left. False where its records are not here yet. */
  foundLate(from: number, found: NumberedFinding, isSeated: boolean): boolean {
    if (this.#homes.homeOf(found.tab) === null && !isSeated) return false;
    if (this.#late.isNews(from, found)) this.#observe(found);
    return true;
  }

  async #sendOn(found: NumberedFinding): Promise<boolean> {
    const { number, neighbour } = this.#ports;
    const home = this.#homes.homeOf(found.tab);
    if (home !== null && home !== number) return neighbour(home).foundLate(number, found);
    this.#observe(found); // It came back meanwhile.
    return true;
  }

  #observe({ tab, class: classId, finding, role, source }: NumberedFinding): void {
    this.#ports.book().observe(tab, classId, finding, role, source);
  }
}
