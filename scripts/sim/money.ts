import { depositOf, heldBack, type MeanPay, NO_PAY, releasedOf, withPay } from '../../router-worker/ledger/deposit.ts';
import type { Seat, SimTab } from './sim-tab.ts';

/** Micro-credits a token. The figure does not matter, only that all tokens cost the same. */
const PRICE = 10;

/** Pay, and what the router's own rule holds back of it. */
export class Money {
  readonly #depositTasks: number;
  /** Of the one class that there is. */
  #mean: MeanPay = NO_PAY;

  /** `depositTasks`: mean tasks' pay that stay held back. */
  constructor(depositTasks: number) {
    this.#depositTasks = depositTasks;
  }

  /** `at`: when an answer was written, ms; null for a check. */
  pay({ tab, identity }: Seat, tokens: number, at: number | null): void {
    const amount = tokens * PRICE;
    if (at !== null) this.#mean = withPay(this.#mean, amount, at);
    const standing = { isTrusted: identity.standing === 'trusted', held: identity.escrow };
    const held = heldBack(amount, standing, this.#deposit);
    tab.outcome.earned += amount - held;
    identity.escrow += held;
  }

  get #deposit(): number {
    return depositOf(this.#mean, this.#depositTasks);
  }

  /** Work that was outvoted is not paid. */
  refuse({ tab }: Seat, tokens: number): void {
    tab.outcome.lost += tokens * PRICE;
  }

  /** Confirmed fraud, or a key that was left behind: what is held is lost. */
  forfeit({ tab, identity }: Seat): void {
    tab.outcome.lost += identity.escrow;
    identity.escrow = 0;
  }

  /** The tab is trusted: what is held beyond the deposit is its own. */
  release({ tab, identity }: Seat): void {
    const released = releasedOf(identity.escrow, this.#deposit);
    tab.outcome.earned += released;
    identity.escrow -= released;
  }

  /** The run is over: what is held would be given back. */
  close({ outcome, identity }: SimTab): void {
    outcome.earned += identity.escrow;
  }
}
