import { type MeanPay, NO_PAY } from '../ledger/deposit.ts';
import type { LedgerStore, LedgerTotals, Posting, StoredTransfer } from '../ledger/ledger-store.ts';
import type { Grant, StatementLine } from '../ledger/transfer.ts';

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

  post({ transfer, legs, lines, grant, keySpend, trust, meanPays }: Posting): void {
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

function total(amounts: readonly number[]): number {
  return amounts.reduce((sum, amount) => sum + amount, 0);
}
