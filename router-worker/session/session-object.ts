import { DurableObject } from 'cloudflare:workers';
import { randomBytes, toBase64Url } from '../../shared/bytes.ts';
import type { UncheckedReason } from '../../shared/checking/verdict.ts';
import { type ErrorCode, ShoalError, type WireError } from '../../shared/errors.ts';
import { RECEIPT_KEPT_MS } from '../../shared/limits.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';
import { billedTasks } from '../billing/billed-tasks.ts';
import { Cashier, type HoldOrder, type PriceView } from '../billing/cashier.ts';
import { SqlPurseStore } from '../billing/purse-store.ts';
import type { Env } from '../env.ts';
import { routerKeys } from '../keys/router-keys.ts';
import { ledgerStub } from '../ledger/ledger-address.ts';
import { logStub } from '../log/log-address.ts';
import { poolStub } from '../pool/pool-address.ts';
import { unwrap } from '../pool/session-calls.ts';
import type { CheckOutcome, TaskTerms } from '../task/task.ts';
import { drainToLog } from './log-outbox.ts';
import { type CommitCircumstances, type Decision, Session, type TaskView } from './session.ts';
import { SqlSessionStore } from './session-store.ts';

/** An answer across an RPC hop: errors of the vocabulary travel as data, because thrown ones lose their class. */
export type Reply<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: WireError };

/** After a failed sweep, ms: long enough not to spin on a lasting fault. */
const SWEEP_RETRY_MS = 30_000;

