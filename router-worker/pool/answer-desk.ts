import { type ErrorCode, ShoalError } from '../../shared/errors.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Lease } from '../../shared/protocol/lease.ts';
import { ANYWHERE } from '../../shared/protocol/placement.ts';
import { type AnswerCommit, answerCommit } from '../../shared/receipt/statements.ts';
import { parsePayload, type Signed } from '../../shared/signing/signed-statement.ts';
import type { Allocator, Leased, Seat } from '../allocation/allocator.ts';
import type { Decision } from '../session/session.ts';
import { type AnswerLease, AnswerLeases, once } from './answer-leases.ts';
import { askedOf } from './asked-of.ts';
import type { CheckDesk } from './check-desk.ts';
import { HedgeDesk } from './hedge-desk.ts';
import type { ActiveLease, KnownLease, LeaseBook } from './lease-book.ts';
import type { LeaseWant, PoolPorts } from './pool-ports.ts';
import { failedEvent, lost, noTab, overloaded, unfinished } from './stream-errors.ts';
import { SuccessorDesk } from './successor-desk.ts';
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
  /** Stops what this tab does for the network itself, so that it is free now. */
  setFree(tab: string): void;
}

/** Of a tab that may not serve, and is asked by the network itself whether it can again. */
const LAST_RANK = 9;

const LATE = new ShoalError(
  'deadline_exceeded',
  'The answer was not written by the deadline that the session gives it.',
);
/** What says of a tab that it did not bring an answer to its end. The other reasons are the client's, or the prompt's. */
const TABS_FAULT: readonly ErrorCode[] = ['tab_lost', 'deadline_exceeded', 'engine_failed'];

/** How long a tab may take to send the frames of an ended task again, ms. */
const REPLAY_MS = 15_000;

/** Answers that went on with another tab, and are remembered for the word of their readers: more than are read at once. */
const MOST_RESUMED = 512;

/** Answers, from the request to the commit: finds a tab, follows it, and says what became of it. */
export class AnswerDesk {
  readonly #host: AnswerDeskHost;
  readonly #leases: AnswerLeases;
  readonly #hedges: HedgeDesk;
  readonly #successors: SuccessorDesk;
  /** Who wrote at each answer that went on with another tab, and in which class: its reader may find a difference when the second is through already. */
  readonly #resumed = new Map<TaskTail, { readonly class: string; readonly writers: ReadonlySet<string> }>();

  constructor(host: AnswerDeskHost) {
    this.#host = host;
    this.#leases = new AnswerLeases(host);
    const { ports, roster, leases, tasks, allocator, records } = host;
    const shared = {
      ...{ ports, roster, leases, tasks, allocator, records },
      release: (number: number) => host.release(number),
      seats: () => this.seats(null),
    };
    this.#hedges = new HedgeDesk({ ...shared, giveUp: (active, cause) => this.#giveUp(active, cause) }, this.#leases);
    this.#successors = new SuccessorDesk(
      {
        ...shared,
        hedges: this.#hedges,
        adopt: (served, issued) => this.#adopt(served, issued),
        failed: (active, error) => this.#ended(active, error),
        makeRoom: (classes) => host.makeRoom(classes),
      },
      this.#leases,
    );
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
    if (want.prefer !== null) this.#host.setFree(want.prefer);
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
    this.#successors.serve();
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

