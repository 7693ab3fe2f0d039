/** What the ledger writes down. Stored: fields may be added, never repurposed. */

/** One side of a transfer: whole micro-credits, into the account when positive, out of it when negative. */
export interface Leg {
  readonly account: string;
  readonly amount: number;
}

export type TransferKind =
  /** The operator gives credits out of the faucet. */
  | 'credit'
  /** The day's allowance of somebody who has no account. */
  | 'allowance'
  /** A session is given money to spend, or more time for what it has. */
  | 'draw'
  /** One task is paid. */
  | 'settle'
  /** A session gives back what it did not spend. */
  | 'close'
  /** A grant was not given back in time. */
  | 'expire'
  /** A tab became trusted: what was held back is its own. */
  | 'release'
  /** A tab was found to cheat: what was held back is lost. */
  | 'forfeit'
  /** A tab was paired with an account. */
  | 'pair'
  /** What waited with a paired tab is its account's. */
  | 'collect'
  /** A tab is nobody's any more: what it earns from now on waits. */
  | 'leave';

/** Where credits come from. The only balance that may fall below zero: what it owes is what all others have. */
export const FAUCET = 'network:faucet';
/** The network's own. Pays nobody: what it paid, one could be paid for work between tabs of one's own. */
export const FEES = 'network:fees';

export const userAccount = (account: string) => `user:${account}`;
export const grantAccount = (grant: string) => `grant:${grant}`;
/** Fees of a payer's tasks, for those checks of its tasks that it is not charged for. */
export const checksAccount = (account: string) => `checks:${account}`;
export const tabAccount = (tab: string) => `tab:${tab}`;
/** Held back by class, as records of trust are kept. */
export const escrowAccount = (tab: string, classId: string) => `escrow:${tab}/${classId}`;

export type GrantState = 'open' | 'closed' | 'expired';

/** Money that one session may spend for one payer. */
export interface Grant {
  readonly id: string;
  readonly account: string;
  /** The API key that spends, null without one. */
  readonly key: string | null;
  readonly state: GrantState;
  /** What is in it, micro-credits: kept beside the balance of its account, so that each can be held against the other. */
  readonly remaining: number;
  readonly expiresAt: number;
}

/** A line of an account's statement. Money that a session holds is still the owner's: only what comes and goes for good is a line. */
export interface StatementLine {
  /** Grows by one with every line of the ledger. */
  readonly number: number;
  readonly transfer: string;
  readonly kind: TransferKind;
  readonly task: string | null;
  readonly amount: number;
  /** Of the owner, after this line: free and held together. */
  readonly balance: number;
  readonly at: number;
}

/** The operator's gift. */
export interface CreditOrder {
  readonly id: string;
  readonly account: string;
  /** Micro-credits. */
  readonly amount: number;
  /** For those checks of its tasks that it is not charged for. Left out: for its work. */
  readonly isForChecks?: boolean;
}

/** A session's wish for money. */
export interface DrawOrder {
  readonly id: string;
  readonly grant: string;
  readonly account: string;
  readonly key: string | null;
  /** With less than this the session cannot begin its task, micro-credits. */
  readonly need: number;
  /** What it would take, so that the next tasks need not ask. */
  readonly want: number;
}

/** Limits of whoever pays, as they are when the draw is asked for. No part of what must be the same when it is asked for again. */
export interface DrawLimits {
  /** Most that the key may ever spend, micro-credits; null: no limit. */
  readonly budget: number | null;
  /** Of somebody without an account: what the faucet fills it up to once a day, micro-credits; null: an account of its own. */
  readonly allowance: number | null;
}

export type DrawResult =
  | { readonly status: 'granted'; readonly amount: number; readonly expiresAt: number }
  /** Nothing was written. `free` is what there would be. */
  | { readonly status: 'refused'; readonly why: 'balance' | 'budget'; readonly free: number }
  /** The grant was given back, or had expired. */
  | { readonly status: 'over' };

/** A tab is an account's from now on. */
export interface PairOrder {
  /** Of this pairing, and of no other. */
  readonly id: string;
  readonly tab: string;
  readonly account: string;
}

/** Whose account is paid for what a tab does. */
export interface Payee {
  readonly account: string;
  /** The order that said so. */
  readonly order: string;
}

/** What a tab earned, micro-credits, each in whole steps. What was found false never counted. */
export interface TabMoney {
  /** Null: its pay waits. */
  readonly payee: string | null;
  /** Free, and waiting for an owner. */
  readonly waiting: number;
  /** Held back, in all classes: its own when it is trusted, as far as it is above the deposit. */
  readonly held: number;
  /** Given to the accounts of its owners. */
  readonly collected: number;
  /** Was held back, and lost with a lie. */
  readonly lost: number;
  /** Since midnight, UTC; free or held back. */
  readonly today: number;
  /** Each figure is a number of these; 1 for a tab that earned nothing yet. */
  readonly step: number;
}

/** What one tab earned with one task. */
export interface Pay {
  readonly tab: string;
  readonly class: string;
  readonly role: 'answer' | 'check';
  readonly amount: number;
}

/** What a session tells the ledger, in this order. */
export type LedgerOrder =
  | {
      readonly kind: 'settle';
      readonly id: string;
      readonly grant: string;
      readonly task: string;
      /** What the payer gives, micro-credits. */
      readonly charge: number;
      readonly pays: readonly Pay[];
    }
  | { readonly kind: 'close'; readonly id: string; readonly grant: string };

export type OrderResult =
  | { readonly status: 'done' }
  /** The grant was over, and its owner's free balance does not cover the charge: nothing was written. */
  | { readonly status: 'refused' };

/** What the pool tells of a tab. */
export interface StandingOrder {
  readonly id: string;
  readonly tab: string;
  readonly class: string;
  readonly standing: 'trusted' | 'untrusted' | 'fraud';
}