/** Doorman of {@link Session}: storage, alarm, RPC. */
export class SessionObject extends DurableObject<Env> {
  #store: SqlSessionStore;
  #cashier: Cashier;
  #session: Promise<Session> | null = null;
  /** When the one alarm goes off; it stands for all deadlines. */
  #armedAt = Number.POSITIVE_INFINITY;
  /** What the clock decided, until the pool has heard of it. If this is lost, the pool's own deadlines close what is open. */
  #untold: Awaited<ReturnType<Session['sweep']>> = [];

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#store = this.#newStore();
    this.#cashier = this.#newCashier();
    void ctx.blockConcurrencyWhile(async () => {
      this.#armedAt = (await ctx.storage.getAlarm()) ?? Number.POSITIVE_INFINITY;
    });
  }

  #newStore(): SqlSessionStore {
    return new SqlSessionStore(this.ctx.storage.sql, RECEIPT_KEPT_MS, (at) => this.#arm(at));
  }

  #newCashier(): Cashier {
    return new Cashier({
      store: new SqlPurseStore(this.ctx.storage.sql),
      ledger: {
        draw: async (order, limits) => unwrap(await ledgerStub(this.env).draw(order, limits)),
        settle: async (orders) => unwrap(await ledgerStub(this.env).settle(orders)),
      },
      tasks: billedTasks(this.#store),
      now: () => Date.now(),
      newName: () => toBase64Url(randomBytes(16)),
      wake: (at) => this.#arm(at),
      log: (event, fields) => console.log(JSON.stringify({ event, ...fields })),
    });
  }

  /** Sets money aside before a task is given to a tab. Gives what is left for the next, micro-credits. */
  hold(order: HoldOrder): Promise<Reply<number>> {
    return this.#reply(() => this.#cashier.hold(order));
  }

  /** The task was not begun: its money is free again. */
  releaseHold(tail: TaskTail): Promise<Reply<null>> {
    return this.#reply(async () => {
      this.#cashier.release(tail);
      return null;
    });
  }

  open(terms: TaskTerms): Promise<Reply<null>> {
    return this.#reply(async (session) => {
      session.open(terms);
      return null;
    });
  }

  committed(lease: Signed, commit: Signed, circumstances: CommitCircumstances): Promise<Reply<Decision>> {
    return this.#reply((session) => session.committed(lease, commit, circumstances));
  }

  checkLeased(lease: Signed): Promise<Reply<Decision>> {
    return this.#reply((session) => session.checkLeased(lease));
  }

  handedOn(tail: TaskTail): Promise<Reply<Decision>> {
    return this.#reply((session) => session.handedOn(tail));
  }

  checkCommitted(lease: Signed, commit: Signed, handedOn: CheckOutcome['handedOn']): Promise<Reply<Decision>> {
    return this.#reply((session) => session.checkCommitted(lease, commit, handedOn));
  }

  checkRevealed(lease: Signed, reveal: Signed, leaves: readonly string[]): Promise<Reply<Decision>> {
    return this.#reply((session) => session.checkRevealed(lease, reveal, leaves));
  }

  checkFailed(
    tail: TaskTail,
    checker: string,
    reason: UncheckedReason,
    isBlameless: boolean,
  ): Promise<Reply<Decision>> {
    return this.#reply((session) => session.checkFailed(tail, checker, reason, isBlameless));
  }

  failed(tail: TaskTail, code: ErrorCode, attempt: number): Promise<Reply<Decision>> {
    return this.#reply((session) => session.failed(tail, code, attempt));
  }

  standing(tail: TaskTail): Promise<Reply<Decision | null>> {
    return this.#reply(async (session) => session.standing(tail));
  }

  /** The price is told after the commit: it depends on the level, and the tab knows the id too. */
  view(tail: TaskTail): Promise<Reply<TaskView & { readonly price: PriceView | null }>> {
    return this.#reply(async (session) => {
      const view = session.view(tail);
      return { ...view, price: view.status === 'running' ? null : this.#cashier.price(tail) };
    });
  }

  receipt(tail: TaskTail): Promise<Reply<Signed>> {
    return this.#reply(async (session) => session.receipt(tail));
  }

  override async alarm(): Promise<void> {
    this.#armedAt = Number.POSITIVE_INFINITY;
    try {
      const session = await this.#open();
      this.#untold.push(...(await session.sweep()));
      if (this.#untold.length > 0) await poolStub(this.env).decided(this.#untold);
      this.#untold = [];
      // One of the two out of reach is no reason to keep from the other what it waits for.
      const told = await Promise.allSettled([
        drainToLog(this.#store, async (entries) => unwrap(await logStub(this.env).append(entries))),
        this.#cashier.sweep(),
      ]);
      for (const result of told) if (result.status === 'rejected') throw result.reason;
      const next = [this.#store.nextDueAt(), this.#cashier.nextDueAt()].filter((at) => at !== null);
      if (next.length === 0) await this.#dissolve();
      else this.#arm(Math.min(...next));
    } catch (cause) {
      // An alarm that fails six times is gone for good: report, and arm it again ourselves.
      console.error(JSON.stringify({ event: 'session_sweep_failed', reason: String(cause) }));
      this.#arm(Date.now() + SWEEP_RETRY_MS);
    }
  }

  /** Nothing is kept any more: give the storage back, and be ready to begin again. */
  async #dissolve(): Promise<void> {
    await this.ctx.storage.deleteAll();
    this.#store = this.#newStore();
    this.#cashier = this.#newCashier();
    this.#session = null;
  }

  #open(): Promise<Session> {
    this.#session ??= routerKeys(this.env.SHOAL_ROUTER_SECRET).then(
      (keys) => new Session(this.#store, keys, () => Date.now()),
    );
    return this.#session;
  }

  async #reply<T>(act: (session: Session) => Promise<T>): Promise<Reply<T>> {
    try {
      return { ok: true, value: await act(await this.#open()) };
    } catch (cause) {
      const error = ShoalError.from(cause);
      if (error.code === 'internal_error') {
        console.error(JSON.stringify({ event: 'session_failed', reason: String(cause) }));
      }
      return { ok: false, error: error.toWire() };
    }
  }

  /** Moves the alarm forward, never back. The write is part of the event's own commit. */
  #arm(at: number): void {
    if (at >= this.#armedAt) return;
    this.#armedAt = at;
    void this.ctx.storage.setAlarm(at);
  }
}
