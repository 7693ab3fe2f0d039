import { DurableObject } from 'cloudflare:workers';
import { ShoalError } from '../../shared/errors.ts';
import type { Env } from '../env.ts';
import type { Reply } from '../session/session-object.ts';
import { type AccountView, Ledger, type LedgerHealth } from './ledger.ts';
import { SqlLedgerStore } from './sql-ledger-store.ts';
import type {
  CreditOrder,
  DrawLimits,
  DrawOrder,
  DrawResult,
  LedgerOrder,
  OrderResult,
  PairOrder,
  StandingOrder,
  StatementLine,
  TabMoney,
} from './transfer.ts';

/** After a failed look for grants to close, ms: long enough not to spin on a lasting fault. */
const RETRY_MS = 60_000;

/** Doorman of {@link Ledger}: storage, alarm, RPC. One for the network; a request waits for it only when its session has nothing left to spend. */
export class LedgerObject extends DurableObject<Env> {
  readonly #ledger: Ledger;
  #armedAt = Number.POSITIVE_INFINITY;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const { storage } = ctx;
    const store = new SqlLedgerStore(storage.sql, (act) => storage.transactionSync(act));
    this.#ledger = new Ledger(store, () => Date.now());
    void ctx.blockConcurrencyWhile(async () => {
      this.#armedAt = (await storage.getAlarm()) ?? Number.POSITIVE_INFINITY;
    });
  }

  credit(order: CreditOrder): Reply<null> {
    return this.#reply(() => {
      this.#ledger.credit(order);
      return null;
    });
  }

  draw(order: DrawOrder, limits: DrawLimits): Reply<DrawResult> {
    return this.#reply(() => this.#ledger.draw(order, limits));
  }

  settle(orders: readonly LedgerOrder[]): Reply<OrderResult[]> {
    return this.#reply(() => this.#ledger.settle(orders));
  }

  standing(orders: readonly StandingOrder[]): Reply<null> {
    return this.#reply(() => {
      for (const order of orders) this.#ledger.standing(order);
      return null;
    });
  }

  /** Pairs a tab with an account. Told again under the same id it changes nothing. */
  pair(order: PairOrder): Reply<null> {
    return this.#reply(() => {
      this.#ledger.pair(order);
      return null;
    });
  }

  leave(tab: string, account: string): Reply<boolean> {
    return this.#reply(() => this.#ledger.leave(tab, account));
  }

  payeeOf(tab: string): Reply<string | null> {
    return this.#reply(() => this.#ledger.payeeOf(tab));
  }

  tabMoney(tabs: readonly string[]): Reply<TabMoney[]> {
    return this.#reply(() => tabs.map((tab) => this.#ledger.tabMoney(tab)));
  }

  account(account: string): Reply<AccountView> {
    return this.#reply(() => this.#ledger.account(account));
  }

  keySpent(keys: readonly string[]): Reply<number[]> {
    return this.#reply(() => keys.map((key) => this.#ledger.keySpent(key)));
  }

  statement(account: string, after: number, limit: number): Reply<StatementLine[]> {
    return this.#reply(() => this.#ledger.statement(account, after, limit));
  }

  health(): Reply<LedgerHealth> {
    return this.#reply(() => this.#ledger.health());
  }

  override async alarm(): Promise<void> {
    this.#armedAt = Number.POSITIVE_INFINITY;
    try {
      while (this.#ledger.expire() > 0);
      this.#arm(this.#ledger.nextExpiry());
    } catch (cause) {
      console.error(JSON.stringify({ event: 'ledger_expiry_failed', reason: String(cause) }));
      this.#arm(Date.now() + RETRY_MS);
    }
  }

  #reply<T>(act: () => T): Reply<T> {
    try {
      const value = act();
      this.#arm(this.#ledger.nextExpiry());
      return { ok: true, value };
    } catch (cause) {
      const error = ShoalError.from(cause);
      if (error.code === 'internal_error') {
        console.error(JSON.stringify({ event: 'ledger_failed', reason: String(cause) }));
      }
      return { ok: false, error: error.toWire() };
    }
  }

  /** Moves the alarm forward, never back. The write is part of the event's own commit. */
  #arm(at: number | null): void {
    if (at === null || at >= this.#armedAt) return;
    this.#armedAt = at;
    void this.ctx.storage.setAlarm(at);
  }
}
