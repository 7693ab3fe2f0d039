import { heldBack, releasedOf } from '../../router-worker/ledger/deposit.ts';
import type { Seat, SimTab } from './sim-tab.ts';

/** Micro-credits a token. The figure does not matter, only that all tokens cost the same. */
const PRICE = 10;

/** Pay, and what the router's own rule holds back of it. */
export class Money {
  /** Micro-credits of a tab's pay that stay held back. */
  readonly #deposit: number;

  constructor(depositTokens: number) {
    this.#deposit = depositTokens * PRICE;
  }

  pay({ tab, identity }: Seat, tokens: number): void {
    const amount = tokens * PRICE;
    const standing = { isTrusted: identity.standing === 'trusted', held: identity.escrow };
    const held = heldBack(amount, standing, this.#deposit);
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
    const released = releasedOf(identity.escrow, this.#deposit);
    tab.outcome.earned += released;
    identity.escrow -= released;
  }

  /** The run is over: what is held would be given back. */
  close({ outcome, identity }: SimTab): void {
    outcome.earned += identity.escrow;
  }
}
