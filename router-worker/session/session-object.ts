import { DurableObject } from 'cloudflare:workers';
import { type Bytes, randomBytes, toBase64Url } from '../../shared/bytes.ts';
import type { UncheckedReason } from '../../shared/checking/verdict.ts';
import { type ErrorCode, ShoalError, type WireError } from '../../shared/errors.ts';
import { RECEIPT_KEPT_MS } from '../../shared/limits.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import { lease as leaseSchema } from '../../shared/protocol/lease.ts';
import type { SessionSettings } from '../../shared/protocol/session-api.ts';
import { tailOf, taskId } from '../../shared/protocol/task-ids.ts';
import { receipt as receiptSchema } from '../../shared/receipt/receipt.ts';
import type { Completion } from '../../shared/sealed-task/completion.ts';
import { parsePayload, type Signed } from '../../shared/signing/signed-statement.ts';
import { billedTasks } from '../billing/billed-tasks.ts';
import { Cashier, type HoldOrder } from '../billing/cashier.ts';
import type { PartWord } from '../billing/grant.ts';
import { ownPrice, type PriceView } from '../billing/price-view.ts';
import { SqlPurseStore } from '../billing/purse-store.ts';
import type { Env } from '../env.ts';
import { routerKeys, unknownTask } from '../keys/router-keys.ts';
import { webhookSecret } from '../keys/webhook-secret.ts';
import { ledgerStub } from '../ledger/ledger-address.ts';
import { logStub } from '../log/log-address.ts';
import { tellNetwork } from '../network/tell-network.ts';
import { AllPools } from '../pool/all-pools.ts';
import { unwrap } from '../pool/session-calls.ts';
import type { CheckOutcome, Task, TaskTerms } from '../task/task.ts';
import { openAnswer, sealAnswer } from './answer-seal.ts';
import { BackgroundMarks } from './background-marks.ts';
import { type BackgroundCall, BackgroundRuns, type BackgroundStart } from './background-runs.ts';
import { KeptAnswers } from './kept-answers.ts';
import { drainToLog } from './log-outbox.ts';
import { runInBackground } from './run-in-background.ts';
import { sendWebhook, type WebhookOutcome } from './send-webhook.ts';
import { type CommitCircumstances, type Decision, Session, type TaskView, viewOf } from './session.ts';
import { SessionFeed } from './session-feed.ts';
import { LOG_AFTER_MS, SqlSessionStore } from './session-store.ts';
import {
  type AdmissionOrder,
  type AdmittedTask,
  type ListedTask,
  type SessionView,
  SetUpSession,
} from './set-up-session.ts';
import { type WebhookCounts, type WebhookEvent, WebhookQueue } from './webhook-queue.ts';

/** An answer across an RPC hop: errors of the vocabulary travel as data, because thrown ones lose their class. */
export type Reply<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: WireError };

/** After a failed sweep, ms: long enough not to spin on a lasting fault. */
const SWEEP_RETRY_MS = 30_000;

/** An answer that several tabs wrote at: its reader says within so long after its end whether they wrote the same, ms. A Worker that died says nothing: then it counts as given. */
const READER_WORD_MS = 30_000;

/** How often the followers of a session are looked after, ms. */
const FEED_TICK_MS = 5_000;

/** How long a write to a reader that went away takes to fail, ms, with room to spare. */
const PROBE_MS = 200;

/** An answer that was signed just now may still be on its way here from whoever reads it, ms. */
const KEEPING_MS = 5_000;

/** When an answer that is not there may be, ms. */
const ANSWER_RETRY_MS = 1_000;

/** How often a session that runs something in the background looks whether it was lost, ms. */
const BACKGROUND_LOOK_MS = 30_000;

/** What is kept of a task: its answer, or why there is none. */
export type KeptAnswer = { readonly answer: Completion } | { readonly error: WireError };

/** A session as its owner sees it, with what became of its events. */
export type ShownSession = Omit<SessionView, 'webhook'> & {
  readonly webhook: ({ readonly url: string } & WebhookCounts) | null;
};

