import type { Bill, PricedHold } from '../../router-worker/billing/bill.ts';
import { Cashier, type LedgerPort } from '../../router-worker/billing/cashier.ts';
import { IDLE_GRANT_MS } from '../../router-worker/billing/grant.ts';
import { GRANT_LIFE_MS, Ledger } from '../../router-worker/ledger/ledger.ts';
import type { Posting } from '../../router-worker/ledger/ledger-store.ts';
import { FAUCET, type LedgerOrder, tabAccount } from '../../router-worker/ledger/transfer.ts';
import { MemoryLedgerStore } from '../../router-worker/testing/memory-ledger-store.ts';
import { MemoryPurseStore } from '../../router-worker/testing/memory-purse-store.ts';
import { ShoalError } from '../../shared/errors.ts';
import { seededRandom } from './seeded-random.ts';

/**
 * The router's own ledger and cashiers under a network that delays, doubles, reorders and loses calls and replies, with objects that die at any await, in one seeded
 * run. Whatever breaks a law of money throws, with the step and the seed.
 */

export interface MoneyOptions {
  readonly seed: number;
  readonly steps: number;
}

export interface MoneyOutcome {
  readonly holds: number;
  readonly refused: number;
  readonly unreachable: number;
  readonly tasks: number;
  readonly settled: number;
  readonly writtenOff: number;
  readonly doubled: number;
  readonly conflicts: number;
  readonly deaths: number;
  readonly lostSessions: number;
  readonly lostReplies: number;
  readonly expiredGrants: number;
  readonly paired: number;
  readonly parted: number;
  /** Given to owners for what their tabs did, micro-credits. */
  readonly collected: number;
  /** Words of readers that were heard in time, and answers that were thrown away by them. */
  readonly words: number;
  readonly thrownAway: number;
  readonly transfers: number;
  readonly charged: number;
}

const OWNERS = 12;
const SESSIONS = 24;
const TABS = 20;
/** How long after its end a task's reader may say what became of it, ms. */
const WORD_MS = 10_000;
const CLASS = 'cls';
/** Steps between two looks at the whole ledger; every posting is looked at by itself. */
const LOOK_EVERY = 100;

/** Checks every posting as it is written: it adds up, is the first of its id, and leaves nobody but the faucet below zero. */
class WatchedStore extends MemoryLedgerStore {
  readonly posted = new Set<string>();
  /** What tabs earned in all, and what came to owners for it, micro-credits: kept apart from the balances. */
  readonly earned = new Map<string, number>();
  readonly collected = new Map<string, number>();

  override post(posting: Posting): void {
    const { id } = posting.transfer;
    demand(!this.posted.has(id), `transfer ${id} is written twice`);
    super.post(posting);
    this.posted.add(id);
    for (const { tab, earned } of posting.tabs) this.earned.set(tab, (this.earned.get(tab) ?? 0) + earned);
    for (const { owner, amount } of posting.lines) {
      if (amount <= 0 || posting.transfer.kind !== 'collect') continue;
      this.collected.set(owner, (this.collected.get(owner) ?? 0) + amount);
      const isPayee = posting.tabs.some(({ tab }) => this.payee(tab)?.account === owner);
      demand(isPayee, `${owner} is paid in ${id} for a tab that is not its own`);
    }
    demand(posting.legs.reduce((sum, { amount }) => sum + amount, 0) === 0, `transfer ${id} does not add up`);
    for (const { account } of posting.legs) {
      const balance = this.balance(account);
      demand(Number.isSafeInteger(balance), `${account} is no whole number`);
      demand(balance >= 0 || account === FAUCET, `${account} fell to ${balance}`);
    }
  }
}

interface SimTask {
  readonly owner: string;
  state: 'unknown' | 'open' | 'ended';
  charge: number;
  endedAt: number | null;
  /** Its reader said in time that it was thrown away: nothing is charged for it from then on. */
  isFree: boolean;
  /** Its receipt says so. */
  saysDiscarded: boolean;
  /** Its receipt was given to somebody: it may not change any more. */
  isPublic: boolean;
}

/** A call of a session on its way to the ledger, or its reply on the way back. */
interface Call {
  readonly session: SimSession;
  readonly life: number;
  readonly act: () => unknown;
  reply: { readonly ok: boolean; readonly value: unknown } | null;
  readonly resolve: (value: unknown) => void;
  readonly reject: (cause: unknown) => void;
}

