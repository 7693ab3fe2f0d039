import type { MeanPay } from './deposit.ts';
import type { Grant, Leg, Payee, StatementLine, TransferKind } from './transfer.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/** Number of a day, UTC. */
export function dayOf(at: number): number {
  return Math.floor(at / DAY_MS);
}

export interface StoredTransfer {
  readonly id: string;
  readonly kind: TransferKind;
  readonly task: string | null;
  /** What was asked for, as JSON: a repetition must be the same text. */
  readonly content: string;
  /** What was answered, as JSON. */
  readonly result: string;
  readonly at: number;
}

/** What a transfer adds to the sums of a tab, micro-credits. */
export interface TabSums {
  readonly tab: string;
  readonly earned: number;
  readonly collected: number;
  readonly lost: number;
  /** In what steps this is told from now on; null: as before. */
  readonly step: number | null;
}

/** The sums of a tab, micro-credits. */
export interface KeptTabSums {
  readonly collected: number;
  readonly lost: number;
  readonly earnedToday: number;
  readonly step: number;
}

/** Everything that one transfer changes. */
export interface Posting {
  readonly transfer: StoredTransfer;
  readonly legs: readonly Leg[];
  /** What comes to owners of accounts for good, or goes. */
  readonly lines: readonly { readonly owner: string; readonly amount: number }[];
  readonly grant: Grant | null;
  /** What a key may spend less from now on, or more again. */
  readonly keySpend: { readonly key: string; readonly amount: number } | null;
  readonly trust: { readonly escrow: string; readonly isTrusted: boolean } | null;
  /** What answers are paid from now on, by class. */
  readonly meanPays: readonly (MeanPay & { readonly class: string })[];
  /** Whom a tab earns for from now on; null: nobody. */
  readonly payee: { readonly tab: string; readonly payee: Payee | null } | null;
  readonly tabs: readonly TabSums[];
}

export interface LedgerTotals {
  /** Of all balances: 0, or the ledger is broken. */
  readonly sum: number;
  readonly accounts: number;
  readonly transfers: number;
  /** Balances below zero that may not be. */
  readonly overdrawn: number;
  readonly openGrants: number;
  /** What open grants say that they have. */
  readonly granted: number;
  /** What the accounts of all grants have. */
  readonly held: number;
}

/** What the ledger keeps: synchronous, and one posting is one transaction. */
export interface LedgerStore {
  transfer(id: string): StoredTransfer | null;
  /** 0 for an account that nothing was ever written to. */
  balance(account: string): number;
  grant(id: string): Grant | null;
  /** Open grants whose time is over, the oldest first. */
  expired(at: number, limit: number): Grant[];
  /** When the next open grant expires; null when none is open. */
  nextExpiry(): number | null;
  /** In the open grants of an owner, micro-credits. */
  heldFor(owner: string): number;
  keySpent(key: string): number;
  isTrusted(escrow: string): boolean;
  /** Of the answers of a class. */
  meanPay(classId: string): MeanPay;
  payee(tab: string): Payee | null;
  /** In all escrow accounts of a tab, micro-credits. */
  heldBack(tab: string): number;
  /** Classes in which a tab was paid with something held back: in each that it was ever paid in, until it is trusted. */
  classesOf(tab: string): readonly string[];
  /** `earnedToday`: on the day of this instant, UTC. */
  tabSums(tab: string, at: number): KeptTabSums;
  /** Writes all of it or nothing. Throws, and writes nothing, when the transfer's id is there already. */
  post(posting: Posting): void;
  /** Lines of an owner with a higher number than `after`, oldest first. */
  statement(owner: string, after: number, limit: number): StatementLine[];
  totals(mayOwe: string): LedgerTotals;
}
