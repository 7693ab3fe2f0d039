import { type ErrorCode, isErrorCode, ShoalError } from '../../shared/errors.ts';
import { MAX_FRAME_BYTES } from '../../shared/limits.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import { type Lease, type LeaseRole, lease as leaseSchema } from '../../shared/protocol/lease.ts';
import { decodePacket, encodePacket, type Packet } from '../../shared/protocol/packets.ts';
import type { StreamEvent } from '../../shared/protocol/stream-records.ts';
import { CLOSE, decodeTabToRouter, encodeMessage, type TabToRouter } from '../../shared/protocol/tab-socket.ts';
import { decodeEnvelope, type Wrap } from '../../shared/sealing/envelope.ts';
import { openStatement, parsePayload, type Signed } from '../../shared/signing/signed-statement.ts';
import { chooseTab } from '../allocation/choose-tab.ts';
import type { Decision, Ended } from '../session/session.ts';
import type { TaskTerms } from '../task/task.ts';
import { CheckDesk } from './check-desk.ts';
import { type ActiveLease, LeaseBook } from './lease-book.ts';
import { LinkDesk } from './link-desk.ts';
import type { LeaseWant, PoolPorts } from './pool-ports.ts';
import type { Tab, TabAttachment, TabSocket } from './tab.ts';
import { type Census, TabRoster } from './tab-roster.ts';
import { type StreamSink, TaskStream } from './task-stream.ts';
import { WaitingLine } from './waiting-line.ts';

/**
 * The connected tabs, the leases that they work on, and the streams of running tasks. Memory only: a tab comes back with its socket, and
 * every lease is a signed statement that its holders bring along, so a pool that lost its memory takes up where it was.
 */
export class Pool {
  readonly #ports: PoolPorts;
  readonly #roster: TabRoster;
  readonly #leases: LeaseBook;
  readonly #waiting: WaitingLine;
  readonly #links: LinkDesk;
  readonly #checks: CheckDesk;
  readonly #streams = new Map<TaskTail, TaskStream>();

