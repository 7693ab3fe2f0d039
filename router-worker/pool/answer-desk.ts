import { type ErrorCode, ShoalError } from '../../shared/errors.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Lease } from '../../shared/protocol/lease.ts';
import { ANYWHERE } from '../../shared/protocol/placement.ts';
import { type AnswerCommit, answerCommit } from '../../shared/receipt/statements.ts';
import { parsePayload, type Signed } from '../../shared/signing/signed-statement.ts';
import type { Allocator, Leased, Seat } from '../allocation/allocator.ts';
import type { Decision } from '../session/session.ts';
import type { TaskTerms } from '../task/task.ts';
import { askedOf } from './asked-of.ts';
import type { CheckDesk } from './check-desk.ts';
import type { ActiveLease, KnownLease, LeaseBook } from './lease-book.ts';
import type { LeaseWant, PoolPorts } from './pool-ports.ts';
import { failedEvent, lost, noTab, overloaded } from './stream-errors.ts';
import type { Tab } from './tab.ts';
import type { TabRecords } from './tab-records.ts';
import type { TabRoster } from './tab-roster.ts';
import type { ServedTask, TaskBook } from './task-book.ts';
import { type StreamSink, TaskStream } from './task-stream.ts';
import type { WaitingLine, WaitingRequest } from './waiting-line.ts';

/** What the desk needs of its pool. */
export interface AnswerDeskHost {
  readonly ports: PoolPorts;
  readonly roster: TabRoster;
  readonly leases: LeaseBook;
  readonly tasks: TaskBook;
  readonly waiting: WaitingLine;
  readonly allocator: Allocator<WaitingRequest>;
  readonly checks: CheckDesk;
  /** Frees the tab's slot, and serves who waits for it. */
  release(number: number): ActiveLease | null;
  decide(task: TaskTail, decision: Decision): Promise<void>;
  readonly records: TabRecords;
  /** Sets a tab free that works for the network itself. */
  makeRoom(classes: readonly string[]): void;
}

/** Of a tab that may not serve, and is asked by the network itself whether it can again. */
const LAST_RANK = 9;

const LATE = new ShoalError(
  'deadline_exceeded',
  'The answer was not written by the deadline that the session gives it.',
);
/** What says of a tab that it did not bring an answer to its end. The other reasons are the client's, or the prompt's. */
const TABS_FAULT: readonly ErrorCode[] = ['tab_lost', 'deadline_exceeded', 'engine_failed'];

/** Tabs that are tried for one answer before its first frame. */
const MAX_ATTEMPTS = 3;

/** A client that has waited so long for a first frame is told that it failed, ms: one more tab would take as long again. */
const REPLACED_WITHIN_MS = 2 * 60_000;

/** How long a tab may take to send the frames of an ended task again, ms. */
const REPLAY_MS = 15_000;

/** Answers, from the request to the commit: finds a tab, follows it, and says what became of it. */
export class AnswerDesk {
  readonly #host: AnswerDeskHost;

  constructor(host: AnswerDeskHost) {
    this.#host = host;
  }

  /** Finds a tab for a task, now or when one is free; everything that follows is told on the stream. */
  request(want: LeaseWant, sink: StreamSink): TaskStream {
    const { tasks, waiting, ports } = this.#host;
    const { served, stream } = tasks.open(want.task, sink);
    served.placement = want.claim.bindsCheckers ? want.claim : ANYWHERE;
    served.deadlineAt = want.deadlineAt;
    ports.busy();
    if (want.only !== null) {
      this.#leaseNow(want);
      return stream;
    }
    const request = { want, stream };
    waiting.join(request);
    this.serveLine();
    if (!waiting.has(request)) return stream;
    this.#host.makeRoom(want.variants.map((variant) => variant.class));
    const out = waiting.stay(request);
    if (out !== null) this.#refuse(out.want.task, overloaded('All tabs are busy and the queue is full.'));
    return stream;
  }

  /**
   * The parts of one request, in one call: each is a request of its own. Those from the `mostWaiting`th that found no free tab on are left out, so that one
   * request does not fill the line.
   */
  requestMany(wants: readonly LeaseWant[], sinkOf: () => StreamSink, mostWaiting: number): TaskStream[] {
    const { waiting } = this.#host;
    const before = waiting.length;
    const streams: TaskStream[] = [];
    for (const want of wants) {
      if (waiting.length - before >= mostWaiting) break;
      streams.push(this.request(want, sinkOf()));
    }
    return streams;
  }

