import { ShoalError } from '../../shared/errors.ts';
import { MAX_BATCH_WAIT_MS, RECEIPT_KEPT_MS } from '../../shared/limits.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { DrawLimits, DrawOrder, DrawResult, LedgerOrder, OrderResult } from '../ledger/transfer.ts';
import type { Bill, Terms } from './bill.ts';
import type { BilledTasks } from './billed-tasks.ts';
import {
  type Hold,
  holdOf,
  IDLE_GRANT_MS,
  isSpent,
  newPurse,
  type PartWord,
  type Payer,
  type Purse,
  type PurseEvent,
  stepPurse,
} from './grant.ts';
import { heldView, type PriceView, settledView } from './price-view.ts';
import type { PurseStore } from './purse-store.ts';

/** The ledger, as a session calls it. A call that throws may have been done. */
export interface LedgerPort {
  draw(order: DrawOrder, limits: DrawLimits): Promise<DrawResult>;
  settle(orders: readonly LedgerOrder[]): Promise<OrderResult[]>;
}

export interface CashierPorts {
  readonly store: PurseStore;
  readonly ledger: LedgerPort;
  readonly tasks: BilledTasks;
  readonly now: () => number;
  /** A name that nobody used before: ids of transfers begin with it. */
  readonly newName: () => string;
  /** {@link Cashier.sweep} is wanted at this instant. */
  readonly wake: (at: number) => void;
  readonly log: (event: string, fields: Readonly<Record<string, string | number>>) => void;
}

export interface HoldOrder {
  readonly task: TaskTail;
  readonly payer: Payer;
  /** Most that the task can cost, micro-credits. */
  readonly amount: number;
  readonly terms: Terms;
  /** See {@link Hold}. */
  readonly wordMs?: number;
}

/** Orders that are handed to the ledger in one call. */
const BATCH = 100;

/** A hold whose task was not begun after so long is released, ms: a request waits 30 s for a tab and 15 s for its envelope. */
export const UNOPENED_MS = 2 * 60 * 1000;

/** As long as the request may wait in the line, and as much again as any other: its task must not begin without a hold. */
function unopenedMs({ terms }: Hold): number {
  return terms.sla === 'batch' ? MAX_BATCH_WAIT_MS + UNOPENED_MS : UNOPENED_MS;
}

/** Draws that one hold may wait for: others of the session may take what it drew. */
const MAX_DRAWS = 8;

/** When a ledger that could not be reached may be asked again, ms. */
const LEDGER_RETRY_MS = 5_000;

/** The money of one session: holds before work, bills after it, and what the ledger is still to hear. Everything is written down before the ledger is called. */
export class Cashier {
  readonly #ports: CashierPorts;
  readonly #drawing = new Map<string, Promise<DrawResult>>();

  constructor(ports: CashierPorts) {
    this.#ports = ports;
  }

