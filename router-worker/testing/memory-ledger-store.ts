import { type MeanPay, NO_PAY } from '../ledger/deposit.ts';
import {
  dayOf,
  type LedgerStore,
  type LedgerTotals,
  type Posting,
  type StoredTransfer,
} from '../ledger/ledger-store.ts';
import { escrowAccount, type Grant, type Payee, type StatementLine } from '../ledger/transfer.ts';

/** A ledger store for tests and simulations without workerd. Sits the same exam as the SQL one. */
export class MemoryLedgerStore implements LedgerStore {
  readonly #transfers = new Map<string, StoredTransfer>();
  readonly #balances = new Map<string, number>();
  readonly #grants = new Map<string, Grant>();
  readonly #open = new Set<string>();
  readonly #keySpend = new Map<string, number>();
  readonly #trusted = new Set<string>();
  readonly #meanPays = new Map<string, MeanPay>();
  readonly #lines = new Map<string, StatementLine[]>();
  readonly #payees = new Map<string, Payee>();
  readonly #tabSums = new Map<string, typeof NO_SUMS>();
  #numbers = 0;

  transfer(id: string): StoredTransfer | null {
    return this.#transfers.get(id) ?? null;
  }

  balance(account: string): number {
    return this.#balances.get(account) ?? 0;
  }

  grant(id: string): Grant | null {
    return this.#grants.get(id) ?? null;
  }

  expired(at: number, limit: number): Grant[] {
    const late = this.#openGrants().filter((grant) => grant.expiresAt <= at);
    return late.sort((a, b) => a.expiresAt - b.expiresAt || (a.id < b.id ? -1 : 1)).slice(0, limit);
  }

  nextExpiry(): number | null {
    const instants = this.#openGrants().map((grant) => grant.expiresAt);
    return instants.length === 0 ? null : Math.min(...instants);
  }

  heldFor(owner: string): number {
    return total(
      this.#openGrants()
        .filter((grant) => grant.account === owner)
        .map((grant) => grant.remaining),
    );
  }

  keySpent(key: string): number {
    return this.#keySpend.get(key) ?? 0;
  }

  isTrusted(escrow: string): boolean {
    return this.#trusted.has(escrow);
  }

  meanPay(classId: string): MeanPay {
    return this.#meanPays.get(classId) ?? NO_PAY;
  }

  payee(tab: string): Payee | null {
    return this.#payees.get(tab) ?? null;
  }

  heldBack(tab: string): number {
    const mine = [...this.#balances].filter(([account]) => account.startsWith(escrowAccount(tab, '')));
    return total(mine.map(([, amount]) => amount));
  }

  classesOf(tab: string): string[] {
    const first = escrowAccount(tab, '');
    const mine = [...this.#balances.keys()].filter((account) => account.startsWith(first));
    return mine.map((account) => account.slice(first.length)).sort();
  }

  tabSums(tab: string, at: number) {
    const { collected, lost, day, earned, step } = this.#tabSums.get(tab) ?? NO_SUMS;
    return { collected, lost, earnedToday: day === dayOf(at) ? earned : 0, step };
  }

  post({ transfer, legs, lines, grant, keySpend, trust, meanPays, payee, tabs }: Posting): void {
    if (this.#transfers.has(transfer.id)) throw new Error(`transfer ${transfer.id} is there already`);
    this.#transfers.set(transfer.id, transfer);
    for (const { account, amount } of legs) this.#balances.set(account, this.balance(account) + amount);
    for (const { owner, amount } of lines) {
      const before = this.#lines.get(owner) ?? [];
      const { kind, task, at } = transfer;
      const balance = (before.at(-1)?.balance ?? 0) + amount;
      const line = { number: ++this.#numbers, transfer: transfer.id, kind, task, amount, balance, at };
      before.push(line);
      this.#lines.set(owner, before);
    }
    if (grant !== null) {
      this.#grants.set(grant.id, grant);
      if (grant.state === 'open') this.#open.add(grant.id);
      else this.#open.delete(grant.id);
    }
    if (keySpend !== null) this.#keySpend.set(keySpend.key, this.keySpent(keySpend.key) + keySpend.amount);
    if (trust?.isTrusted === true) this.#trusted.add(trust.escrow);
    if (trust?.isTrusted === false) this.#trusted.delete(trust.escrow);
    for (const { class: classId, ...pay } of meanPays) this.#meanPays.set(classId, pay);
    if (payee?.payee === null) this.#payees.delete(payee.tab);
    else if (payee !== null) this.#payees.set(payee.tab, payee.payee);
    for (const { tab, earned, collected, lost, step } of tabs) {
      const before = this.#tabSums.get(tab) ?? NO_SUMS;
      const day = dayOf(transfer.at);
      this.#tabSums.set(tab, {
        collected: before.collected + collected,
        lost: before.lost + lost,
        day,
        earned: earned + (before.day === day ? before.earned : 0),
        step: step ?? before.step,
      });
    }
  }

  statement(owner: string, after: number, limit: number): StatementLine[] {
    return (this.#lines.get(owner) ?? []).filter(({ number }) => number > after).slice(0, limit);
  }

  totals(mayOwe: string): LedgerTotals {
    const balances = [...this.#balances];
    return {
      sum: total(balances.map(([, amount]) => amount)),
      accounts: balances.length,
      transfers: this.#transfers.size,
      overdrawn: balances.filter(([account, amount]) => amount < 0 && account !== mayOwe).length,
      openGrants: this.#open.size,
      granted: total(this.#openGrants().map((grant) => grant.remaining)),
      held: total(balances.filter(([account]) => account.startsWith('grant:')).map(([, amount]) => amount)),
    };
  }

  #openGrants(): Grant[] {
    return [...this.#open].flatMap((id) => this.#grants.get(id) ?? []);
  }
}

const NO_SUMS = { collected: 0, lost: 0, day: 0, earned: 0, step: 1 };

function total(amounts: readonly number[]): number {
  return amounts.reduce((sum, amount) => sum + amount, 0);
}