  /** Leases what can be leased to those who wait, and refuses those whom nobody serves any more. */
  serveLine(isTick = false): void {
    const { allocator, waiting } = this.#host;
    for (const step of allocator.steps(() => this.seats(null), isTick)) {
      const { request } = step;
      waiting.left(request);
      if (!request.stream.isOpen) continue;
      if (step.do === 'refuse') this.#refuse(request.want.task, noTab(request.want));
      else this.#begin(request.want, step.choice);
    }
  }

  /** Who may answer. A tab that may not by its record is among them when it alone is meant: it is asked by the network itself whether it can again. */
  seats(only: string | null): Seat[] {
    const { roster, records } = this.#host;
    return roster.seats((tab, id) => records.rank(tab, id) ?? (only === null ? null : LAST_RANK), only);
  }

  /** For whoever means one tab alone, and does not wait for it. */
  #leaseNow(want: LeaseWant): void {
    const { allocator } = this.#host;
    const choice = allocator.choose(this.seats(want.only), askedOf(want));
    if (choice.do === 'lease') {
      // On its page it must look like any other's: beside tabs that were thought of, and lost.
      const usual = allocator.choose(this.seats(null), { ...askedOf(want), only: null, prefer: want.only });
      const [chosen, ...rest] = choice.considered;
      const others = usual.do === 'lease' ? usual.considered.slice(1) : rest;
      const worse = others.filter(({ tab, scoreMs }) => tab !== choice.tab && scoreMs >= choice.expected.scoreMs);
      this.#begin(want, { ...choice, considered: chosen === undefined ? worse : [chosen, ...worse] });
    } else this.#refuse(want.task, choice.do === 'wait' ? overloaded('The tab is busy.') : noTab(want));
  }

  #begin(want: LeaseWant, choice: Leased): void {
    this.#lease(want, choice).catch((cause) => this.#refuse(want.task, ShoalError.from(cause)));
  }

  #refuse(task: TaskTail, error: ShoalError): void {
    this.#host.tasks.tell(task, failedEvent(error));
    this.#host.tasks.close(task);
  }

  async #lease(want: LeaseWant, choice: Leased, attempt = 1, earlier: readonly string[] = []): Promise<void> {
    const { roster, leases, tasks, allocator, ports } = this.#host;
    const tab = roster.get(choice.tab);
    const variant = want.variants.find((candidate) => candidate.class === choice.class);
    if (tab === undefined || variant === undefined) throw noTab(want);
    const key = roster.takeKey(tab);
    const active = await leases.issue(tab, 'answer', key, { ...want, ...variant, rung: null, attempt });
    const { lease, statement, number } = active;
    allocator.began(number, { ...choice, asked: askedOf(want), mayHedge: false });
    const terms: TaskTerms = {
      task: want.task,
      network: want.network,
      model: variant.model,
      variant: variant.variant,
      private: want.private,
      level: want.level,
      wanted: want.wanted,
      sampling: want.sampling,
      openedAt: lease.issuedAt,
      readablePromptBytes: want.readablePromptBytes,
      leaseStatement: statement,
      lease,
      standing: this.#host.records.standing(tab, lease.class),
      earlier,
      considered: choice.considered,
      ...(want.own !== undefined && { own: want.own }),
    };
    let opening: Promise<void> | null = null;
    active.open = () => {
      opening ??= ports.sessions.open(terms).catch((cause) => this.#giveUp(active, cause));
      return opening;
    };
    const served = tasks.get(want.task);
    if (served?.stream == null) {
      // Its client left while the lease was signed: nobody has seen it, so there is nothing to record.
      this.#host.release(number);
      tasks.close(want.task);
      if (attempt > 1) await ports.sessions.failed(want.task, 'cancelled', attempt - 1); // Of the one before there may be a record.
      return;
    }
    tasks.answeredUnder(served, lease);
    served.want = want;
    served.earlier = earlier;
    served.leased = {
      t: 'leased',
      lease: statement,
      tabKey: key.statement,
      token: want.token,
      direct: tab.direct,
      strict: want.level === 'strict',
    };
    tasks.tell(want.task, served.leased);
    ports.log('task_leased', { task: want.task, tab: tab.identity, number, attempt });
  }

  /** The session cannot be reached: the client is told, and the task is ended by the session's own alarm. */
  #giveUp(active: ActiveLease, cause: unknown): void {
    const { roster, ports } = this.#host;
    const { task } = active.lease;
    ports.log('session_unreachable', { task, reason: String(cause) });
    roster.send(active.tab, { t: 'stop', number: active.number });
    this.#host.release(active.number);
    this.#refuse(task, ShoalError.from(cause));
  }

  /** Takes up a stream that broke, by the lease that its reader holds. Frames from `from` on are sent again. */
  async reattach(tail: TaskTail, statement: Signed, from: number, sink: StreamSink): Promise<TaskStream> {
    const { roster, leases, tasks, checks, ports } = this.#host;
    const known = await leases.find(statement).catch(() => null);
    const isOurs = known?.lease.task === tail && known.lease.role === 'answer';
    const standing = isOurs ? await ports.sessions.standing(tail) : null;
    if (known === null || standing === null) {
      // Told to whoever asks, not to whoever reads the task.
      const refused = new TaskStream(sink, () => undefined);
      refused.event(failedEvent(lost('tab_lost')));
      refused.close();
      return refused;
    }
    const { served, stream } = tasks.open(tail, sink);
    ports.busy();
    const { lease } = known;
    if (served.leased !== null && served.answer !== null && served.answer.attempt > lease.attempt) {
      // Its tab was lost while the stream was broken, and another one has its place.
      tasks.tell(tail, served.leased);
      return stream;
    }
    tasks.answeredUnder(served, lease);
    const tab = roster.get(lease.tab);
    if (standing.do === 'run') {
      if (tab === undefined) {
        await this.fail(known, lost('tab_lost'));
        return stream;
      }
      if (known.active === null && !known.isOver) leases.takeBack(tab, lease, statement, from);
    }
    // Whatever the task waits for now, its reader may lack frames, or the key may have to be wrapped again.
    const mayReplay = roster.send(tab, { t: 'resend', number: lease.number, from });
    if (standing.do === 'end') {
      tasks.tell(tail, { t: 'ended', verdict: standing.verdict, receipt: standing.receipt });
      if (mayReplay) served.replayUntil = ports.now() + REPLAY_MS;
      else tasks.close(tail);
    }
    if (standing.do === 'wrap') await checks.askAgain(tail, standing.checkLease);
    return stream;
  }

  /** The tab has sent the frames of an ended task again. */
  replayed(tab: Tab, { number }: Lease): void {
    const served = this.#host.tasks.ofAnswer(number);
    if (served?.replayUntil != null && served.answer?.tab === tab.identity) this.#host.tasks.close(served.task);
  }

  /** The reader of a task went away. Its check goes on; its answer is stopped. */
  clientGone(served: ServedTask, stream: TaskStream): void {
    const { roster, leases, tasks, waiting, ports } = this.#host;
    waiting.leave(stream);
    if (served.answer === null || served.replayUntil !== null) {
      tasks.close(served.task);
      return;
    }
    const active = leases.get(served.answer.number);
    if (active === undefined) return;
    leases.stopped(active);
    roster.send(active.tab, { t: 'stop', number: active.number });
    ports.log('task_stopped', { task: served.task, tab: active.lease.tab });
    // A tab that has begun commits to what it wrote; one that never got the body has nothing to commit.
    if (active.state === 'leased') this.lost(active, 'cancelled');
  }

  /** Answers that are not written at the time that their clients gave them. No tab is blamed: it is stopped, as by the client itself. */
  stopLate(): void {
    const { tasks, ports } = this.#host;
    const at = ports.now();
    for (const { task, deadlineAt } of tasks.all()) {
      if (deadlineAt !== null && at >= deadlineAt) this.stop(task, LATE);
    }
  }

  /** An answer that is waited for or being written is stopped, and its client told why. One that is written stays, and its check goes on. */
  stop(task: TaskTail, why: ShoalError): void {
    const served = this.#host.tasks.get(task);
    const { stream } = served ?? {};
    const isWritten = served?.answer != null && this.#host.leases.get(served.answer.number) === undefined;
    if (stream == null || isWritten) return;
    stream.event(failedEvent(why));
    stream.gone();
    stream.end();
  }

  accepted(tab: Tab, number: number, promptTokens: number | null): void {
    const { leases, tasks, ports } = this.#host;
    const active = leases.get(number);
    if (active === undefined || active.lease.tab !== tab.identity || active.state !== 'leased') return;
    if (active.lease.role === 'answer' && promptTokens === null) {
      throw new ShoalError('invalid_value', 'An answer has a prompt of some tokens.');
    }
    leases.moved(active, 'accepted');
    active.acceptedAt = ports.now();
    active.handOnAskedAt = null; // For a check: the subtask has arrived, however it came.
    if (promptTokens === null) return;
    this.#host.allocator.accepted(number, promptTokens);
    if (active.lease.role !== 'answer') return;
    tasks.tell(active.lease.task, { t: 'accepted', promptTokens });
    void active.open(); // Of a prompt that came over a direct link this is the first that the router hears.
  }

  /** A tab's commit to its answer. The client hears of it when the session has accepted it, once. Throws what refuses it. */
  async committed(tab: Tab, known: KnownLease, commit: Signed): Promise<void> {
    const { roster, tasks, checks, allocator, ports } = this.#host;
    const { lease, statement, active } = known;
    const claim = readClaim(commit);
    if (claim !== null && claim.finish !== 'cancelled') {
      allocator.finished(lease.number, claim.tokens.completion, claim.chain.bytes);
    }
    this.#host.release(lease.number); // Before anything is awaited: a second commit finds no lease.
    let decision: Decision;
    try {
      await active?.open();
      const stopped = active === null || active.stoppedAt !== null;
      decision = await ports.sessions.committed(lease.task, statement, commit, {
        candidates: checks.candidates(tab, lease, tasks.get(lease.task)?.placement),
        stopped,
        sampled: this.#host.records.samples(tab, lease.class, claimOf(commit).chain.bytes),
      });
    } catch (cause) {
      await this.#failTask(lease, lost('integrity_failed'));
      throw cause;
    }
    if (decision.do === 'end' && decision.outcome.value === 'failed') {
      tasks.tell(lease.task, failedEvent(lost(decision.outcome.code)));
    } else if (decision.do === 'draw' || decision.do === 'end') {
      if (active?.acceptedAt != null) roster.worked(tab);
      tasks.tell(lease.task, { t: 'committed', commit });
    }
    await this.#host.decide(lease.task, decision);
  }

  /** A lease whose tab went away, or ran out of time. */
  lost(active: ActiveLease, code: ErrorCode): void {
    const { lease } = active;
    this.fail({ lease, active }, lost(code)).catch((cause) =>
      // A session that cannot be reached ends its task by its own alarm.
      this.#host.ports.log('session_unreachable', { task: lease.task, reason: String(cause) }),
    );
  }

  async fail({ lease, active }: Pick<KnownLease, 'lease' | 'active'>, error: ShoalError): Promise<void> {
    if (lease.role === 'check') return this.#host.checks.gaveUp(lease, active, error);
    if (TABS_FAULT.includes(error.code)) this.#host.allocator.lost(lease.number);
    // Its place is taken before the slot is free for others: the client has waited already.
    const replaced = active !== null && TABS_FAULT.includes(error.code) && this.#replace(active);
    this.#host.release(lease.number);
    if (replaced) return;
    await active?.open();
    await this.#failTask(lease, error);
  }

  /** Another tab takes the place of one that was lost before its first frame, in the same stream. `false`: there is none, or too much was tried or told. */
  #replace(active: ActiveLease): boolean {
    const { tasks, allocator, ports } = this.#host;
    const { lease, isDelivered, state, stoppedAt } = active;
    const served = tasks.get(lease.task);
    const want = served?.want ?? null;
    if (served?.stream == null || want === null || want.only !== null) return false;
    if (served.answer?.number !== lease.number || stoppedAt !== null || state === 'running') return false;
    if (lease.attempt >= MAX_ATTEMPTS || ports.now() - served.since > REPLACED_WITHIN_MS) return false;
    const others = this.seats(null).filter(({ tab }) => tab !== lease.tab && !served.earlier.includes(tab));
    const choice = allocator.choose(others, { ...askedOf(want), prefer: null });
    if (choice.do !== 'lease') return false;
    // A private prompt may have gone over a link that the pool does not see.
    const mayHaveRead = isDelivered || state !== 'leased' || (lease.private && served.leased?.direct === true);
    const earlier = mayHaveRead ? [...served.earlier, lease.tab] : served.earlier;
    ports.log('task_leased_again', { task: lease.task, lost: lease.tab, tab: choice.tab });
    this.#lease(want, choice, lease.attempt + 1, earlier).catch((cause) =>
      this.#refuse(lease.task, ShoalError.from(cause)),
    );
    return true;
  }

  /** Only an answer that is still awaited can fail: after its commit a tab's word changes nothing. */
  async #failTask({ task, attempt }: Lease, error: ShoalError): Promise<void> {
    const { tasks, ports } = this.#host;
    try {
      const decision = await ports.sessions.failed(task, error.code, attempt);
      if (decision.do === 'end' && decision.outcome.value !== 'answered') tasks.tell(task, failedEvent(error));
      await this.#host.decide(task, decision);
    } catch (cause) {
      this.#refuse(task, error);
      throw cause;
    }
  }
}

/** What the tab says that it wrote; null when it says nothing that could be read, which is told to it later. */
function readClaim(commit: Signed): AnswerCommit | null {
  try {
    return claimOf(commit);
  } catch {
    return null;
  }
}

/** What the tab says that it wrote. Throws `integrity_failed`. */
function claimOf(commit: Signed): AnswerCommit {
  return parsePayload('commit', answerCommit, commit);
}