  constructor(ports: PoolPorts) {
    this.#ports = ports;
    this.#roster = new TabRoster(ports.signer.publicKey, ports.now);
    this.#leases = new LeaseBook(ports.signer, ports.now, ports.random);
    this.#waiting = new WaitingLine(ports.now);
    this.#links = new LinkDesk(ports.now);
    this.#checks = new CheckDesk({
      ports,
      roster: this.#roster,
      leases: this.#leases,
      stream: (task) => this.#streams.get(task),
      release: (number) => this.#release(number),
      decide: (task, decision) => this.#decide(task, decision),
    });
  }

  /** Whether {@link tick} has anything to watch over. */
  get isBusy(): boolean {
    return this.#leases.size > 0 || this.#waiting.length > 0 || this.#links.size > 0 || this.#roster.hasMissing;
  }

  census(): Census[] {
    return this.#roster.census();
  }

  // ---- sockets -----------------------------------------------------------------------------------------------------

  greet(socket: TabSocket, network: string): void {
    this.#roster.greet(socket, network);
  }

  restore(socket: TabSocket, attachment: TabAttachment): void {
    this.#roster.restore(socket, attachment);
  }

  /** A message of a tab. What the protocol does not know closes the socket with the reason. */
  async receive(socket: TabSocket, data: string | ArrayBuffer): Promise<void> {
    try {
      if (typeof data !== 'string') return this.#packet(this.#roster.of(socket), decodePacket(data));
      const message = decodeTabToRouter(data);
      if (message.t === 'hello') await this.#hello(socket, message);
      else await this.#message(this.#roster.of(socket), message);
    } catch (cause) {
      const error = ShoalError.from(cause);
      this.#ports.log('tab_refused', {
        code: error.code,
        reason: error.code === 'internal_error' ? String(cause) : error.message,
      });
      refuse(socket, error);
    }
  }

  closed(socket: TabSocket, code: number): void {
    const tab = this.#roster.lostSocket(socket);
    if (tab === null) return;
    const meantIt = code === 1000 || code === 1001;
    if (meantIt || tab.leases.size === 0) this.#lose(tab);
  }

  async #hello(socket: TabSocket, hello: Extract<TabToRouter, { t: 'hello' }>): Promise<void> {
    const admitted = await this.#roster.admit(socket, hello);
    if (admitted === null) return;
    const { tab, before } = admitted;
    for (const number of before?.leases ?? []) {
      if (hello.running.includes(number)) this.#leases.moveTo(number, tab);
      else this.#leaseLost(number, 'tab_lost');
    }
    this.#roster.send(tab, { t: 'welcome', tab: tab.identity, now: this.#ports.now() });
    for (const number of tab.leases) {
      const active = this.#leases.get(number);
      if (active?.lease.role === 'answer') this.#roster.send(tab, { t: 'resend', number, from: active.nextFrame });
    }
    this.#ports.log('tab_joined', { tab: tab.identity, models: tab.models.length });
    this.#serveWaiting();
  }

  #lose(tab: Tab): void {
    this.#roster.remove(tab);
    for (const number of [...tab.leases]) this.#leaseLost(number, 'tab_lost');
    this.#ports.log('tab_left', { tab: tab.identity });
    this.#serveWaiting(); // Whoever waited for the last tab of a class is refused now.
  }

  // ---- requests ----------------------------------------------------------------------------------------------------

  /** Finds a tab for a task, now or when one is free; everything that follows is told on the stream. */
  request(want: LeaseWant, sink: StreamSink): TaskStream {
    const stream = this.#openStream(want.task, sink);
    if (this.#grant(want, stream) || this.#waiting.join(want, stream)) return stream;
    this.#endStream(want.task, stream, overloaded('All tabs are busy and the queue is full.'));
    return stream;
  }

  /** Takes up a stream that broke, by the lease that its reader holds. Frames from `from` on are sent again. */
  async reattach(statement: Signed, from: number, sink: StreamSink): Promise<TaskStream> {
    const lease = await this.#openLease(statement);
    const stream = this.#openStream(lease.task, sink);
    stream.answer = { lease, statement };
    const tab = this.#roster.get(lease.tab);
    if (tab === undefined || lease.role !== 'answer') {
      this.#endStream(lease.task, stream, new ShoalError('tab_lost', lostMessage('tab_lost')));
      return stream;
    }
    if (this.#leases.get(lease.number) === undefined) this.#leases.takeBack(tab, lease, statement, from);
    this.#roster.send(tab, { t: 'resend', number: lease.number, from });
    return stream;
  }

  /** One of our leases. A living one is known by its signature; any other is verified. */
  async #openLease(statement: Signed): Promise<Lease> {
    const claimed = parsePayload('lease', leaseSchema, statement);
    const living = this.#leases.get(claimed.number)?.statement;
    if (living?.signature === statement.signature && living.payload === statement.payload) return claimed;
    return openStatement('lease', leaseSchema, statement, this.#ports.signer.publicKey);
  }

  #openStream(task: TaskTail, sink: StreamSink): TaskStream {
    const stream: TaskStream = new TaskStream(sink, () => this.#clientGone(task, stream));
    this.#streams.set(task, stream);
    return stream;
  }

  /** True when the request was settled: leased, or refused because nobody serves it. */
  #grant(want: LeaseWant, stream: TaskStream): boolean {
    const classes = want.variants.map((variant) => variant.class);
    const wanted = { classes, prefer: want.prefer, exclude: [] };
    const choice = chooseTab(this.#roster.candidates(), wanted, this.#ports.random());
    if (choice.tab === null) {
      if (choice.why === 'all_busy') return false;
      this.#endStream(want.task, stream, noTab(want));
      return true;
    }
    const tab = this.#roster.get(choice.tab);
    const variant = want.variants.find((candidate) => candidate.class === choice.class);
    if (tab === undefined || variant === undefined) return false;
    void this.#leaseAnswer(want, stream, tab, variant);
    return true;
  }

  async #leaseAnswer(
    want: LeaseWant,
    stream: TaskStream,
    tab: Tab,
    variant: LeaseWant['variants'][number],
  ): Promise<void> {
    const key = this.#roster.takeKey(tab);
    const active = await this.#leases.issue(tab, 'answer', key, { ...want, ...variant });
    const { lease, statement, number } = active;
    stream.answer = { lease, statement };
    const terms: TaskTerms = {
      task: want.task,
      network: want.network,
      model: variant.model,
      variant: variant.variant,
      private: want.private,
      level: want.level,
      sampling: want.sampling,
      openedAt: lease.issuedAt,
      readablePromptBytes: want.readablePromptBytes,
      leaseStatement: statement,
      lease,
    };
    let opening: Promise<void> | null = null;
    active.open = () => {
      opening ??= this.#ports.sessions.open(terms).catch((cause) => {
        this.#release(number);
        this.#roster.send(tab, { t: 'stop', number });
        this.#endStream(want.task, stream, ShoalError.from(cause));
      });
      return opening;
    };
    if (!stream.isOpen) return this.#leaseLost(number, 'cancelled'); // Its client left while it was signed.
    stream.event({ t: 'leased', lease: statement, tabKey: key.statement, token: want.token, direct: tab.direct });
    this.#ports.log('task_leased', { task: want.task, tab: tab.identity, number });
  }

  #release(number: number): ActiveLease | null {
    const active = this.#leases.release(number);
    if (active !== null) this.#serveWaiting();
    return active;
  }

  #serveWaiting(): void {
    this.#waiting.serve(({ want, stream }) => this.#grant(want, stream));
  }

  // ---- a client's side ---------------------------------------------------------------------------------------------

  /** Passes a sealed envelope to the tab that its lease names. Throws `sealed_body_invalid` or `tab_lost`. */
  async deliver(tail: TaskTail, envelope: Uint8Array<ArrayBuffer>): Promise<void> {
    const { wrap } = decodeEnvelope(envelope);
    const lease = await this.#openLease(wrap.lease);
    if (lease.task !== tail) throw new ShoalError('sealed_body_invalid', 'The envelope is for another task.');
    const packet = encodePacket('envelope', lease.number, envelope);
    if (!this.#roster.sendRaw(this.#roster.get(lease.tab), packet)) {
      this.#leaseLost(lease.number, 'tab_lost');
      throw new ShoalError('tab_lost', 'The tab went away before the prompt reached it.');
    }
    const active = this.#leases.get(lease.number);
    if (active?.lease.role === 'check') await this.#checks.deliveredByClient(active, envelope.byteLength);
    else void active?.open(); // The tab is at work already: what is kept of the task need not hold up its first token.
  }

  /** The client wrapped the body key for the checker. Throws `sealed_body_invalid` or `tab_lost`. */
  async handOn(tail: TaskTail, wrap: Wrap): Promise<void> {
    await this.#checks.wrapped(tail, await this.#openLease(wrap.lease), wrap);
  }

  /** One offer from a client to the tab that works for it; the tab's answer, or null when it declines or is silent. */
  async link(tail: TaskTail, leaseStatement: Signed, link: string, signal: Signed): Promise<Signed | null> {
    const lease = await this.#openLease(leaseStatement);
    const tab = this.#roster.get(lease.tab);
    if (lease.task !== tail || signal.key !== lease.client || tab === undefined || !tab.direct) return null;
    const answer = this.#links.wait(link, lease.tab);
    this.#roster.send(tab, { t: 'offer', link, from: signal.key, signal });
    return answer;
  }

  /** Asks the tab to send frames again, by relay. Throws `tab_lost`. */
  async resend(tail: TaskTail, leaseStatement: Signed, from: number): Promise<void> {
    const lease = await this.#openLease(leaseStatement);
    const ours = lease.task === tail && lease.role === 'answer';
    if (!ours || !this.#roster.send(this.#roster.get(lease.tab), { t: 'resend', number: lease.number, from })) {
      throw new ShoalError('tab_lost', lostMessage('tab_lost'));
    }
  }

  #clientGone(task: TaskTail, stream: TaskStream): void {
    if (this.#streams.get(task) === stream) this.#streams.delete(task);
    const active = stream.answer === null ? undefined : this.#leases.get(stream.answer.lease.number);
    if (active === undefined) return;
    this.#roster.send(active.tab, { t: 'stop', number: active.number });
    // A tab that has begun commits to what it wrote; one that never got the body has nothing to commit.
    if (active.state === 'leased') this.#leaseLost(active.number, 'cancelled');
    this.#ports.log('task_stopped', { task, tab: active.lease.tab });
  }

  #endStream(task: TaskTail, stream: TaskStream, error: ShoalError): void {
    stream.event(failedEvent(error));
    stream.close();
    if (this.#streams.get(task) === stream) this.#streams.delete(task);
  }

  // ---- a tab's side ------------------------------------------------------------------------------------------------

  #packet(tab: Tab, packet: Packet): void {
    const active = this.#leases.get(packet.number);
    if (active === undefined) return; // Late: its client left, or the pool lost its memory.
    if (packet.kind === 'frame') {
      if (active.lease.tab !== tab.identity || active.lease.role !== 'answer') return;
      if (packet.payload.byteLength > MAX_FRAME_BYTES) throw new ShoalError('invalid_value', 'A frame is too long.');
      this.#leases.moved(active, 'running');
      active.nextFrame++;
      this.#streams.get(active.lease.task)?.frame(packet.whole);
      return;
    }
    // Handed on by relay: from the tab that answered to the tab that checks.
    const answer = this.#streams.get(active.lease.task)?.answer ?? null;
    if (active.lease.role !== 'check' || answer?.lease.tab !== tab.identity || packet.kind === 'stop') return;
    this.#roster.sendRaw(active.tab, encodePacket(packet.kind, packet.number, packet.payload));
  }

  async #message(tab: Tab, message: Exclude<TabToRouter, { t: 'hello' }>): Promise<void> {
    switch (message.t) {
      case 'keys':
        return this.#roster.addKeys(tab, message.keys);
      case 'ready':
        tab.models = message.models;
        tab.direct = message.direct;
        this.#roster.remember(tab);
        return this.#serveWaiting();
      case 'accepted':
        return this.#accepted(tab, message.number, message.promptTokens);
      case 'failed': {
        const code = isErrorCode(message.error.code) ? message.error.code : 'engine_failed';
        const { param } = message.error;
        return this.#fail(ownLease(tab, message.lease), new ShoalError(code, message.error.message, { param }));
      }
      case 'committed':
        return this.#committed(tab, message.lease, message.commit);
      case 'handedOn':
        return this.#checks.handedOn(tab, readLease(message.lease), message.path, message.bytes);
      case 'checkCommitted':
        return this.#checks.committed(ownLease(tab, message.lease), message.lease, message.commit);
      case 'checkRevealed':
        return this.#checks.revealed(ownLease(tab, message.lease), message.lease, message.reveal, message.evidence);
      case 'offer':
        return this.#offer(tab, message);
      case 'answer':
        return this.#links.answer(message.link, tab.identity, message.signal);
      case 'bye':
        return this.#bye(tab);
    }
  }

  /** Whoever says so is gone at once: nobody waits for a tab that was stopped. */
  #bye(tab: Tab): void {
    const { socket } = tab;
    if (socket === null) return;
    this.closed(socket, 1000);
    socket.close(1000, 'bye');
  }

  #accepted(tab: Tab, number: number, promptTokens: number): void {
    const active = this.#leases.get(number);
    if (active?.lease.tab !== tab.identity || active.state !== 'leased') return;
    this.#leases.moved(active, 'accepted');
    active.handOnAskedAt = null; // For a check: the subtask has arrived, however it came.
    if (active.lease.role !== 'answer') return;
    this.#streams.get(active.lease.task)?.event({ t: 'accepted', promptTokens });
    void active.open(); // Of a prompt that came over a direct link this is the first that the router hears.
  }

  async #committed(tab: Tab, leaseStatement: Signed, commit: Signed): Promise<void> {
    const lease = ownLease(tab, leaseStatement);
    await this.#leases.get(lease.number)?.open();
    this.#release(lease.number);
    this.#streams.get(lease.task)?.event({ t: 'committed', commit });
    const candidates = this.#checks.candidates(tab, lease.class);
    await this.#decide(
      lease.task,
      await this.#ports.sessions.committed(lease.task, leaseStatement, commit, candidates),
    );
  }

  /** A link from a tab to one that it hands a subtask on to. */
  async #offer(tab: Tab, { link, to, signal }: Extract<TabToRouter, { t: 'offer' }>): Promise<void> {
    const partner = tab.partners.has(to) ? this.#roster.get(to) : undefined;
    let answer: Signed | null = null;
    if (partner?.direct === true && signal.key === tab.identity) {
      const waiting = this.#links.wait(link, partner.identity);
      this.#roster.send(partner, { t: 'offer', link, from: tab.identity, signal });
      answer = await waiting;
    }
    this.#roster.send(tab, { t: 'answer', link, signal: answer });
  }

  // ---- ends --------------------------------------------------------------------------------------------------------

  async #decide(task: TaskTail, decision: Decision): Promise<void> {
    if (decision.do === 'draw') await this.#checks.drawn(task, decision.checker);
    else if (decision.do === 'end') this.end(task, decision);
  }

  /** The session ended a task: tell everyone who took part. */
  end(task: TaskTail, ended: Ended): void {
    const stream = this.#streams.get(task);
    stream?.event({ t: 'ended', verdict: ended.verdict, receipt: ended.receipt });
    stream?.close();
    this.#streams.delete(task);
    for (const active of this.#leases.ofTask(task)) {
      this.#roster.send(active.tab, { t: 'stop', number: active.number });
      this.#release(active.number);
    }
    const tell = (identity: string, role: LeaseRole) =>
      this.#roster.send(this.#roster.get(identity), { t: 'verdict', task, role, value: ended.verdict.value });
    tell(ended.answerTab, 'answer');
    for (const checker of ended.checkers) tell(checker, 'check');
    this.#ports.log('task_ended', { task, verdict: ended.verdict.value });
  }

  /** A lease whose tab went away, or ran out of time. */
  #leaseLost(number: number, code: ErrorCode): void {
    const active = this.#leases.get(number);
    if (active === undefined) return;
    this.#fail(active.lease, new ShoalError(code, lostMessage(code))).catch((cause) =>
      // A session that cannot be reached ends its task by its own alarm.
      this.#ports.log('session_unreachable', { task: active.lease.task, reason: String(cause) }),
    );
  }

  async #fail(lease: Lease, error: ShoalError): Promise<void> {
    const active = this.#release(lease.number);
    if (lease.role === 'check') return this.#checks.failed(lease.task, lease.tab, 'checker_lost');
    const stream = this.#streams.get(lease.task);
    stream?.event(failedEvent(error));
    try {
      await active?.open();
      await this.#decide(lease.task, await this.#ports.sessions.failed(lease.task, error.code));
    } finally {
      stream?.close();
      if (this.#streams.get(lease.task) === stream) this.#streams.delete(lease.task);
    }
  }

  // ---- time --------------------------------------------------------------------------------------------------------

  /** Looks at every deadline. Called about once a second while {@link isBusy}. */
  tick(): void {
    for (const tab of this.#roster.overdue()) this.#lose(tab);
    for (const active of this.#leases.late()) {
      this.#roster.send(active.tab, { t: 'stop', number: active.number });
      this.#leaseLost(active.number, 'deadline_exceeded');
    }
    for (const { want, stream } of this.#waiting.expired()) {
      this.#endStream(want.task, stream, overloaded('All tabs stayed busy.'));
    }
    this.#checks.tick();
    this.#links.tick();
  }
}