  /**
   * Sets money aside for a task. Waits for the ledger only when the grant at hand does not cover it. Throws `insufficient_quota`, or `overloaded` while the
   * ledger cannot be reached. Gives what the grant has left for others, micro-credits.
   */
  async hold({ task, payer, amount, terms, wordMs }: HoldOrder): Promise<number> {
    const name = nameOf(payer);
    for (let draws = 0; ; draws++) {
      const { store, now } = this.#ports;
      const known = store.purse(name) ?? newPurse(this.#ports.newName(), payer, now());
      const purse = this.#step(name, { ...known, payer }, { type: 'hold', at: now(), task, amount, terms, wordMs });
      if (holdOf(purse, task) !== null) {
        this.#ports.wake(now() + UNOPENED_MS);
        return purse.grant?.free ?? 0;
      }
      if (draws === 0 && this.#settleEnded()) continue; // What is free again may do.
      if (draws >= MAX_DRAWS) throw unreachable('Too many tasks of this session begin at once.');
      const result = await this.#draw(name, amount);
      // The draw may have been another task's, for more than this one needs.
      const free = store.purse(name)?.grant?.free ?? 0;
      if (result.status === 'refused' && free + result.free < amount) throw refused(result, amount, free);
    }
  }

  /** The task will not be: its money is free again. Says nothing of one that began. */
  release(task: TaskTail): void {
    if (this.#ports.tasks.standing(task) !== 'unknown') return;
    for (const { name, purse } of this.#ports.store.purses()) {
      if (holdOf(purse, task) !== null) this.#step(name, purse, { type: 'release', at: this.#ports.now(), task });
    }
    this.#arm();
  }

  /** Somebody will say what became of this task, within so long after its end. One that was said so of before stays as it is. */
  awaitWord(task: TaskTail, wordMs: number): void {
    for (const { name, purse } of this.#ports.store.purses()) {
      if (holdOf(purse, task)?.wordMs !== undefined || holdOf(purse, task) === null) continue;
      this.#step(name, purse, { type: 'word_awaited', at: this.#ports.now(), task, wordMs });
    }
  }

  /** What became of these tasks. The first word counts, if it comes in time: what was settled already stays as it is. */
  tell(tasks: readonly TaskTail[], word: PartWord): void {
    const at = this.#ports.now();
    for (const { name, purse } of this.#ports.store.purses()) {
      const heard = purse.holds.filter((hold) => tasks.includes(hold.task) && !this.#isTooLate(hold));
      if (heard.length === 0) continue;
      this.#step(name, purse, { type: 'told', at, tasks: heard.map(({ task }) => task), word });
    }
    this.#settleEnded();
    this.#arm();
  }

  /** Tasks whose receipts may still have to say something else: the word on them is waited for, or has come and is not in them yet. */
  get unsaid(): TaskTail[] {
    return this.#ports.store.purses().flatMap(({ purse }) =>
      purse.holds
        .filter((hold) => {
          const dueAt = this.#wordDueAt(hold);
          return (dueAt !== null && this.#ports.now() < dueAt) || this.#isUnsaid(hold);
        })
        .map(({ task }) => task),
    );
  }

  /** Tasks that ended and were thrown away after that: their receipts are to be signed again. */
  get toSayDiscarded(): TaskTail[] {
    return this.#ports.store
      .purses()
      .flatMap(({ purse }) => purse.holds.filter((hold) => this.#isUnsaid(hold)).map(({ task }) => task));
  }

  #isUnsaid({ task, word }: Hold): boolean {
    const { tasks } = this.#ports;
    return word === 'discarded' && tasks.standing(task) === 'ended' && !tasks.saysDiscarded(task);
  }

  /** It counts as given: its receipt may be out. */
  #isTooLate(hold: Hold): boolean {
    const { tasks, now } = this.#ports;
    if (hold.wordMs === undefined) return tasks.standing(hold.task) === 'ended';
    const dueAt = this.#wordDueAt(hold);
    return dueAt !== null && now() >= dueAt;
  }

  /** Bills what ended, and tells the ledger. Throws when the ledger cannot be reached; what it was not told stays for the next time. */
  async sweep(): Promise<void> {
    const { store, now } = this.#ports;
    this.#settleEnded();
    for (const { name } of store.purses()) {
      if (store.purse(name)?.drawing != null) await this.#draw(name, 0); // Its reply was lost.
      const purse = store.purse(name);
      if (purse !== null) this.#step(name, purse, { type: 'clock', at: now() });
      await this.#deliver(name);
      const after = store.purse(name);
      if (after !== null && isSpent(after)) store.remove(name);
    }
    store.forgetBills(now() - RECEIPT_KEPT_MS);
  }

  /** When {@link sweep} has something to do by itself; null when nothing is held or owed. Tasks that run have deadlines of their own. */
  nextDueAt(): number | null {
    const instants = this.#ports.store.purses().flatMap(({ purse }) => {
      const unopened = purse.holds.filter(({ task }) => this.#ports.tasks.standing(task) === 'unknown');
      const waits = unopened.map((hold) => hold.at + unopenedMs(hold));
      waits.push(...purse.holds.map((hold) => this.#wordDueAt(hold)).filter((at) => at !== null));
      if (purse.orders.length > 0) waits.push(this.#ports.now());
      if (purse.drawing !== null || purse.holds.length === 0) waits.push(purse.usedAt + IDLE_GRANT_MS);
      return waits;
    });
    return instants.length === 0 ? null : Math.min(...instants);
  }

  /** Null for a task without a price. */
  price(task: TaskTail): PriceView | null {
    const bill = this.#ports.store.bill(task);
    if (bill !== null) return settledView(bill);
    const hold = this.holdOf(task);
    return hold === null ? null : heldView(hold.amount);
  }

  /** What is set aside for a task; null when nothing is, or not any more. */
  holdOf(task: TaskTail): (Hold & { readonly discarded: boolean }) | null {
    for (const { purse } of this.#ports.store.purses()) {
      const hold = holdOf(purse, task);
      if (hold !== null) return { ...hold, discarded: hold.word === 'discarded' };
    }
    return null;
  }

  /** Bills every task that ended. True when that freed something. */
  #settleEnded(): boolean {
    const { store, tasks, now } = this.#ports;
    let freed = false;
    for (const { name, purse: before } of store.purses()) {
      let purse = before;
      for (const hold of before.holds) {
        const standing = tasks.standing(hold.task);
        const waitsUntil = this.#wordDueAt(hold);
        if (this.#isUnsaid(hold)) continue; // Bill and receipt say the same.
        if (standing === 'ended' && (waitsUntil === null || now() >= waitsUntil)) {
          const bill = tasks.bill(hold.task, { ...hold, discarded: hold.word === 'discarded' });
          const { charged: charge, pays } = bill;
          purse = this.#step(name, purse, { type: 'settle', at: now(), task: hold.task, charge, pays }, bill);
        } else if (standing === 'unknown' && now() >= hold.at + unopenedMs(hold)) {
          purse = this.#step(name, purse, { type: 'release', at: now(), task: hold.task });
        }
      }
      freed ||= purse !== before;
    }
    return freed;
  }

  /** Until when the word on a task that ended is waited for; null where nothing is waited for. Without a word it was given. */
  #wordDueAt({ task, wordMs, word }: Hold): number | null {
    const endedAt = wordMs === undefined || word !== undefined ? null : this.#ports.tasks.endedAt(task);
    return endedAt === null || wordMs === undefined ? null : endedAt + wordMs;
  }

  /** One call at a time; the wish is written down before it is made, so that it can be made again. */
  #draw(name: string, amount: number): Promise<DrawResult> {
    let running = this.#drawing.get(name);
    if (running === undefined) {
      running = this.#drawNow(name, amount).finally(() => this.#drawing.delete(name));
      this.#drawing.set(name, running);
    }
    return running;
  }

  async #drawNow(name: string, amount: number): Promise<DrawResult> {
    const { store, ledger, now } = this.#ports;
    const before = store.purse(name);
    const asked = before === null ? null : this.#step(name, before, { type: 'draw', at: now(), amount });
    if (asked?.drawing == null) throw new Error('there is no purse to draw for');
    const { drawing, payer } = asked;
    this.#arm();
    const result = await ledger.draw(drawing, { budget: payer.budget, allowance: payer.allowance }).catch((cause) => {
      if (cause instanceof ShoalError && cause.code !== 'internal_error') throw cause;
      throw unreachable('The ledger cannot be reached, and this session has nothing left to spend.', cause);
    });
    const after = store.purse(name);
    if (after !== null) this.#step(name, after, { type: 'drawn', at: now(), id: drawing.id, result });
    return result;
  }

  async #deliver(name: string): Promise<void> {
    const { store, ledger, now, log } = this.#ports;
    for (;;) {
      const orders = store.purse(name)?.orders.slice(0, BATCH) ?? [];
      if (orders.length === 0) return;
      const results = await ledger.settle(orders);
      for (const [i, result] of results.entries()) {
        const order = orders[i];
        // Its grant had expired, and the owner has spent the money elsewhere.
        if (result.status === 'refused' && order?.kind === 'settle') {
          log('settlement_written_off', { task: order.task, amount: order.charge });
        }
      }
      const after = store.purse(name);
      if (after !== null) this.#step(name, after, { type: 'taken', at: now(), orders: orders.map(({ id }) => id) });
    }
  }

  #step(name: string, before: Purse, event: PurseEvent, bill: Bill | null = null): Purse {
    const after = stepPurse(before, event);
    if (after !== this.#ports.store.purse(name) || bill !== null) this.#ports.store.save(name, after, bill);
    return after;
  }

  #arm(): void {
    const at = this.nextDueAt();
    if (at !== null) this.#ports.wake(at);
  }
}

function nameOf({ account, key }: Payer): string {
  return `${account} ${key ?? ''}`;
}

function refused(result: Extract<DrawResult, { status: 'refused' }>, amount: number, free: number): ShoalError {
  const whose = result.why === 'budget' ? 'The budget of this key leaves' : 'There are';
  return new ShoalError(
    'insufficient_quota',
    `This request may cost up to ${amount} micro-credits. ${whose} ${result.free + free} free.`,
  );
}

function unreachable(message: string, cause?: unknown): ShoalError {
  return new ShoalError('overloaded', message, { retryAfterMs: LEDGER_RETRY_MS, cause });
}