interface SimSession {
  readonly store: MemoryPurseStore;
  readonly tasks: Map<string, SimTask>;
  cashier: Cashier;
  life: number;
  sweeping: boolean;
}

function demand(condition: boolean, problem: string): asserts condition {
  if (!condition) throw new Error(problem);
}

export async function simulateMoney(options: MoneyOptions): Promise<MoneyOutcome> {
  const simulation = new MoneySimulation(options);
  try {
    return await simulation.run();
  } catch (cause) {
    throw new Error(`seed ${options.seed}, step ${simulation.step}: ${String(cause)}`, { cause });
  }
}

class MoneySimulation {
  readonly #random: () => number;
  readonly #steps: number;
  readonly #ledgerStore = new WatchedStore();
  #ledger: Ledger;
  #now = 1_000_000;
  #names = 0;
  #isLedgerAway = false;
  #isCalm = false;
  #calls: Call[] = [];
  /** Calls that were made once and may be made again, by anybody. */
  readonly #made: (() => unknown)[] = [];
  readonly #sessions: SimSession[] = [];
  /** What was given to an owner, and what the ledger took for a task: kept apart from the ledger. */
  readonly #given = new Map<string, number>();
  readonly #taken = new Map<string, { readonly owner: string; readonly charge: number }>();
  readonly #writtenOff = new Set<string>();
  /** Of sessions whose storage is gone: nobody will settle these. */
  readonly #orphans = new Set<string>();
  readonly #tasks = new Map<string, SimTask>();
  readonly #count = {
    holds: 0,
    refused: 0,
    unreachable: 0,
    doubled: 0,
    conflicts: 0,
    deaths: 0,
    lostSessions: 0,
    lostReplies: 0,
    expiredGrants: 0,
    paired: 0,
    parted: 0,
    words: 0,
    thrownAway: 0,
  };
  #fault: unknown = null;
  step = 0;

  constructor({ seed, steps }: MoneyOptions) {
    this.#random = seededRandom(seed);
    this.#steps = steps;
    this.#ledger = this.#newLedger();
    for (let i = 0; i < SESSIONS; i++) this.#sessions.push(this.#newSession());
  }

  async run(): Promise<MoneyOutcome> {
    for (let owner = 0; owner < OWNERS; owner++) this.#credit(`owner${owner}`, 10_000);
    for (; this.step < this.#steps; this.step++) {
      this.#act();
      await idle();
      this.#look();
      if (this.#fault !== null) throw this.#fault;
    }
    await this.#comeToRest();
    return this.#reckon();
  }

  // ---- what happens ------------------------------------------------------------------------------------------------

  #act(): void {
    const dice = this.#random();
    if (dice < 0.15) this.#begin();
    else if (dice < 0.3) this.#endTask();
    else if (dice < 0.42) this.#sweep(this.#pick(this.#sessions));
    else if (dice < 0.45) this.#read(this.#pick(this.#sessions));
    else if (dice < 0.47) this.#publish(this.#pick(this.#sessions));
    else if (dice < 0.85) this.#moveCall();
    else if (dice < 0.91) this.#repeatCall();
    else if (dice < 0.935) this.#kill(this.#pick(this.#sessions));
    else if (dice < 0.955) this.#pass();
    else if (dice < 0.97) this.#count.expiredGrants += this.#ledger.expire();
    else if (dice < 0.974) this.#credit(`owner${this.#below(OWNERS)}`, 1 + this.#below(20_000));
    else if (dice < 0.979) this.#judge();
    else if (dice < 0.984) this.#pairOrPart();
    else if (dice < 0.986) this.#ledger = this.#newLedger();
    else if (dice < 0.993) this.#isLedgerAway = this.#random() < 0.1;
    else if (dice < 0.994) this.#lose(this.#below(SESSIONS));
    else this.#contradict();
  }

  /** A task that may cost a little or nearly all that its owner has. */
  #begin(): void {
    const session = this.#pick(this.#sessions);
    const owner = `owner${this.#below(OWNERS)}`;
    const task = `task${++this.#names}`;
    const amount = 1 + this.#below(this.#random() < 0.05 ? 12_000 : 1_500);
    const charge = this.#below(amount + 1);
    const fresh = { endedAt: null, isFree: false, saysDiscarded: false, isPublic: false };
    const known: SimTask = { owner, state: 'unknown', charge, ...fresh };
    const wordMs = this.#random() < 0.3 ? { wordMs: WORD_MS } : {};
    const key = this.#random() < 0.3 ? `key of ${owner}` : null;
    const payer = { account: owner, key, budget: key === null ? null : 200_000, allowance: null };
    const terms = { prices: {}, level: 'none', wanted: 1, sla: 'standard', promptTokens: 0, tokens: 0 } as const;
    const { life } = session;
    session.cashier.hold({ task, payer, amount, terms, ...wordMs }).then(
      () => {
        if (session.life !== life) return; // Nobody is left to hear it.
        this.#count.holds++;
        if (this.#random() < 0.1)
          session.cashier.release(task); // No tab was found.
        else {
          known.state = 'open';
          session.tasks.set(task, known);
          this.#tasks.set(task, known);
        }
      },
      (cause) => this.#refusal(cause),
    );
  }

  #refusal(cause: unknown): void {
    const { code } = ShoalError.from(cause);
    if (code === 'insufficient_quota') this.#count.refused++;
    else if (code === 'overloaded') this.#count.unreachable++;
    else this.#fault ??= cause;
  }

  #endTask(): void {
    const session = this.#pick(this.#sessions);
    const open = [...session.tasks.values()].filter(({ state }) => state === 'open');
    if (open.length > 0) this.#end(session, this.#pick(open));
  }

  #end({ cashier, tasks }: SimSession, task: SimTask): void {
    const [id] = [...tasks].find(([, known]) => known === task) ?? [''];
    if (this.#random() < 0.2) cashier.awaitWord(id, WORD_MS); // Another tab had written at it.
    task.state = 'ended';
    task.endedAt = this.#now;
    task.saysDiscarded = cashier.holdOf(id)?.discarded ?? false;
  }

  /** A reader says what became of some task, whatever has become of it since; receipts that say otherwise are signed again, now or later. */
  #read({ cashier, tasks }: SimSession): void {
    const held = [...tasks].filter(([one]) => this.#random() < 0.1 || cashier.holdOf(one) !== null);
    const [id, task] = this.#pick(held.slice(-20)) ?? [];
    if (id !== undefined && task !== undefined) {
      const before = cashier.holdOf(id);
      cashier.tell([id], this.#random() < 0.5 ? 'given' : 'discarded');
      const { word, discarded = false } = cashier.holdOf(id) ?? {};
      if (word !== undefined && before?.word === undefined) this.#count.words++;
      if (discarded && !task.isFree) this.#count.thrownAway++;
      task.isFree ||= discarded;
      demand(!task.isFree || !task.isPublic || task.saysDiscarded, `${id} is free, and its receipt says a price`);
    }
    if (this.#random() < 0.5) this.#sign({ cashier, tasks });
  }

  #sign({ cashier, tasks }: Pick<SimSession, 'cashier' | 'tasks'>): void {
    for (const tail of cashier.toSayDiscarded) {
      const task = tasks.get(tail);
      demand(task !== undefined && !task.isPublic, `the receipt of ${tail} was given away, and changes`);
      task.saysDiscarded = true;
    }
  }

  /** Somebody asks for the receipts of a session. */
  #publish({ cashier, tasks }: SimSession): void {
    const unsaid = new Set(cashier.unsaid);
    for (const [id, task] of tasks) if (task.state === 'ended' && !unsaid.has(id)) task.isPublic = true;
  }

  #sweep(session: SimSession): void {
    if (session.sweeping) return; // One alarm at a time.
    session.sweeping = true;
    const { life } = session;
    const over = () => {
      if (session.life === life) session.sweeping = false;
    };
    session.cashier.sweep().then(over, (cause) => {
      over();
      if (!isNetworkFault(cause)) this.#fault ??= cause;
    });
  }

  /** Any call goes one step on: to the ledger, or back; or it is lost on the way. */
  #moveCall(): void {
    const at = this.#below(this.#calls.length);
    const call = this.#calls[at];
    if (call === undefined) return;
    const isLost = !this.#isCalm && this.#random() < 0.05;
    if (call.reply === null && !isLost && !this.#isLedgerAway) {
      call.reply = perform(call.act);
      return;
    }
    this.#calls.splice(at, 1);
    if (call.reply === null || isLost) {
      this.#count.lostReplies++;
      // What was lost may have been on its way still, and arrive much later.
      if (call.reply === null && this.#random() < 0.5) this.#made.push(call.act);
      call.reject(new NetworkFault('the connection broke'));
    } else if (call.reply.ok) call.resolve(call.reply.value);
    else call.reject(call.reply.value);
  }

  /** A call that was made before, or was believed lost, arrives (again). */
  #repeatCall(): void {
    if (this.#made.length === 0) return;
    this.#count.doubled++;
    const { ok, value } = perform(this.#pick(this.#made));
    if (!ok) this.#fault ??= value;
  }

  /** Memory is gone, storage stays. What was awaited is never heard of. */
  #kill(session: SimSession): void {
    this.#count.deaths++;
    session.life++;
    session.sweeping = false;
    session.cashier = this.#newCashier(session);
    this.#calls = this.#calls.filter((call) => {
      if (call.session !== session) return true;
      if (call.reply === null && this.#random() < 0.5) this.#made.push(call.act); // Under way when its sender died.
      return false;
    });
  }

  /** A session and all that it had stored. */
  #lose(index: number): void {
    const session = this.#sessions[index];
    if (session === undefined) return;
    this.#kill(session);
    this.#count.lostSessions++;
    for (const task of session.tasks.keys()) this.#orphans.add(task);
    this.#sessions[index] = this.#newSession();
  }

  #pass(): void {
    const dice = this.#random();
    this.#now += dice < 0.8 ? this.#below(20_000) : dice < 0.99 ? this.#below(600_000) : this.#below(2 * GRANT_LIFE_MS);
  }

  #judge(): void {
    const standing = this.#pick(['trusted', 'untrusted', 'fraud'] as const);
    const order = { id: `standing${++this.#names}`, tab: `tab${this.#below(TABS)}`, class: CLASS, standing };
    const act = () => this.#ledger.standing(order);
    act();
    this.#remember(act);
  }

  /** A tab comes to an account, or goes; an account that is told again does not get it back. */
  #pairOrPart(): void {
    const tab = `tab${this.#below(TABS)}`;
    const account = this.#ledger.payeeOf(tab);
    if (account !== null && this.#random() < 0.7) {
      demand(
        !this.#ledger.leave(tab, 'nobody') && this.#ledger.leave(tab, account),
        `${tab} does not leave ${account}`,
      );
      this.#count.parted++;
      return;
    }
    const order = { id: `pair${++this.#names}`, tab, account: `owner${this.#below(OWNERS)}` };
    const act = () => {
      try {
        this.#ledger.pair(order);
      } catch (cause) {
        if (ShoalError.from(cause).code !== 'already_paired') throw cause;
        demand(this.#ledger.payeeOf(tab) !== order.account, `${tab} is refused to its own account`);
      }
    };
    act();
    if (this.#ledger.payeeOf(tab) === order.account) this.#count.paired++;
    this.#remember(act);
  }

  #credit(owner: string, amount: number): void {
    const order = { id: `credit${++this.#names}`, account: owner, amount };
    const act = () => this.#ledger.credit(order);
    act();
    this.#remember(act);
    this.#given.set(owner, (this.#given.get(owner) ?? 0) + amount);
  }

  /** An id that was used comes again with another content. */
  #contradict(): void {
    const id = this.#pick([...this.#taken.keys()].slice(-50));
    if (id === undefined) return;
    const order: LedgerOrder = { kind: 'settle', id: `settle:${id}`, grant: 'another', task: id, charge: 1, pays: [] };
    const { ok, value } = perform(() => this.#ledger.settle([order]));
    demand(!ok && ShoalError.from(value).code === 'transfer_conflict', `settle:${id} was written with another content`);
    this.#count.conflicts++;
  }

  #remember(act: () => unknown): void {
    this.#made.push(act);
    if (this.#made.length > 400) this.#made.splice(this.#below(400), 1);
  }

  // ---- objects -----------------------------------------------------------------------------------------------------

  #newLedger(): Ledger {
    return new Ledger(this.#ledgerStore, () => this.#now);
  }

  #newSession(): SimSession {
    const parts = { store: new MemoryPurseStore(), tasks: new Map<string, SimTask>(), life: 0, sweeping: false };
    const session = { ...parts } as SimSession;
    session.cashier = this.#newCashier(session);
    return session;
  }

  #newCashier(session: SimSession): Cashier {
    return new Cashier({
      store: session.store,
      ledger: this.#portOf(session),
      tasks: {
        standing: (task) => session.tasks.get(task)?.state ?? 'unknown',
        endedAt: (task) => session.tasks.get(task)?.endedAt ?? null,
        saysDiscarded: (task) => session.tasks.get(task)?.saysDiscarded ?? false,
        bill: (task, hold) => this.#billOf(session, task, hold),
      },
      now: () => this.#now,
      newName: () => `name${++this.#names}`,
      wake: () => undefined,
      log: (_, { task }) => this.#writtenOff.add(String(task)),
    });
  }

  #billOf(session: SimSession, task: string, { amount, discarded }: PricedHold): Bill {
    const known = session.tasks.get(task);
    demand(discarded === known?.saysDiscarded, `bill and receipt of ${task} differ`);
    const charged = discarded ? 0 : (known?.charge ?? 0);
    const n = Number(task.slice(4));
    const pay = Math.floor(charged * 0.95);
    const by = (role: 'answer' | 'check', tab: number) => ({
      tab: `tab${tab % TABS}`,
      class: CLASS,
      role,
      amount: pay,
    });
    const check = { ...by('check', n + 1), amount: known?.charge ?? 0 };
    const pays = discarded
      ? [check]
      : pay === 0
        ? []
        : n % 3 === 0
          ? [by('answer', n), by('check', n + 1)]
          : [by('answer', n)];
    const figures = { tokens: { prompt: 0, completion: 0 }, perToken: 0, percent: { level: 100, sla: 100 } };
    return { task, endedAt: this.#now, ...figures, held: amount, charged, pays };
  }

  #portOf(session: SimSession): LedgerPort {
    const send = <T>(act: () => T) =>
      new Promise<T>((resolve, reject) => {
        const settled = resolve as (value: unknown) => void;
        this.#calls.push({ session, life: session.life, act, reply: null, resolve: settled, reject });
        if (this.#random() < 0.2) this.#remember(act);
      });
    return {
      draw: (order, limits) => send(() => this.#ledger.draw(order, limits)),
      settle: (orders) => send(() => this.#settle(orders)),
    };
  }

  #settle(orders: readonly LedgerOrder[]) {
    const results = this.#ledger.settle(orders);
    for (const [i, order] of orders.entries()) {
      if (order.kind !== 'settle' || results[i]?.status !== 'done') continue;
      const { owner = 'nobody', isFree = false } = this.#tasks.get(order.task) ?? {};
      demand(order.charge === 0 || !isFree, `${order.task} was said to be free, and charged`);
      const before = this.#taken.get(order.task);
      demand(before === undefined || before.charge === order.charge, `${order.task} was charged twice`);
      this.#taken.set(order.task, { owner, charge: order.charge });
    }
    return results;
  }

  // ---- what must hold ----------------------------------------------------------------------------------------------

  #look(): void {
    for (const session of this.#sessions) {
      for (const { purse } of session.store.purses()) {
        const { grant, holds, orders } = purse;
        demand(grant === null || grant.free >= 0, `a session has ${grant?.free} free`);
        if (grant === null) continue;
        const atLedger = this.#ledgerStore.grant(grant.id);
        if (atLedger?.state !== 'open') continue; // Expired: the session will find out.
        const mine = <T extends { readonly grant: string }>(parts: readonly T[]) =>
          parts.filter((part) => part.grant === grant.id);
        const held = mine(holds).reduce((sum, hold) => sum + hold.amount, 0);
        // Orders that the ledger has taken, and whose reply is under way, are no claim any more.
        const owed = mine(orders).reduce(
          (sum, order) =>
            sum + (order.kind === 'settle' && this.#ledgerStore.transfer(order.id) === null ? order.charge : 0),
          0,
        );
        demand(
          grant.free + held + owed <= atLedger.remaining,
          `a session counts on ${grant.free + held + owed} of a grant that has ${atLedger.remaining}`,
        );
      }
    }
    if (this.step % LOOK_EVERY === 0) this.#lookAtAll();
  }

  #lookAtAll(): void {
    const health = this.#ledger.health();
    demand(health.healthy, `the ledger is not healthy: ${JSON.stringify(health)}`);
    let collected = 0;
    for (const [tab, earned] of this.#ledgerStore.earned) {
      const money = this.#ledger.tabMoney(tab);
      const told = money.waiting + money.held + money.collected + money.lost;
      demand(told <= earned && earned - told < 3 * money.step, `${tab} earned ${earned}, and is told of ${told}`);
      const { lost } = this.#ledgerStore.tabSums(tab, this.#now);
      const there = this.#ledgerStore.balance(tabAccount(tab)) + this.#ledgerStore.heldBack(tab);
      demand(there + money.collected + lost === earned, `${tab} earned ${earned}, and ${there} are there`);
      collected += money.collected;
    }
    const came = [...this.#ledgerStore.collected.values()].reduce((sum, amount) => sum + amount, 0);
    demand(came === collected, `tabs gave ${collected} to owners, and ${came} came`);
  }

  /** Nothing is lost or doubled any more; everything that is open ends, idle grants go back, and lost ones expire. */
  async #comeToRest(): Promise<void> {
    this.#isCalm = true;
    this.#isLedgerAway = false;
    for (let round = 0; round < 20; round++) {
      for (const session of this.#sessions) {
        const { tasks } = session;
        for (const task of tasks.values()) if (task.state === 'open') this.#end(session, task);
      }
      for (const session of this.#sessions) {
        this.#sign(session);
        this.#sweep(session);
      }
      for (let moves = 0; moves < 10_000; moves++) {
        await idle();
        if (this.#calls.length === 0) break;
        this.#moveCall();
      }
      this.#now += 10 * IDLE_GRANT_MS;
    }
    if (this.#fault !== null) throw this.#fault;
    demand(
      this.#sessions.every(({ store }) => store.purses().length === 0),
      `a session still holds or owes something: ${JSON.stringify(this.#sessions.flatMap(({ store }) => store.purses()))}`,
    );
    this.#now += GRANT_LIFE_MS;
    this.#count.expiredGrants += this.#ledger.expire();
    this.#lookAtAll();
  }

  #reckon(): MoneyOutcome {
    const { held, openGrants, transfers } = this.#ledger.health();
    demand(held === 0 && openGrants === 0, `${held} are still held`);
    for (const [owner, given] of this.#given) {
      const charges = [...this.#taken.values()].filter((taken) => taken.owner === owner);
      const earned = this.#ledgerStore.collected.get(owner) ?? 0;
      const expected = given + earned - charges.reduce((sum, { charge }) => sum + charge, 0);
      const { free } = this.#ledger.account(owner);
      demand(free === expected, `${owner} has ${free} instead of ${expected}`);
      const lines = this.#ledger.statement(owner, 0, Number.MAX_SAFE_INTEGER);
      demand((lines.at(-1)?.balance ?? 0) === free, `the statement of ${owner} does not end at its balance`);
    }
    for (const [task, { state, charge, isFree }] of this.#tasks) {
      if (state !== 'ended' || charge === 0 || isFree || this.#orphans.has(task)) continue;
      const taken = this.#taken.get(task);
      demand(
        taken !== undefined ? taken.charge === charge : this.#writtenOff.has(task),
        `${task} was charged ${taken?.charge} instead of ${charge}`,
      );
    }
    return {
      ...this.#count,
      tasks: this.#tasks.size,
      settled: this.#taken.size,
      writtenOff: this.#writtenOff.size,
      collected: [...this.#ledgerStore.collected.values()].reduce((sum, amount) => sum + amount, 0),
      transfers,
      charged: [...this.#taken.values()].reduce((sum, { charge }) => sum + charge, 0),
    };
  }

  // ---- chance ------------------------------------------------------------------------------------------------------

  #below(count: number): number {
    return Math.floor(this.#random() * count);
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#below(list.length)] as T;
  }
}

class NetworkFault extends Error {}

function isNetworkFault(cause: unknown): boolean {
  return cause instanceof NetworkFault || (cause instanceof ShoalError && cause.code === 'overloaded');
}

function perform(act: () => unknown): { readonly ok: boolean; readonly value: unknown } {
  try {
    return { ok: true, value: act() };
  } catch (value) {
    return { ok: false, value };
  }
}

/** Lets every continuation run until all wait for the network again. */
function idle(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
