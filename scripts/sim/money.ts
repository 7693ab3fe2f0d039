import type { Seat, SimTab } from './sim-tab.ts';

/** Micro-credits a token. The figure does not matter, only that all tokens cost the same. */
const PRICE = 10;

/** Pay and what is held back of it. A model: half of each pay is held until the tab is trusted and its deposit is together. */
export class Money {
  /** Micro-credits of a tab's pay that stay held back. */
  readonly #deposit: number;

  constructor(depositTokens: number) {
    this.#deposit = depositTokens * PRICE;
  }

  pay({ tab, identity }: Seat, tokens: number): void {
    const amount = tokens * PRICE;
    const isHeld = identity.standing !== 'trusted' || identity.escrow < this.#deposit;
    const held = isHeld ? Math.floor(amount / 2) : 0;
    tab.outcome.earned += amount - held;
    identity.escrow += held;
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
    const released = Math.max(0, identity.escrow - this.#deposit);
    tab.outcome.earned += released;
    identity.escrow -= released;
  }

  /** The run is over: what is held would be given back. */
  close({ outcome, identity }: SimTab): void {
    outcome.earned += identity.escrow;
  }
}
