import { isExactClass } from '../../shared/classes/class-id.ts';
import { type ErrorCode, ShoalError } from '../../shared/errors.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Lease } from '../../shared/protocol/lease.ts';
import { type AnswerCommit, answerCommit } from '../../shared/receipt/statements.ts';
import { parsePayload, type Signed } from '../../shared/signing/signed-statement.ts';
import { chooseTab } from '../allocation/choose-tab.ts';
import type { Decision } from '../session/session.ts';
import type { TaskTerms } from '../task/task.ts';
import type { CheckDesk } from './check-desk.ts';
import type { ActiveLease, KnownLease, LeaseBook } from './lease-book.ts';
import type { LeaseWant, PoolPorts } from './pool-ports.ts';
import { failedEvent, lost, noTab, overloaded } from './stream-errors.ts';
import type { Tab } from './tab.ts';
import type { TabRecords } from './tab-records.ts';
import type { TabRoster } from './tab-roster.ts';
import type { ServedTask, TaskBook } from './task-book.ts';
import { type StreamSink, TaskStream } from './task-stream.ts';
import type { WaitingLine } from './waiting-line.ts';

/** What the desk needs of its pool. */
export interface AnswerDeskHost {
  readonly ports: PoolPorts;
  readonly roster: TabRoster;
  readonly leases: LeaseBook;
  readonly tasks: TaskBook;
  readonly waiting: WaitingLine;
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
    const { stream } = tasks.open(want.task, sink);
    ports.busy();
    if (this.grant(want)) return stream;
    if (want.only !== null) {
      this.#refuse(want.task, overloaded('The tab is busy.'));
      return stream;
    }
    this.#host.makeRoom(want.variants.map((variant) => variant.class));
    if (!waiting.join(want, stream)) {
      this.#refuse(want.task, overloaded('All tabs are busy and the queue is full.'));
    }
    return stream;
  }

  /** True when the request was settled: leased, or refused because nobody serves it. */
  grant(want: LeaseWant): boolean {
    const { roster, ports } = this.#host;
    // At level strict an answer is shown when it is proven: where nobody can run it again to the byte, it never is.
    const variants =
      want.level === 'strict' ? want.variants.filter(({ class: id }) => isExactClass(id)) : want.variants;
    const classes = variants.map((variant) => variant.class);
    const isAllowed = want.only !== null;
    const candidates = roster.candidates(
      (tab, id) => this.#host.records.rank(tab, id) ?? (isAllowed ? LAST_RANK : null),
      want.only,
    );
    const choice = chooseTab(candidates, { classes, prefer: want.prefer, only: want.only }, ports.random());
    if (choice.tab === null) {
      if (choice.why === 'all_busy') return false;
      this.#refuse(want.task, noTab(want));
      return true;
    }
    const tab = roster.get(choice.tab);
    const variant = variants.find((candidate) => candidate.class === choice.class);
    if (tab === undefined || variant === undefined) return false;
    this.#lease(want, tab, variant).catch((cause) => this.#refuse(want.task, ShoalError.from(cause)));
    return true;
  }

  #refuse(task: TaskTail, error: ShoalError): void {
    this.#host.tasks.tell(task, failedEvent(error));
    this.#host.tasks.close(task);
  }

  async #lease(want: LeaseWant, tab: Tab, variant: LeaseWant['variants'][number]): Promise<void> {
    const { roster, leases, tasks, ports } = this.#host;
    const key = roster.takeKey(tab);
    const active = await leases.issue(tab, 'answer', key, { ...want, ...variant, rung: null });
    const { lease, statement, number } = active;
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
      return;
    }
    tasks.answeredUnder(served, lease);
    tasks.tell(want.task, {
      t: 'leased',
      lease: statement,
      tabKey: key.statement,
      token: want.token,
      direct: tab.direct,
      strict: want.level === 'strict',
    });
    ports.log('task_leased', { task: want.task, tab: tab.identity, number });
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

  accepted(tab: Tab, number: number, promptTokens: number | null): void {
    const { leases, tasks, ports } = this.#host;
    const active = leases.get(number);
    if (active === undefined || active.lease.tab !== tab.identity || active.state !== 'leased') return;
    leases.moved(active, 'accepted');
    active.acceptedAt = ports.now();
    active.handOnAskedAt = null; // For a check: the subtask has arrived, however it came.
    if (active.lease.role !== 'answer') return;
    if (promptTokens === null) throw new ShoalError('invalid_value', 'An answer has a prompt of some tokens.');
    tasks.tell(active.lease.task, { t: 'accepted', promptTokens });
    void active.open(); // Of a prompt that came over a direct link this is the first that the router hears.
  }

  /** A tab's commit to its answer. The client hears of it when the session has accepted it, once. Throws what refuses it. */
  async committed(tab: Tab, known: KnownLease, commit: Signed): Promise<void> {
    const { roster, tasks, checks, ports } = this.#host;
    const { lease, statement, active } = known;
    this.#host.release(lease.number); // Before anything is awaited: a second commit finds no lease.
    let decision: Decision;
    try {
      await active?.open();
      const stopped = active === null || active.stoppedAt !== null;
      decision = await ports.sessions.committed(lease.task, statement, commit, {
        candidates: checks.candidates(tab, lease),
        stopped,
        sampled: this.#host.records.samples(tab, lease.class, claimOf(commit).chain.bytes),
      });
    } catch (cause) {
      await this.#failTask(lease.task, lost('integrity_failed'));
      throw cause;
    }
    if (decision.do === 'end' && decision.outcome.value === 'failed') {
      tasks.tell(lease.task, failedEvent(lost(decision.outcome.code)));
    } else if (decision.do === 'draw' || decision.do === 'end') {
      if (active?.acceptedAt != null) roster.worked(tab, claimOf(commit).tokens.completion, active.acceptedAt);
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
    this.#host.release(lease.number);
    await active?.open();
    await this.#failTask(lease.task, error);
  }

  /** Only an answer that is still awaited can fail: after its commit a tab's word changes nothing. */
  async #failTask(task: TaskTail, error: ShoalError): Promise<void> {
    const { tasks, ports } = this.#host;
    try {
      const decision = await ports.sessions.failed(task, error.code);
      if (decision.do === 'end' && decision.outcome.value !== 'answered') tasks.tell(task, failedEvent(error));
      await this.#host.decide(task, decision);
    } catch (cause) {
      this.#refuse(task, error);
      throw cause;
    }
  }
}

/** What the tab says that it wrote. Throws `integrity_failed`. */
function claimOf(commit: Signed): AnswerCommit {
  return parsePayload('commit', answerCommit, commit);
}