function refuse(socket: TabSocket, error: ShoalError): void {
  try {
    socket.send(
      encodeMessage({ t: 'refused', error: { code: error.code, message: error.message, param: error.param } }),
    );
    socket.close(error.code === 'version_unsupported' ? CLOSE.version : CLOSE.protocol, error.code);
  } catch {
    // Already closed.
  }
}

/** The lease in a tab's message. The session verifies the router's signature on it. */
function readLease(statement: Signed): Lease {
  return parsePayload('lease', leaseSchema, statement);
}

function ownLease(tab: Tab, statement: Signed): Lease {
  const lease = readLease(statement);
  if (lease.tab !== tab.identity) throw new ShoalError('invalid_value', 'The lease belongs to another tab.');
  return lease;
}

function failedEvent(error: ShoalError): StreamEvent {
  const { code, message, param, retry_after_ms } = error.toWire();
  return { t: 'failed', error: { code, message, param, retry_after_ms } };
}

function overloaded(message: string): ShoalError {
  return new ShoalError('overloaded', message, { retryAfterMs: 10_000 });
}

function noTab(want: LeaseWant): ShoalError {
  const model = want.variants[0]?.model ?? 'this model';
  return new ShoalError('no_tab', `No tab serves ${model} at the moment. Open ${want.network}/join to lend one.`, {
    retryAfterMs: 15_000,
  });
}

function lostMessage(code: ErrorCode): string {
  switch (code) {
    case 'cancelled':
      return 'The request was stopped.';
    case 'deadline_exceeded':
      return 'The tab did not answer in time.';
    default:
      return 'The tab that answered went away.';
  }
}
