import type { Bill } from '../billing/bill.ts';
import type { Purse } from '../billing/grant.ts';
import type { PurseStore } from '../billing/purse-store.ts';

/** A purse store for tests and simulations without workerd. Sits the same exam as the SQL one. */
export class MemoryPurseStore implements PurseStore {
  readonly #purses = new Map<string, Purse>();
  readonly #bills = new Map<string, Bill>();

  purse(name: string): Purse | null {
    return this.#purses.get(name) ?? null;
  }

  purses(): { readonly name: string; readonly purse: Purse }[] {
    const named = [...this.#purses].map(([name, purse]) => ({ name, purse }));
    return named.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  save(name: string, purse: Purse, bill: Bill | null): void {
    this.#purses.set(name, purse);
    if (bill !== null) this.#bills.set(bill.task, bill);
  }

  remove(name: string): void {
    this.#purses.delete(name);
  }

  bill(task: string): Bill | null {
    return this.#bills.get(task) ?? null;
  }

  forgetBills(endedBefore: number): void {
    for (const [task, { endedAt }] of this.#bills) if (endedAt < endedBefore) this.#bills.delete(task);
  }
}
