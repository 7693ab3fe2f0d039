import { ShoalError } from '../../shared/errors.ts';
import { depositOf, heldBack, releasedOf, withPay } from './deposit.ts';
import { dayOf, type LedgerStore, type LedgerTotals, type Posting, type TabSums } from './ledger-store.ts';
import { stepOfPay, wholeSteps } from './steps-of-pay.ts';
import {
  type CreditOrder,
  checksAccount,
  type DrawLimits,
  type DrawOrder,
  type DrawResult,
  escrowAccount,
  FAUCET,
  FEES,
  type Grant,
  grantAccount,
  type LedgerOrder,
  type Leg,
  type OrderResult,
  type PairOrder,
  type Pay,
  type StandingOrder,
  type StatementLine,
  type TabMoney,
  type TransferKind,
  tabAccount,
  userAccount,
} from './transfer.ts';

/** A grant lives so long after its last draw, ms: a session draws again before a task begins that could last beyond it. */
export const GRANT_LIFE_MS = 2 * 60 * 60 * 1000;

/** Of the free balance a session takes at most one part in so many beyond what it needs, so that the others of the same owner find something. */
const DRAW_SHARE = 8;

/**
 * Percent of every charge that the network keeps, whatever else its fee pays: all that a payer's tasks can bring to tabs is less than it was charged for them, so that whoever
 * pays, answers and checks under three names has less after it than before.
 */
const KEPT_PERCENT = 1;

/** Grants that are closed in one look at the clock. */
const EXPIRE_BATCH = 500;

export interface AccountView {
  /** Micro-credits. */
  readonly free: number;
  /** In the hands of sessions: for work under way, or not given back yet. */
  readonly held: number;
  readonly balance: number;
}

export interface LedgerHealth extends LedgerTotals {
  readonly healthy: boolean;
  /** What all others have together. */
  readonly issued: number;
  readonly fees: number;
}

type Change = Partial<
  Pick<Posting, 'legs' | 'lines' | 'grant' | 'keySpend' | 'trust' | 'meanPays' | 'payee' | 'tabs'>
> & {
  readonly task?: string;
};

/**
 * Every account of the network, double entry. Knows neither SQL nor the clock. Each call is done once by the id of its transfer: the same id with the same
 * content gets the same result, with another content `transfer_conflict`.
 */
export class Ledger {
  readonly #store: LedgerStore;
  readonly #now: () => number;