  async #lease(want: LeaseWant, choice: Leased): Promise<void> {
    const { tasks } = this.#host;
    const served = tasks.get(want.task);
    if (served === undefined) return; // Its client left.
    const issued = await this.#leases.issue(want, choice, { attempt: tasks.nextAttempt(served), mayHedge: true });
    if (served.stream === null) {
      // Its client left while the lease was signed: nobody has seen it, so there is nothing to record.
      this.#host.release(issued.active.number);
      tasks.close(want.task);
      return;
    }
    served.want = want;
    this.#adopt(served, issued);
  }

  /** The answer is written under this lease from now on. */
  #adopt(served: ServedTask, issued: AnswerLease): void {
    const { tasks, ports } = this.#host;
    const { active, event, terms } = issued;
    const { task, tab, attempt } = active.lease;
    active.open = once(() =>
      ports.sessions.open({ ...terms, earlier: served.earlier }).catch((cause) => this.#giveUp(active, cause)),
    );
    tasks.answeredUnder(served, active.lease);
    served.issued = issued;
    tasks.tell(task, event);
    ports.log('task_leased', { task, tab, number: active.number, attempt });
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
    if (served.vacancy !== null) return stream; // It is told when another tab has the place of the one that was lost.
    if (served.issued !== null && served.answer !== null && served.answer.attempt > lease.attempt) {
      // Its tab was lost while the stream was broken, and another one has its place.
      tasks.tell(tail, served.issued.event);
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
    if (this.#successors.left(served)) return;
    const active = leases.get(served.answer.number);
    if (active === undefined) return;
    this.#hedges.lost(served);
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
    const isWritten =
      served?.answer != null && served.vacancy === null && this.#host.leases.get(served.answer.number) === undefined;
    if (stream == null || isWritten) return;
    stream.event(failedEvent(why));
    stream.gone();
    stream.end();
  }

  /** A second tab is asked where a first token is late. */
  tick(): void {
    this.#hedges.tick();
  }

  /** The first frame of a tab: the answer is begun, and no other tab can win it any more. */
  wrote(active: ActiveLease): void {
    const served = this.#host.tasks.get(active.lease.task);
    if (served === undefined) return;
    this.#hedges.wrote(served, active);
    if (served.answer?.number !== active.number) return;
    served.writers = [...served.writers, active.lease.tab];
    const writers = new Set(served.writers);
    if (writers.size > 1) this.#remember(served.task, { class: active.lease.class, writers });
  }

  #remember(task: TaskTail, resumed: { readonly class: string; readonly writers: ReadonlySet<string> }): void {
    this.#resumed.set(task, resumed);
    const [oldest] = this.#resumed.keys();
    if (this.#resumed.size > MOST_RESUMED && oldest !== undefined) this.#resumed.delete(oldest);
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
    active.promptTokens = promptTokens;
    // Of a second tab the client hears when it has won.
    const isBeside = tasks.get(active.lease.task)?.hedge?.active === active;
    if (!isBeside) tasks.tell(active.lease.task, { t: 'accepted', promptTokens });
    void active.open(); // Of a prompt that came over a direct link this is the first that the router hears.
  }

  /** A tab's commit to its answer. The client hears of it when the session has accepted it, once. Throws what refuses it. */
  async committed(tab: Tab, known: KnownLease, commit: Signed): Promise<void> {
    const { roster, tasks, checks, allocator, ports } = this.#host;
    const { lease, statement, active } = known;
    const claim = readClaim(commit);
    if (claim?.finish === 'cancelled' && active?.stoppedAt === null) {
      allocator.lost(lease.number); // It stopped by itself: that is as good as lost.
      if (this.#goesOn(active, lost('tab_lost'))) return;
    } else if (active !== null) this.wrote(active);
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
        // Whether two tabs wrote the same only a reader knows, and of a sealed one the word alone frees nobody from paying: a check says who wrote what the model writes.
        sampled:
          this.#host.records.samples(tab, lease.class, claimOf(commit).chain.bytes) || this.#resumed.has(lease.task),
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
    this.fail({ lease, active }, lost(code)).catch((cause) => this.#unreachable(lease.task, cause));
  }

  /** A session that cannot be reached ends its task by its own alarm. */
  #unreachable(task: TaskTail, cause: unknown): void {
    this.#host.ports.log('session_unreachable', { task, reason: String(cause) });
  }

  async fail({ lease, active }: Pick<KnownLease, 'lease' | 'active'>, error: ShoalError): Promise<void> {
    if (lease.role === 'check') return this.#host.checks.gaveUp(lease, active, error);
    const isTabsFault = TABS_FAULT.includes(error.code);
    if (isTabsFault) this.#host.allocator.lost(lease.number);
    if (active !== null && this.#goesOn(active, error)) return;
    const isBegun = (this.#host.tasks.get(lease.task)?.writers.length ?? 0) > 0;
    this.#host.release(lease.number);
    await active?.open();
    await this.#failTask(lease, isTabsFault && isBegun ? unfinished(error) : error);
  }

  /** Whether the answer goes on without this tab: a second one writes it already, or another one takes its place. */
  #goesOn(active: ActiveLease, error: ShoalError): boolean {
    const served = this.#host.tasks.get(active.lease.task);
    if (served?.hedge?.active === active) {
      this.#hedges.lost(served);
      return true;
    }
    // Its place is taken before the slot is free for others: the client has waited already.
    if (!TABS_FAULT.includes(error.code) || !this.#successors.takes(active, error)) return false;
    this.#host.release(active.number);
    return true;
  }

  /** Nobody goes on with the answer of a tab that was lost. */
  #ended(active: ActiveLease, error: ShoalError): void {
    const end = async () => {
      await active.open();
      await this.#failTask(active.lease, error);
    };
    end().catch((cause) => this.#unreachable(active.lease.task, cause));
  }

  /**
   * Two tabs of one exact class wrote different beginnings of this answer, says the reader that the router trusts: itself. One of them did not run what it says;
   * nobody knows which: on both records it counts as a dispute.
   */
  disputed(task: TaskTail): void {
    const { tasks, leases, roster, records } = this.#host;
    const resumed = this.#resumed.get(task);
    this.#resumed.delete(task); // Once.
    if (resumed !== undefined) for (const tab of resumed.writers) records.disagreed(tab, resumed.class);
    const served = tasks.get(task);
    const active = served?.answer == null ? undefined : leases.get(served.answer.number);
    if (active === undefined) return; // It is written: what was committed to stays.
    roster.send(active.tab, { t: 'stop', number: active.number });
    this.#host.release(active.number);
    this.#ended(active, lost('answer_disputed'));
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