/** What an event says of a task: nothing that anybody wrote. */
function toldOf({ id, status, outcome, model, usage, verdict, sure, receipt }: TaskView) {
  return { id, object: 'task', status, outcome, model, usage, verdict, sure, receipt };
}

function pendingAnswer(): ShoalError {
  return new ShoalError('answer_pending', 'The answer is not written yet.', { retryAfterMs: ANSWER_RETRY_MS });
}

function notKept(): ShoalError {
  return new ShoalError('answer_not_kept', 'No answer of this task is kept for you.');
}

/** Doorman of {@link Session}, and of {@link SetUpSession} where somebody set it up: storage, alarm, RPC. */
export class SessionObject extends DurableObject<Env> {
  #store: SqlSessionStore;
  #setUp: SetUpSession;
  readonly #feed = new SessionFeed(() => Date.now());
  #feeding: ReturnType<typeof setInterval> | null = null;
  #kept: KeptAnswers;
  #webhook: WebhookQueue;
  #marks: BackgroundMarks;
  readonly #background: BackgroundRuns;
  #awake: ReturnType<typeof setInterval> | null = null;
  #cashier: Cashier;
  #session: Promise<Session> | null = null;
  /** When the one alarm goes off; it stands for all deadlines. */
  #armedAt = Number.POSITIVE_INFINITY;
  /** What the clock decided, until the pool has heard of it. If this is lost, the pool's own deadlines close what is open. */
  #untold: Awaited<ReturnType<Session['sweep']>> = [];

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#store = this.#newStore();
    this.#setUp = this.#newSetUp();
    this.#kept = this.#newKept();
    this.#webhook = this.#newWebhook();
    this.#marks = new BackgroundMarks(ctx.storage.sql);
    this.#background = new BackgroundRuns({
      begun: (task) => {
        this.#marks.add(task);
        this.#arm(Date.now() + BACKGROUND_LOOK_MS);
      },
      over: (task) => this.#marks.remove(task),
      run: (call, named) => runInBackground(env, call, named),
      failed: async (task, body) => void (await this.keepAnswer(tailOf(task), body as KeptAnswer)),
      log: (event, fields) => console.log(JSON.stringify({ event, ...fields })),
    });
    this.#cashier = this.#newCashier();
    void ctx.blockConcurrencyWhile(async () => {
      this.#armedAt = (await ctx.storage.getAlarm()) ?? Number.POSITIVE_INFINITY;
    });
  }

  #newStore(): SqlSessionStore {
    return new SqlSessionStore(
      this.ctx.storage.sql,
      RECEIPT_KEPT_MS,
      (at) => this.#arm(at),
      (task, receipt) => this.#heard(task, receipt),
    );
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

  /** The task was not begun: its money is free again, and its place in the session. Says nothing of one that began. */
  releaseHold(tail: TaskTail): Promise<Reply<null>> {
    return this.#reply(async () => {
      this.#cashier.release(tail);
      this.#giveBack([tail]);
      return null;
    });
  }

  /** What became of these tasks, by the word of the router's own reader: only what was given is charged. */
  tellRead(tails: readonly TaskTail[], word: PartWord): Promise<Reply<null>> {
    return this.#reply(async (session) => {
      this.#cashier.tell(tails, word);
      this.#arm(Date.now() + LOG_AFTER_MS);
      if (word === 'given') return null;
      const discarded = tails.filter((tail) => this.#cashier.holdOf(tail)?.discarded === true);
      this.#setUp.discarded(discarded);
      for (const tail of discarded) this.#kept.drop(tail); // Or it could be fetched, and nobody pays for it.
      await this.#sayDiscarded(session);
      return null;
    });
  }

  /** A receipt that was signed before its answer was thrown away is signed again: only then is its task settled. */
  async #sayDiscarded(session: Session): Promise<void> {
    for (const tail of this.#cashier.toSayDiscarded) await session.priceAgain(tail);
  }

  #newSetUp(): SetUpSession {
    return new SetUpSession(
      this.ctx.storage.sql,
      () => Date.now(),
      (at) => this.#arm(at),
    );
  }

  #newKept(): KeptAnswers {
    return new KeptAnswers(this.ctx.storage.sql, () => Date.now());
  }

  #newWebhook(): WebhookQueue {
    return new WebhookQueue({
      sql: this.ctx.storage.sql,
      now: () => Date.now(),
      wake: (at) => this.#arm(at),
      send: (event) => this.#sendEvent(event),
    });
  }

  // ---- a session that somebody set up --------------------------------------------------------------------------------

  setUp(id: string, owner: string, settings: SessionSettings): Promise<Reply<ShownSession>> {
    return this.#reply(async () => {
      this.#setUp.create(id, owner, settings);
      return this.#shown(owner);
    });
  }

  settings(owner: string): Promise<Reply<SessionSettings>> {
    return this.#reply(async () => this.#setUp.settings(owner));
  }

  sessionView(owner: string): Promise<Reply<ShownSession>> {
    return this.#reply(async () => {
      this.#setUp.settings(owner);
      await this.#releaseLost();
      return this.#shown(owner);
    });
  }

  /** `body` is the caller's: it is validated together with what it does not change. */
  patch(owner: string, body: unknown, routerHost: string): Promise<Reply<ShownSession>> {
    return this.#reply(async () => {
      this.#setUp.patch(owner, body, routerHost);
      if (this.#setUp.calling() === null) this.#webhook.clear();
      if (this.#setUp.storing() === null) this.#kept.clear();
      const view = this.#shown(owner);
      this.#feed.tell('session', view);
      return view;
    });
  }

  /**
   * Ends the session: stops what is being written, and frees what is held. Gives the number of tasks that were stopped. A pool that cannot be reached leaves everything
   * as it was, so that it can be tried again.
   */
  remove(owner: string): Promise<Reply<number>> {
    return this.#reply(async () => {
      const stopped = new Set<TaskTail>();
      for (let left = this.#setUp.running(owner); left.length > 0; ) {
        await new AllPools(this.env).stop(left);
        for (const tail of left) stopped.add(tail);
        left = this.#setUp.running(owner).filter((tail) => !stopped.has(tail)); // Admitted meanwhile.
      }
      this.#setUp.end(owner);
      this.#kept.clear();
      this.#webhook.clear();
      this.#feed.end('session_deleted');
      return stopped.size;
    });
  }

  /** Takes a place for a task; with `dry` it is only asked for. */
  admit(owner: string, order: AdmissionOrder, dry: boolean): Promise<Reply<null>> {
    return this.#reply(async () => {
      try {
        this.#setUp.admit(owner, order, dry);
      } catch (cause) {
        // Places of tasks that were refused, or whose client left before they had a tab, are free: the pool knows.
        if (!(await this.#releaseLost())) throw cause;
        this.#setUp.admit(owner, order, dry);
      }
      if (!dry) this.#feed.tell('task', { id: taskId(order.task), object: 'task', status: 'queued' });
      return null;
    });
  }

  /** Tasks of the session, the newest first. */
  tasks(owner: string, after: TaskTail | null, limit: number): Promise<Reply<{ data: ListedTask[]; more: boolean }>> {
    return this.#reply(async (session) => {
      this.#setUp.settings(owner);
      await this.#releaseLost();
      const { tasks, more } = this.#setUp.page(owner, after, limit);
      return { data: tasks.map((task) => this.#listed(session, task)), more };
    });
  }

  /** Server-sent events: the session and what is under way, then every change of either. */
  events(owner: string): Promise<Reply<ReadableStream<Uint8Array>>> {
    return this.#reply(async (session) => {
      this.#setUp.settings(owner);
      if (this.#feed.isFull) {
        this.#feed.probe();
        await new Promise((resolve) => setTimeout(resolve, PROBE_MS));
      }
      const { readable, writable } = new IdentityTransformStream();
      const writer = writable.getWriter();
      const gone = this.#feed.follow(
        {
          write: (bytes: Bytes) => writer.write(bytes),
          close: () => void writer.close().catch(() => undefined),
          cut: () => void writer.abort().catch(() => undefined),
        },
        [
          { event: 'session', data: this.#shown(owner) },
          ...this.#setUp.underWay().map((task) => ({ event: 'task', data: this.#listed(session, task) })),
        ],
      );
      writer.closed.catch(gone);
      this.#feeding ??= setInterval(() => this.#feedTick(), FEED_TICK_MS);
      return readable;
    });
  }

  /** A timer keeps the object awake, so it runs only while somebody follows. */
  #feedTick(): void {
    this.#feed.tick();
    if (this.#feed.size > 0 || this.#feeding === null) return;
    clearInterval(this.#feeding);
    this.#feeding = null;
  }

  #listed(session: Session, { tail, queued }: AdmittedTask): ListedTask {
    try {
      return session.view(tail);
    } catch {
      return queued; // It has no lease yet.
    }
  }

  /** Gives back the places of tasks that the pool does not know: they never got a tab. True when there were any. */
  async #releaseLost(): Promise<boolean> {
    const awaiting = this.#setUp.awaiting();
    if (awaiting.length === 0) return false;
    const inHand = new Set(await new AllPools(this.env).inHand(awaiting));
    const lost = awaiting.filter((tail) => !inHand.has(tail));
    this.#giveBack(lost);
    return lost.length > 0;
  }

  #giveBack(tails: readonly TaskTail[]): void {
    for (const tail of this.#setUp.release(tails)) {
      const task = { id: taskId(tail), object: 'task', status: 'not_begun' };
      this.#feed.tell('task', task);
      if (this.#setUp.calling() !== null) this.#webhook.tell('task.not_begun', tail, task);
    }
  }

  #heard(task: Task, signedReceipt: Signed | null): void {
    const price = signedReceipt === null ? null : parsePayload('receipt', receiptSchema, signedReceipt).price;
    const before = this.#setUp.stateOf(task.task);
    if (!this.#setUp.heard(task, price?.charged ?? null)) return;
    const view = viewOf(task, signedReceipt !== null);
    this.#feed.tell('task', view);
    if (before === this.#setUp.stateOf(task.task) || task.phase === 'running' || this.#setUp.calling() === null) return;
    this.#webhook.tell(task.phase === 'ended' ? 'task.ended' : 'task.answered', task.task, toldOf(view));
  }

  /** The session as its owner sees it. */
  #shown(owner: string): ShownSession {
    const view = this.#setUp.view(owner);
    return { ...view, webhook: view.webhook === null ? null : { ...view.webhook, ...this.#webhook.counts() } };
  }

  /** One attempt to tell whoever the session names. The text of the answer goes along where it is kept. */
  async #sendEvent({ id, type, tail, at, data }: WebhookEvent): Promise<WebhookOutcome> {
    const called = this.#setUp.calling();
    if (called === null) return { isTaken: false, why: 'nobody is called', isFinal: true };
    try {
      const keys = await routerKeys(this.env.SHOAL_ROUTER_SECRET);
      const kept = await this.#keptOf(tail);
      if (kept !== null && this.#awaitsWord(tail)) {
        return { isTaken: false, why: 'the rest of the request is waited for', isFinal: false };
      }
      const told = {
        ...{ session: called.id, ...data },
        ...(kept !== null && ('answer' in kept ? { answer: kept.answer.choices[0]?.message.content ?? '' } : kept)),
      };
      const body = JSON.stringify({ type, timestamp: new Date(at).toISOString(), data: told });
      const secret = await webhookSecret(keys, called.id, called.url);
      return await sendWebhook(fetch, { url: called.url, id, body, secret, at: Date.now() });
    } catch (cause) {
      console.error(JSON.stringify({ event: 'webhook_failed', reason: String(cause) }));
      return { isTaken: false, why: 'a fault of the router', isFinal: false };
    }
  }

  // ---- answers that are kept -----------------------------------------------------------------------------------------

  /** Keeps what became of a task, sealed, if the session stores. Says whether it did. Called by the router itself. */
  keepAnswer(tail: TaskTail, kept: KeptAnswer): Promise<Reply<boolean>> {
    return this.#reply(async () => {
      const id = this.#setUp.storing();
      if (id === null) return false;
      const keys = await routerKeys(this.env.SHOAL_ROUTER_SECRET);
      const sealed = await sealAnswer(keys, id, tail, JSON.stringify(kept));
      if (this.#setUp.storing() === null) return false; // Deleted meanwhile.
      if ('answer' in kept && this.#cashier.holdOf(tail)?.discarded === true) return false;
      const isKept = this.#kept.keep(tail, sealed);
      const dueAt = this.#kept.nextDueAt();
      if (dueAt !== null) this.#arm(dueAt);
      return isKept;
    });
  }

  /** The answer of one of the owner's tasks, with the verdict as it is now. Throws `task_not_found`, `answer_pending`, `answer_not_kept`, or what the task failed of. */
  answer(owner: string, tail: TaskTail): Promise<Reply<Completion>> {
    return this.#reply(async (session) => {
      if (!this.#isOf(owner) || this.#setUp.storing() === null) throw notKept();
      await this.#closeLost();
      if (this.#awaitsWord(tail)) throw pendingAnswer();
      const kept = await this.#keptOf(tail);
      if (kept === null) throw this.#whyNone(session, tail);
      if ('error' in kept) throw ShoalError.fromWire(kept.error);
      const { verdict, sure } = session.view(tail);
      const { answer } = kept;
      return { ...answer, shoal: { ...answer.shoal, verdict: verdict ?? answer.shoal.verdict, sure } };
    });
  }

  /** Whether it is not known yet if the answer is given, or thrown away and not charged: whoever could have it before would have it for nothing. */
  #awaitsWord(tail: TaskTail): boolean {
    const hold = this.#cashier.holdOf(tail);
    return hold?.wordMs !== undefined && hold.word === undefined;
  }

  /** Null where nothing is kept of the task. */
  async #keptOf(tail: TaskTail): Promise<KeptAnswer | null> {
    const id = this.#setUp.storing();
    const sealed = this.#kept.read(tail);
    if (id === null || sealed === null) return null;
    const keys = await routerKeys(this.env.SHOAL_ROUTER_SECRET);
    return JSON.parse(await openAnswer(keys, id, tail, sealed)) as KeptAnswer;
  }

  /** Stops one of the owner's tasks, as a client that hangs up does. Gives the task as it is then. Throws `task_not_found`. */
  stopTask(owner: string, tail: TaskTail): Promise<Reply<ListedTask>> {
    return this.#reply(async (session) => {
      if (!this.#isOf(owner)) throw unknownTask();
      const task = this.#setUp.task(owner, tail);
      const state = this.#setUp.stateOf(tail);
      if (state === 'waiting' || state === 'answering') await new AllPools(this.env).stop([tail]);
      return this.#listed(session, task);
    });
  }

  /** Goes on with a request when its client has gone. Throws `session_not_found` or `session_busy`. */
  runInBackground(owner: string, call: BackgroundCall): Promise<Reply<BackgroundStart>> {
    return this.#reply(async () => {
      this.#setUp.settings(owner);
      const start = this.#background.begin(call);
      this.#awake ??= setInterval(() => this.#stayAwake(), FEED_TICK_MS);
      return start;
    });
  }

  /** Requests in the background died with the object that ran them: their tabs stop, and whoever asks for an answer hears why there is none, and pays nothing. */
  async #closeLost(): Promise<void> {
    const lost = this.#marks.all().filter((task) => !this.#background.has(task));
    if (lost.length === 0) return;
    const tails = lost.map(tailOf);
    // Said before they stop: what nobody can be given is not charged. An answer that was kept is there to be fetched.
    await this.tellRead(
      tails.filter((tail) => this.#kept.read(tail) === null),
      'discarded',
    );
    await new AllPools(this.env).stop(tails);
    const error = new ShoalError(
      'internal_error',
      'The router lost the request before its answer was written.',
    ).toWire();
    for (const task of lost) {
      await this.keepAnswer(tailOf(task), { error }); // If its answer was kept, that stays.
      this.#marks.remove(task);
    }
  }

  /** A timer keeps the object awake, so it runs only while there is work in memory. */
  #stayAwake(): void {
    if (this.#background.size > 0 || this.#awake === null) return;
    clearInterval(this.#awake);
    this.#awake = null;
  }

  /** Whether the session was set up by this owner. Another's is not told apart from nobody's. */
  #isOf(owner: string): boolean {
    try {
      this.#setUp.settings(owner);
      return true;
    } catch {
      return false;
    }
  }

  #whyNone(session: Session, tail: TaskTail): ShoalError {
    const state = this.#setUp.stateOf(tail);
    if (state === null) return unknownTask();
    const pending = pendingAnswer();
    if (state === 'waiting') return pending;
    const view = session.view(tail);
    if (view.private) return notKept();
    const hasJustEnded = view.ended_at !== null && Date.now() - view.ended_at < KEEPING_MS;
    return view.ended_at === null || (hasJustEnded && view.usage !== null) ? pending : notKept();
  }

  // ---- tasks ---------------------------------------------------------------------------------------------------------

  open(terms: TaskTerms): Promise<Reply<null>> {
    return this.#reply(async (session) => {
      this.#setUp.opened(terms.task);
      session.open(terms);
      return null;
    });
  }

  committed(lease: Signed, commit: Signed, circumstances: CommitCircumstances): Promise<Reply<Decision>> {
    return this.#reply((session) => {
      const { task, private: isPrivate } = parsePayload('lease', leaseSchema, lease);
      // More than one tab may have written at it, and the router reads it: it will say whether they wrote the same.
      if (!isPrivate && session.hadOtherTabs(task)) this.#cashier.awaitWord(task, READER_WORD_MS);
      // The pool filters too, where it remembers the request; the session always does.
      const candidates = circumstances.candidates.filter(({ tab }) =>
        this.#setUp.mayRead(task, tab, circumstances.countries?.[tab] ?? null),
      );
      return session.committed(lease, commit, { ...circumstances, candidates });
    });
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
      const price = this.#cashier.price(tail) ?? ownPrice(this.#store, tail, Date.now());
      return { ...view, price: view.status === 'running' ? null : price };
    });
  }

  receipt(tail: TaskTail): Promise<Reply<Signed>> {
    return this.#reply(async (session) => {
      const receipt = session.receipt(tail);
      if (!this.#cashier.unsaid.includes(tail)) return receipt;
      throw new ShoalError('receipt_pending', 'What became of the answer is not known yet.', { retryAfterMs: 1000 });
    });
  }

  override async alarm(): Promise<void> {
    this.#armedAt = Number.POSITIVE_INFINITY;
    try {
      const session = await this.#open();
      await this.#closeLost();
      this.#untold.push(...(await session.sweep()));
      if (this.#untold.length > 0) await new AllPools(this.env).decided(this.#untold);
      this.#untold = [];
      await this.#sayDiscarded(session);
      // One of the two out of reach is no reason to keep from the other what it waits for.
      const told = await Promise.allSettled([
        drainToLog(
          this.#store,
          async (entries, receipts) => {
            unwrap(await logStub(this.env).append(entries));
            await tellNetwork(this.env, receipts);
          },
          this.#cashier.unsaid,
        ),
        this.#cashier.sweep(),
      ]);
      if (this.#setUp.sweep()) {
        this.#feed.end('session_expired');
        this.#kept.clear();
        this.#webhook.clear();
      }
      // Not waited for: a receiver that takes its time holds nothing up here.
      this.ctx.waitUntil(this.#webhook.drain());
      this.#kept.sweep();
      for (const result of told) if (result.status === 'rejected') throw result.reason;
      const next = [this.#store, this.#cashier, this.#setUp, this.#kept, this.#webhook]
        .map((part) => part.nextDueAt())
        .filter((at) => at !== null);
      if (this.#marks.all().length > 0) next.push(Date.now() + BACKGROUND_LOOK_MS);
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
    this.#setUp = this.#newSetUp();
    this.#kept = this.#newKept();
    this.#webhook = this.#newWebhook();
    this.#marks = new BackgroundMarks(this.ctx.storage.sql);
    this.#cashier = this.#newCashier();
    this.#session = null;
  }

  #open(): Promise<Session> {
    this.#session ??= routerKeys(this.env.SHOAL_ROUTER_SECRET).then(
      (keys) =>
        new Session(
          this.#store,
          keys,
          () => Date.now(),
          (tail) => this.#cashier.holdOf(tail),
        ),
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