  constructor(store: LedgerStore, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** Credits out of the faucet, by the operator's word. `isForChecks`: they pay those checks of the account's tasks that it is not charged for. */
  credit(order: CreditOrder): void {
    const { id, account, amount, isForChecks = false } = order;
    if (!Number.isSafeInteger(amount) || amount <= 0) {
      throw new ShoalError('invalid_value', 'Credits are a whole number above 0, in micro-credits.', {
        param: 'amount',
      });
    }
    const content = { account, amount, ...(isForChecks && { for: 'checks' }) };
    this.#once(id, 'credit', content, () => {
      this.#post(id, 'credit', content, null, {
        legs: move(FAUCET, isForChecks ? checksAccount(account) : userAccount(account), amount),
        lines: isForChecks ? [] : [{ owner: account, amount }],
      });
      return null;
    });
  }

  /** Money for a session, out of its payer's free balance. Gives `want` where that leaves enough for others, and never less than `need`. */
  draw(order: DrawOrder, limits: DrawLimits): DrawResult {
    const { id, grant: name, account, key, need, want } = order;
    const content = { grant: name, account, key, need, want };
    return this.#once(id, 'draw', content, () => {
      const at = this.#now();
      const before = this.#store.grant(name);
      if (before !== null && (before.account !== account || before.key !== key)) throw conflict(id);
      if (before !== null && before.state !== 'open') return { status: 'over' };
      if (limits.allowance !== null) this.#allow(account, limits.allowance, at);
      const free = this.#store.balance(userAccount(account));
      const budget =
        key === null || limits.budget === null ? free : Math.max(0, limits.budget - this.#store.keySpent(key));
      const most = Math.min(free, budget);
      if (need > most) return { status: 'refused', why: budget < free ? 'budget' : 'balance', free: most };
      const amount = Math.min(want, most, Math.max(need, Math.floor(most / DRAW_SHARE)));
      const expiresAt = at + GRANT_LIFE_MS;
      const remaining = (before?.remaining ?? 0) + amount;
      const result: DrawResult = { status: 'granted', amount, expiresAt };
      this.#post(id, 'draw', content, result, {
        legs: move(userAccount(account), grantAccount(name), amount),
        grant: { id: name, account, key, state: 'open', remaining, expiresAt },
        keySpend: key === null ? null : { key, amount },
      });
      return result;
    });
  }

  /** What a session did with its money, in its order. */
  settle(orders: readonly LedgerOrder[]): OrderResult[] {
    return orders.map((order) => (order.kind === 'settle' ? this.#settle(order) : this.#close(order)));
  }

  /** Grants that nobody gave back return to their owners. Returns how many. */
  expire(): number {
    const late = this.#store.expired(this.#now(), EXPIRE_BATCH);
    for (const grant of late) this.#giveBack(`expire:${grant.id}`, 'expire', { grant: grant.id }, grant, 'expired');
    return late.length;
  }

  nextExpiry(): number | null {
    return this.#store.nextExpiry();
  }

  /** A tab became trusted in a class, is so no longer, or was found to cheat. Its deposit stays, unless it cheated. */
  standing({ id, tab, class: classId, standing }: StandingOrder): void {
    const escrow = escrowAccount(tab, classId);
    const content = { tab, class: classId, standing };
    const kind = standing === 'trusted' ? 'release' : 'forfeit';
    this.#once(id, kind, content, () => {
      const held = this.#store.balance(escrow);
      const released = releasedOf(held, depositOf(this.#store.meanPay(classId)));
      const isTrusted = standing === 'trusted';
      const amount = standing === 'untrusted' ? 0 : isTrusted ? released : held;
      this.#post(id, kind, content, null, {
        legs: move(escrow, isTrusted ? tabAccount(tab) : FEES, amount),
        trust: { escrow, isTrusted },
        tabs: [{ tab, earned: 0, collected: 0, lost: isTrusted ? 0 : amount, step: null }],
      });
      this.#collect(tab);
      return null;
    });
  }

  /**
   * A tab earns for an account from now on, and what waited is the account's. What is held back stays where it is: it is the tab's standing that frees it. Throws
   * `already_paired` where it earns for another.
   */
  pair({ id, tab, account }: PairOrder): void {
    const content = { tab, account };
    this.#once(id, 'pair', content, () => {
      const before = this.#store.payee(tab);
      if (before !== null && before.account !== account) {
        throw new ShoalError('already_paired', 'This tab is paired with another account: end that first.');
      }
      this.#post(id, 'pair', content, null, { payee: { tab, payee: { account, order: id } } });
      this.#collect(tab);
      return null;
    });
  }

  /** A tab earns for this account no longer. What it was given stays given. False where it earns for another, or nobody. */
  leave(tab: string, account: string): boolean {
    const payee = this.#store.payee(tab);
    if (payee?.account !== account) return false;
    this.#post(`leave:${payee.order}`, 'leave', { tab, account }, null, { payee: { tab, payee: null } });
    return true;
  }

  /** The account that a tab earns for; null: nobody's. */
  payeeOf(tab: string): string | null {
    return this.#store.payee(tab)?.account ?? null;
  }

  /** In whole steps: see {@link stepOfPay}. */
  tabMoney(tab: string): TabMoney {
    const { collected, lost, earnedToday, step } = this.#store.tabSums(tab, this.#now());
    const shown = (amount: number) => wholeSteps(amount, step);
    return {
      payee: this.payeeOf(tab),
      waiting: shown(this.#store.balance(tabAccount(tab))),
      held: shown(this.#store.heldBack(tab)),
      collected,
      lost: shown(lost),
      today: shown(earnedToday),
      step,
    };
  }

  account(account: string): AccountView {
    const free = this.#store.balance(userAccount(account));
    const held = this.#store.heldFor(account);
    return { free, held, balance: free + held };
  }

  /** What a key has spent or has in the hands of its sessions, micro-credits. */
  keySpent(key: string): number {
    return this.#store.keySpent(key);
  }

  statement(account: string, after: number, limit: number): StatementLine[] {
    return this.#store.statement(account, after, limit);
  }

  health(): LedgerHealth {
    const totals = this.#store.totals(FAUCET);
    const healthy = totals.sum === 0 && totals.overdrawn === 0 && totals.granted === totals.held;
    return { healthy, ...totals, issued: -this.#store.balance(FAUCET), fees: this.#store.balance(FEES) };
  }

  /** Out of the grant; once that is over, out of the owner's free balance, in full or not at all. */
  #settle(order: Extract<LedgerOrder, { kind: 'settle' }>): OrderResult {
    const { id, grant: name, task, charge, pays } = order;
    const content = { grant: name, task, charge, pays };
    return this.#once(id, 'settle', content, () => {
      const grant = this.#store.grant(name);
      if (grant === null) return { status: 'refused' };
      const isOpen = grant.state === 'open' && grant.remaining >= charge;
      const source = isOpen ? grantAccount(name) : userAccount(grant.account);
      if (!isOpen && this.#store.balance(source) < charge) return { status: 'refused' };
      const checks = checksAccount(grant.account);
      const answers = sumOf(pays.filter(({ role }) => role === 'answer'));
      if (answers > charge) throw new Error('an answer is paid more than its task was charged');
      const kept = Math.min(charge - answers, Math.ceil((charge * KEPT_PERCENT) / 100));
      const due = payable(pays, charge - answers - kept + this.#store.balance(checks));
      const meanPays = this.#meanPaysWith(due);
      const earned = due.map((pay) => this.#split(pay));
      const result: OrderResult = { status: 'done' };
      this.#post(id, 'settle', content, result, {
        task,
        legs: [
          { account: source, amount: -charge },
          ...earned.flatMap(({ legs }) => legs),
          { account: FEES, amount: kept },
          { account: checks, amount: charge - sumOf(due) - kept },
        ],
        lines: charge === 0 ? [] : [{ owner: grant.account, amount: -charge }],
        tabs: earned.map(({ sums }) => sums),
        grant: isOpen ? { ...grant, remaining: grant.remaining - charge } : null,
        keySpend: isOpen || grant.key === null ? null : { key: grant.key, amount: charge },
        meanPays,
      });
      for (const tab of new Set(due.map((pay) => pay.tab))) this.#collect(tab);
      return result;
    });
  }

  #split({ tab, class: classId, amount }: Pay): { readonly legs: Leg[]; readonly sums: TabSums } {
    const escrow = escrowAccount(tab, classId);
    const standing = { isTrusted: this.#store.isTrusted(escrow), held: this.#store.balance(escrow) };
    const meanPay = this.#store.meanPay(classId);
    const held = heldBack(amount, standing, depositOf(meanPay));
    return {
      legs: [
        { account: tabAccount(tab), amount: amount - held },
        { account: escrow, amount: held },
      ],
      sums: { tab, earned: amount, collected: 0, lost: 0, step: this.#stepOf(tab, stepOfPay(meanPay, amount)) },
    };
  }

  /** The greatest of its classes: a cheap one would tell of a dear one what each task brought. `least`: of the class that it is paid in. */
  #stepOf(tab: string, least: number): number {
    return Math.max(least, ...this.#store.classesOf(tab).map((id) => stepOfPay(this.#store.meanPay(id), 0)));
  }

  /** What waits with a paired tab goes to its account, in whole steps. The account sees the transfer's name: it names no task. */
  #collect(tab: string): void {
    const account = this.payeeOf(tab);
    const { collected, step } = this.#store.tabSums(tab, this.#now());
    const amount = wholeSteps(this.#store.balance(tabAccount(tab)), step);
    if (account === null || amount === 0) return;
    this.#post(`collect:${tab}:${collected}`, 'collect', { tab, account, amount }, null, {
      legs: move(tabAccount(tab), userAccount(account), amount),
      lines: [{ owner: account, amount }],
      tabs: [{ tab, earned: 0, collected: amount, lost: 0, step: null }],
    });
  }

  #meanPaysWith(pays: readonly Pay[]): Posting['meanPays'] {
    const answers = pays.filter(({ role }) => role === 'answer');
    return answers.map(({ class: id, amount }) => ({
      class: id,
      ...withPay(this.#store.meanPay(id), amount, this.#now()),
    }));
  }

  #close({ id, grant: name }: Extract<LedgerOrder, { kind: 'close' }>): OrderResult {
    return this.#once(id, 'close', { grant: name }, () => {
      const grant = this.#store.grant(name);
      if (grant?.state === 'open') this.#giveBack(id, 'close', { grant: name }, grant, 'closed');
      return { status: 'done' };
    });
  }

  #giveBack(id: string, kind: TransferKind, content: object, grant: Grant, state: 'closed' | 'expired'): void {
    const result: OrderResult = { status: 'done' };
    this.#post(id, kind, content, result, {
      legs: move(grantAccount(grant.id), userAccount(grant.account), grant.remaining),
      grant: { ...grant, state, remaining: 0 },
      keySpend: grant.key === null ? null : { key: grant.key, amount: -grant.remaining },
    });
  }

  /** Fills somebody without an account up, once a day. */
  #allow(account: string, allowance: number, at: number): void {
    const id = `allowance:${account}:${dayOf(at)}`;
    if (this.#store.transfer(id) !== null) return;
    const amount = Math.max(0, allowance - this.account(account).balance);
    this.#post(id, 'allowance', { account, allowance }, null, {
      legs: move(FAUCET, userAccount(account), amount),
      lines: amount === 0 ? [] : [{ owner: account, amount }],
    });
  }

  #once<T>(id: string, kind: TransferKind, content: object, act: () => T): T {
    const done = this.#store.transfer(id);
    if (done === null) return act();
    if (done.kind !== kind || done.content !== JSON.stringify(content)) throw conflict(id);
    return JSON.parse(done.result) as T;
  }

  /** Legs of one account become one; what changes nothing is not written. */
  #post(id: string, kind: TransferKind, content: object, result: unknown, change: Change): void {
    const amounts = new Map<string, number>();
    for (const { account, amount } of change.legs ?? []) amounts.set(account, (amounts.get(account) ?? 0) + amount);
    const legs = [...amounts].map(([account, amount]) => ({ account, amount })).filter(({ amount }) => amount !== 0);
    if (sumOf(legs) !== 0) throw new Error(`transfer ${id} does not add up`);
    for (const { account, amount } of legs) {
      const after = this.#store.balance(account) + amount;
      if (!Number.isSafeInteger(after) || (after < 0 && account !== FAUCET)) {
        throw new Error(`transfer ${id} would leave ${after} in ${account}`);
      }
    }
    this.#store.post({
      transfer: {
        id,
        kind,
        task: change.task ?? null,
        content: JSON.stringify(content),
        result: JSON.stringify(result),
        at: this.#now(),
      },
      legs,
      lines: change.lines ?? [],
      grant: change.grant ?? null,
      keySpend: change.keySpend ?? null,
      trust: change.trust ?? null,
      meanPays: change.meanPays ?? [],
      payee: change.payee ?? null,
      tabs: change.tabs ?? [],
    });
  }
}

/** What is paid, where so much is there for checks: all of them in the same measure. */
function payable(pays: readonly Pay[], forChecks: number): readonly Pay[] {
  const wanted = sumOf(pays.filter(({ role }) => role === 'check'));
  if (wanted <= forChecks) return pays;
  const part = (amount: number) => Number((BigInt(amount) * BigInt(forChecks)) / BigInt(wanted));
  return pays.map((pay) => (pay.role === 'check' ? { ...pay, amount: part(pay.amount) } : pay));
}

function move(from: string, to: string, amount: number): Leg[] {
  return [
    { account: from, amount: -amount },
    { account: to, amount },
  ];
}

function sumOf(parts: readonly { readonly amount: number }[]): number {
  return parts.reduce((sum, { amount }) => sum + amount, 0);
}

function conflict(id: string): ShoalError {
  return new ShoalError('transfer_conflict', `The transfer '${id.slice(0, 200)}' was made with another content.`);
}
