import { type ErrorCode, ShoalError } from '../../shared/errors.ts';
import { CHECK_DEADLINE_MS, MAX_FRAME_BYTES } from '../../shared/limits.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { LeaseRole } from '../../shared/protocol/lease.ts';
import { decodePacket, encodePacket, type Packet } from '../../shared/protocol/packets.ts';
import type { Placement } from '../../shared/protocol/placement.ts';
import { CLOSE, decodeTabToRouter, encodeMessage, type TabToRouter } from '../../shared/protocol/tab-socket.ts';
import { decodeEnvelope, type Wrap } from '../../shared/sealing/envelope.ts';
import { peekFrame, saysSomething } from '../../shared/sealing/frames.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';
import { Allocator } from '../allocation/allocator.ts';
import { NetworkTasks } from '../network-tasks/network-tasks.ts';
import type { TabView } from '../record/record-book.ts';
import type { Decision, Ended } from '../session/session.ts';
import { AnswerDesk } from './answer-desk.ts';
import { CheckDesk } from './check-desk.ts';
import { type ActiveLease, type KnownLease, LeaseBook } from './lease-book.ts';
import { LinkDesk } from './link-desk.ts';
import { type LivePool, livePool } from './live-pool.ts';
import { MarkedTasks } from './marked-tasks.ts';
import { MessageRate } from './message-rate.ts';
import { MisplacedTabs } from './misplaced-tabs.ts';
import { NetworkDesk } from './network-desk.ts';
import { type Outlook, outlookOf } from './outlook.ts';
import type { LeaseWant, PoolPorts } from './pool-ports.ts';
import { failedEvent, failureOf, lost, overloaded } from './stream-errors.ts';
import type { NamedTab, Served, Tab, TabAttachment, TabSocket } from './tab.ts';
import { type Suspicion, TabRecords } from './tab-records.ts';
import { type Census, type TabKind, TabRoster } from './tab-roster.ts';
import { TaskBook } from './task-book.ts';
import type { StreamSink, TaskStream } from './task-stream.ts';
import { WaitingLine, type WaitingRequest } from './waiting-line.ts';
import { type Demand, WantedClasses } from './wanted-classes.ts';

/**
 * The connected tabs, the leases that they work on, and the tasks in hand. Memory only: a tab comes back with its socket, and every lease is a
 * signed statement that its holders bring along, so a pool that lost its memory takes up where it was.
 */
export class Pool {
  readonly #ports: PoolPorts;
  readonly #roster: TabRoster;
  readonly #leases: LeaseBook;
  readonly #waiting: WaitingLine;
  readonly #allocator: Allocator<WaitingRequest>;
  readonly #links: LinkDesk;
  readonly #tasks: TaskBook;
  readonly #checks: CheckDesk;
  readonly #answers: AnswerDesk;
  readonly #rate: MessageRate;
  readonly #records: TabRecords;
  readonly #marked: MarkedTasks;
  readonly #network: NetworkDesk | null;
  readonly #wanted: WantedClasses;
  readonly #misplaced: MisplacedTabs;

  constructor(ports: PoolPorts) {
    this.#ports = ports;
    this.#roster = new TabRoster(ports.signer.publicKey, ports.now, ports.isGuard, ports.place.claim);
    this.#allocator = new Allocator(ports.now, ports.random);
    this.#leases = new LeaseBook(ports.signer, ports.now, ports.random, ({ number, tab, class: id, model, sampling }) =>
      this.#allocator.occupied(number, tab, id, model, sampling.maxTokens),
    );
    this.#waiting = new WaitingLine(this.#allocator, () => this.#answers.seats(null), ports.now);
    this.#links = new LinkDesk(ports.now);
    this.#wanted = new WantedClasses(ports.now);
    this.#rate = new MessageRate(ports.now);
    this.#marked = new MarkedTasks(ports.now);
    this.#tasks = new TaskBook(ports.now, ports.random, (served, stream) => this.#answers.clientGone(served, stream));
    this.#records = new TabRecords(ports.records, this.#roster, ports.random);
    this.#misplaced = new MisplacedTabs(ports.place, this.#roster, this.#tasks);
    const host = {
      ports,
      records: this.#records,
      roster: this.#roster,
      leases: this.#leases,
      tasks: this.#tasks,
      waiting: this.#waiting,
      allocator: this.#allocator,
      release: (number: number) => this.#release(number),
      decide: (task: TaskTail, decision: Decision) => this.decide(task, decision),
    };
    this.#checks = new CheckDesk(host);
    this.#answers = new AnswerDesk({
      ...host,
      checks: this.#checks,
      makeRoom: (classes) => this.#network?.makeRoom(classes),
      setFree: (tab) => this.#setFree(tab),
    });
    const own = ports.networkTasks;
    this.#network = own === null ? null : new NetworkDesk(host, new NetworkTasks(own, this), own.known);
  }

  /** Whether {@link tick} has anything to watch over. */
  get isBusy(): boolean {
    return (
      this.#leases.size > 0 ||
      this.#tasks.size > 0 ||
      this.#waiting.length > 0 ||
      this.#links.size > 0 ||
      this.#network?.isBusy === true ||
      this.#misplaced.isBusy ||
      this.#roster.isExpecting
    );
  }

  census(): Census[] {
    return this.#roster.census();
  }

  /** Tabs by the classes that they serve, each once. */
  kinds(): TabKind[] {
    return this.#roster.kinds();
  }

  /** What is asked for and waits, or found nobody. */
  demand(): Demand[] {
    return this.#wanted.demand(this.#waiting.classes);
  }

  /** Tabs that may serve by record and placement, by class, and how long a request of so many tokens would wait for one of these classes. */
  outlook(placement: Placement, classes: readonly string[], tokens: number): Outlook {
    return outlookOf({
      roster: this.#roster,
      records: this.#records,
      allocator: this.#allocator,
      seats: this.#answers.seats(null),
      placement,
      classes,
      tokens,
    });
  }

  /** Capacity, line and waits, as everybody may see them. */
  live(models: readonly { readonly model: string; readonly classes: readonly string[] }[]): LivePool {
    return livePool({
      roster: this.#roster,
      records: this.#records,
      allocator: this.#allocator,
      seats: this.#answers.seats(null),
      waiting: this.#waiting.byModel(),
      models,
    });
  }

  /** Digests of the networks that serving tabs are on. */
  networks(): string[] {
    const serving = this.#roster
      .connected()
      .filter((tab) => tab.models.some((model) => this.#records.rank(tab, model.class) !== null));
    return [...new Set(serving.map(({ network }) => network))];
  }

  /** Those of these tasks that wait here for a tab, or have one. */
  inHand(tasks: readonly TaskTail[]): TaskTail[] {
    return tasks.filter((task) => this.#tasks.get(task) !== undefined);
  }

  /** Stops what is waited for, or being written, for these tasks: their session is over, or its owner wants no more of them. */
  stop(tasks: readonly TaskTail[]): void {
    for (const task of tasks)
      this.#answers.stop(task, new ShoalError('cancelled', "The owner of the task's session stopped it."));
  }

  /** What the network knows of a tab: `GET /v1/tabs/:id`. */
  tabView(identity: string): TabView {
    return this.#records.view(identity);
  }

  /** What a tab serves now; null when it is not connected. */
  served(identity: string): Served | null {
    const tab = this.#roster.get(identity);
    if (tab?.socket == null) return null;
    return { classes: tab.models.map((model) => model.class), checkOnly: tab.checkOnly };
  }

  /** An answer of this tab looked wrong to whoever read it: more of its answers are checked. */
  suspect(identity: string, classId: string, reason: Suspicion): void {
    this.#records.suspect(identity, classId, reason);
  }

  /** Whose device this tab is now; null: nobody's that is known. Checks by tabs of one owner are not independent. */
  owned(identity: string, owner: string | null): void {
    const tab = this.#roster.get(identity);
    if (tab === undefined || tab.owner === owner) return;
    tab.owner = owner;
    this.#roster.remember(tab);
  }

  /** Bans a tab in a class, or takes a ban or a quarantine back, by word of the operator. */
  setStanding(identity: string, classId: string, standing: 'banned' | 'new'): void {
    if (standing === 'banned') this.#records.ban(identity, classId);
    else this.#records.pardon(identity, classId);
    this.#serveWaiting();
  }

  // ---- sockets -----------------------------------------------------------------------------------------------------

  /** `named`: the identity that the socket was opened for; null where it named none. */
  greet(socket: TabSocket, network: string, named: NamedTab | null = null): void {
    this.#roster.greet(socket, network, named);
    this.#ports.busy();
  }

  restore(socket: TabSocket, attachment: TabAttachment): void {
    this.#roster.restore(socket, attachment);
  }

  /** A message of a tab. What the protocol does not know closes the socket with the reason; a fault of our own does not. */
  async receive(socket: TabSocket, data: string | ArrayBuffer): Promise<void> {
    if (this.#roster.isRefused(socket)) return;
    try {
      if (typeof data !== 'string') return this.#packet(this.#roster.of(socket), decodePacket(data));
      this.#rate.count(socket);
      const message = decodeTabToRouter(data);
      if (message.t === 'hello') await this.#hello(socket, message);
      else await this.#message(this.#roster.of(socket), message);
    } catch (cause) {
      const error = ShoalError.from(cause);
      if (error.code === 'internal_error') {
        this.#ports.log('tab_message_failed', { reason: String(cause) });
        return;
      }
      this.#ports.log('tab_refused', { code: error.code, reason: error.message });
      this.#refuse(socket, error);
    }
  }

  closed(socket: TabSocket, code: number): void {
    const tab = this.#roster.lostSocket(socket);
    if (tab === null) return;
    const meantIt = code === 1000 || code === 1001;
    if (meantIt || tab.leases.size === 0) this.#lose(tab);
    else this.#ports.busy();
  }

  #refuse(socket: TabSocket, error: ShoalError): void {
    const tab = this.#roster.refuse(socket);
    try {
      const { code, message, param } = error;
      socket.send(encodeMessage({ t: 'refused', error: { code, message, param } }));
      socket.close(error.code === 'version_unsupported' ? CLOSE.version : CLOSE.protocol, error.code);
    } catch {
      // Already closed.
    }
    if (tab !== null) this.#lose(tab);
  }

  async #hello(socket: TabSocket, hello: Extract<TabToRouter, { t: 'hello' }>): Promise<void> {
    const admitted = await this.#roster.admit(socket, hello);
    if (admitted === null) return;
    const { tab, before } = admitted;
    for (const number of before?.leases ?? []) {
      const active = this.#leases.get(number);
      if (hello.running.includes(number)) this.#leases.moveTo(number, tab);
      else if (active !== undefined) this.#answers.lost(active, 'tab_lost');
    }
    this.#roster.send(tab, { t: 'welcome', tab: tab.identity, now: this.#ports.now() });
    for (const number of tab.leases) {
      const active = this.#leases.get(number);
      if (active?.lease.role !== 'answer') continue;
      // A stop that was said while the socket was down has not been heard.
      if (active.stoppedAt !== null) this.#roster.send(tab, { t: 'stop', number });
      this.#roster.send(tab, { t: 'resend', number, from: active.nextFrame });
    }
    this.#learnOwner(tab);
    this.#ports.log('tab_joined', { tab: tab.identity, models: tab.models.length });
    this.#serveWaiting();
    this.#network?.tick();
  }

  /** Whether this identity has a seat here, with or without its socket. */
  isSeated(identity: string): boolean {
    return this.#roster.get(identity) !== undefined;
  }

  /** The same identity came to another pool: one identity, one seat. */
  replaced(identity: string): void {
    const tab = this.#roster.replaced(identity);
    if (tab !== null) this.#lose(tab);
  }

  /** The tab need not wait for it. */
  #learnOwner({ identity }: Tab): void {
    this.#ports.ownerOf(identity).then(
      (owner) => this.owned(identity, owner),
      (cause) => this.#ports.log('owner_unknown', { tab: identity, reason: String(cause) }),
    );
  }

  #lose(tab: Tab): void {
    this.#roster.remove(tab);
    this.#allocator.left(tab.identity);
    for (const number of [...tab.leases]) {
      const active = this.#leases.get(number);
      if (active !== undefined) this.#answers.lost(active, 'tab_lost');
    }
    this.#ports.log('tab_left', { tab: tab.identity });
    this.#serveWaiting(); // Whoever waited for the last tab of a class is refused now.
  }

  #release(number: number): ActiveLease | null {
    const active = this.#leases.release(number);
    this.#allocator.over(number);
    if (active !== null) this.#serveWaiting();
    return active;
  }

  /** A user means this tab: what it does for the network itself is stopped, and its slot is free at once. Nobody is blamed for what is left undone. */
  #setFree(identity: string): void {
    const tab = this.#roster.get(identity);
    for (const number of [...(tab?.leases ?? [])]) {
      const active = this.#leases.get(number);
      if (active === undefined || this.#network?.stop(active.lease.task) !== true) continue;
      this.#roster.send(active.tab, { t: 'stop', number });
      if (active.lease.role === 'check') this.#checks.dropped(active);
      else this.#answers.lost(active, 'cancelled');
    }
  }

  #serveWaiting(): void {
    this.#answers.serveLine();
  }

  // ---- a client's side ---------------------------------------------------------------------------------------------

  request(want: LeaseWant, sink: StreamSink): TaskStream {
    const stream = this.#answers.request(want, sink);
    this.#tellWanted([want]);
    return stream;
  }

  /** The parts of one request; see {@link AnswerDesk.requestMany}. */
  requestMany(wants: readonly LeaseWant[], sinkOf: () => StreamSink, mostWaiting: number): TaskStream[] {
    const streams = this.#answers.requestMany(wants, sinkOf, mostWaiting);
    this.#tellWanted(wants.slice(0, 1)); // They ask for one model.
    return streams;
  }

  /** Free tabs hear which classes are short, when there is news of it: each decides by itself whether to load another model. */
  #tellWanted(wants: readonly LeaseWant[]): void {
    const census = this.#roster.census();
    const served = new Set(census.map((entry) => entry.class));
    for (const want of wants)
      this.#wanted.asked(
        want.variants.map((variant) => variant.class),
        served,
      );
    const classes = this.#wanted.toTell(this.#waiting.classes, census);
    if (classes.length === 0) return;
    for (const tab of this.#roster.connected()) {
      const isFree = tab.leases.size === 0 && tab.models.length > 0 && !tab.checkOnly;
      if (isFree && !tab.models.some(({ class: id }) => classes.includes(id))) {
        this.#roster.send(tab, { t: 'wanted', classes });
      }
    }
  }

  /** Whoever reads this task has gone, and why: the router's own Workers say so. Told twice it changes nothing. */
  leave(tail: TaskTail, why: ErrorCode): void {
    if (why === 'answer_disputed') this.#answers.disputed(tail);
    this.#tasks.get(tail)?.stream?.gone();
  }

  reattach(tail: TaskTail, statement: Signed, from: number, sink: StreamSink): Promise<TaskStream> {
    return this.#answers.reattach(tail, statement, from, sink);
  }

  /** Passes a sealed envelope to the tab that its lease names. Throws `sealed_body_invalid` or `tab_lost`. */
  async deliver(tail: TaskTail, envelope: Uint8Array<ArrayBuffer>): Promise<void> {
    const { wrap } = decodeEnvelope(envelope);
    const known = await this.#clientsLease(tail, wrap.lease);
    const { lease, active } = known;
    const packet = encodePacket('envelope', lease.number, envelope);
    if (!this.#roster.sendRaw(this.#roster.get(lease.tab), packet)) {
      if (active !== null) this.#answers.lost(active, 'tab_lost');
      throw new ShoalError('tab_lost', 'The tab went away before the prompt reached it.');
    }
    if (lease.role === 'check') {
      if (active !== null) await this.#checks.deliveredByClient(active, envelope.byteLength);
    } else if (active !== null) {
      active.isDelivered = true;
      void active.open(); // The tab is at work already: what is kept of the task need not hold up its first token.
    }
  }

  /** The client wrapped the body key for the checker. Throws `sealed_body_invalid` or `tab_lost`. */
  async handOn(tail: TaskTail, wrap: Wrap): Promise<void> {
    const { lease } = await this.#clientsLease(tail, wrap.lease);
    await this.#checks.wrapped(tail, lease, wrap);
  }

  /** One offer from a client to the tab that works for it; the tab's answer, or null when it declines or is silent. */
  async link(tail: TaskTail, statement: Signed, link: string, signal: Signed): Promise<Signed | null> {
    // A short answer is written before the link is offered: the link is for the questions that follow.
    const known = await this.#leases.find(statement).catch(() => null);
    if (known?.lease.task !== tail || known.lease.expiresAt <= this.#ports.now()) return null;
    const tab = this.#roster.get(known.lease.tab);
    if (signal.key !== known.lease.client || tab === undefined || !tab.direct) return null;
    return this.#offerTo(tab, { link, from: signal.key, signal });
  }

  /** A direct link broke: the tab that is at work is asked for its frames by relay. Throws `tab_lost`. */
  async resend(tail: TaskTail, statement: Signed, from: number): Promise<void> {
    const { lease } = await this.#clientsLease(tail, statement);
    const isAsked =
      lease.role === 'answer' &&
      this.#roster.send(this.#roster.get(lease.tab), { t: 'resend', number: lease.number, from });
    if (!isAsked) throw lost('tab_lost');
  }

  /** A lease as the client of this task brings it. Throws `sealed_body_invalid` or `tab_lost`. */
  async #clientsLease(tail: TaskTail, statement: Signed): Promise<KnownLease> {
    const known = await this.#leases.find(statement).catch(() => null);
    if (known?.lease.task !== tail) throw new ShoalError('sealed_body_invalid', 'The lease is none of this task.');
    if (known.isOver) throw lost('tab_lost');
    return known;
  }

  // ---- a tab's side ------------------------------------------------------------------------------------------------

  #packet(tab: Tab, packet: Packet): void {
    const active = this.#leases.get(packet.number);
    if (active === undefined) return this.#replayedFrame(tab, packet);
    if (packet.kind === 'frame') {
      if (active.lease.tab !== tab.identity || active.lease.role !== 'answer') return;
      if (packet.payload.byteLength > MAX_FRAME_BYTES) throw new ShoalError('invalid_value', 'A frame is too long.');
      // Or it would be the first to write without having written: the other of two would be stopped for it. What is padded its reader refuses.
      if (!active.lease.private && !saysSomething(packet.payload)) {
        throw new ShoalError('invalid_value', 'A frame says nothing.');
      }
      const isFirst = active.state !== 'running';
      if (isFirst) this.#allocator.firstToken(packet.number);
      this.#leases.moved(active, 'running');
      if (isFirst) this.#answers.wrote(active);
      // Frames that are sent again must not raise it: after the next break they would be missing.
      active.nextFrame = Math.max(active.nextFrame, peekFrame(packet.payload).sequence + 1);
      this.#tasks.get(active.lease.task)?.stream?.frame(packet.whole);
      return;
    }
    // Handed on by relay: from the tab that answered to the tab that checks.
    const answer = this.#tasks.get(active.lease.task)?.answer;
    if (active.lease.role !== 'check' || answer?.tab !== tab.identity || packet.kind === 'stop') return;
    this.#roster.sendRaw(active.tab, encodePacket(packet.kind, packet.number, packet.payload));
  }

  /** A frame that is sent again after the answer was written. Any other is late: its client left. */
  #replayedFrame(tab: Tab, packet: Packet): void {
    const served = this.#tasks.ofAnswer(packet.number);
    const isWanted = packet.kind === 'frame' && packet.payload.byteLength <= MAX_FRAME_BYTES;
    if (isWanted && served?.answer?.tab === tab.identity) served.stream?.frame(packet.whole);
  }

  async #message(tab: Tab, message: Exclude<TabToRouter, { t: 'hello' }>): Promise<void> {
    switch (message.t) {
      case 'keys':
        return this.#roster.addKeys(tab, message.keys);
      case 'ready':
        this.#roster.setReady(tab, message);
        return this.#serveWaiting();
      case 'accepted':
        return this.#answers.accepted(tab, message.number, message.promptTokens);
      case 'failed':
        return this.#ofTab(tab, message.lease, (known) => this.#answers.fail(known, failureOf(message.error)));
      case 'committed':
        return this.#ofTab(tab, message.lease, (known) => this.#answers.committed(tab, known, message.commit));
      case 'handedOn':
        return this.#checks.handedOn(tab, message.lease, message.path, message.bytes);
      case 'checkCommitted':
        return this.#ofTab(tab, message.lease, (known) => this.#checks.committed(known, message.commit));
      case 'guessed':
        return this.#ofTab(tab, message.lease, (known) => this.#checks.guessed(known, message.index, message.leaf));
      case 'checkRevealed':
        return this.#ofTab(tab, message.lease, (known) =>
          this.#checks.revealed(known, message.reveal, message.evidence),
        );
      case 'offer':
        return this.#offer(tab, message);
      case 'answer':
        return this.#links.answer(message.link, tab.identity, message.signal);
      case 'bye':
        return this.#bye(tab);
    }
  }

  /** Acts on what a tab says of a lease of its own that is not over. Late words change nothing; those for other tabs' leases refuse the tab. */
  async #ofTab(tab: Tab, statement: Signed, act: (known: KnownLease) => Promise<void>): Promise<void> {
    const known = await this.#leases.find(statement);
    if (known.lease.tab !== tab.identity) throw new ShoalError('invalid_value', 'The lease belongs to another tab.');
    if (!known.isOver) await act(known);
    else this.#answers.replayed(tab, known.lease);
  }

  /** Whoever says so is gone at once: nobody waits for a tab that was stopped. */
  #bye(tab: Tab): void {
    const { socket } = tab;
    if (socket === null) return;
    this.closed(socket, 1000);
    socket.close(1000, 'bye');
  }

  /** A link from a tab to one that it hands a subtask on to. */
  async #offer(tab: Tab, { link, to, signal }: Extract<TabToRouter, { t: 'offer' }>): Promise<void> {
    const partner = tab.partners.has(to) ? this.#roster.get(to) : undefined;
    const isOpen = partner?.direct === true && signal.key === tab.identity;
    const answer = isOpen ? await this.#offerTo(partner, { link, from: tab.identity, signal }) : null;
    this.#roster.send(tab, { t: 'answer', link, signal: answer });
  }

  #offerTo(
    tab: Tab,
    offer: { readonly link: string; readonly from: string; readonly signal: Signed },
  ): Promise<Signed | null> {
    const answer = this.#links.wait(offer.link, tab.identity);
    this.#ports.busy();
    this.#roster.send(tab, { t: 'offer', ...offer });
    return answer;
  }

  // ---- ends --------------------------------------------------------------------------------------------------------

  /** Does what the session of a task decided. */
  async decide(task: TaskTail, decision: Decision): Promise<void> {
    if (decision.do === 'draw') await this.#checks.drawn(task, decision.checker);
    else if (decision.do === 'show') this.#checks.show(task, decision);
    else if (decision.do === 'end') this.#end(task, decision);
  }

  /** The session ended a task: tell everyone who took part, once. */
  #end(task: TaskTail, ended: Ended): void {
    this.#mark(task, ended);
    const leases = this.#leases.ofTask(task);
    if (this.#tasks.get(task) === undefined && leases.length === 0) return;
    this.#tasks.tell(task, { t: 'ended', verdict: ended.verdict, receipt: ended.receipt });
    this.#tasks.close(task);
    for (const active of leases) {
      this.#roster.send(active.tab, { t: 'stop', number: active.number });
      this.#release(active.number);
    }
    const tell = (identity: string, role: LeaseRole) => {
      const outcome = ended.marks.find((mark) => mark.tab === identity && mark.role === role)?.outcome ?? null;
      const { value } = ended.verdict;
      this.#roster.send(this.#roster.get(identity), { t: 'verdict', task, role, value, outcome });
    };
    tell(ended.answerTab, 'answer');
    for (const checker of ended.checkers) tell(checker, 'check');
    this.#ports.log('task_ended', { task, verdict: ended.verdict.value });
  }

  /** Takes down what the end says of each, whether or not somebody is left to be told. */
  #mark(task: TaskTail, { endedAt, marks }: Ended): void {
    if (!this.#marked.take(task, endedAt)) return;
    if (this.#network?.owns(task) === true) return this.#network.ended(task, marks);
    for (const mark of this.#records.weighed(marks)) {
      this.#records.observe(mark, { source: 'user', byKnownAnswer: false });
    }
  }

  // ---- time --------------------------------------------------------------------------------------------------------

  /** Looks at every deadline. Called about once a second while {@link isBusy}. */
  tick(): void {
    for (const tab of this.#roster.overdue()) this.#lose(tab);
    this.#roster.dropSilent();
    for (const active of this.#leases.late()) this.#late(active);
    for (const { want } of this.#waiting.expired()) {
      this.#tasks.tell(want.task, failedEvent(overloaded('All tabs stayed busy.')));
      this.#tasks.close(want.task);
    }
    this.#answers.stopLate();
    this.#answers.serveLine(true); // Whoever waits for a tab that is later than expected may be better off with another by now.
    this.#answers.tick();
    this.#waiting.tick();
    this.#tellWanted([]);
    this.#checks.tick();
    this.#network?.tick();
    this.#links.tick();
    this.#moveOn();
    this.#closeForgotten();
  }

  /** Idle tabs go to the pools where they belong now, some at a time. */
  #moveOn(): void {
    for (const tab of this.#misplaced.next()) {
      const { socket, homeKey } = tab;
      if (socket === null) continue;
      this.#ports.log('tab_moved', { tab: tab.identity });
      const code = homeKey === null ? CLOSE.version : CLOSE.moved; // One that does not name itself is older than pools.
      socket.close(code, homeKey === null ? 'older than pools' : 'moved');
      this.closed(socket, code);
    }
  }

  #late(active: ActiveLease): void {
    const { tab, number, state, stoppedAt } = active;
    this.#roster.send(tab, { t: 'stop', number });
    this.#answers.lost(active, stoppedAt === null ? 'deadline_exceeded' : 'cancelled');
    this.#roster.rest(tab);
    if (state !== 'leased' || tab.socket === null) return;
    // It did not even take the lease up: its socket may be dead. An honest tab comes back on a new one.
    tab.socket.close(CLOSE.late, 'late');
    this.closed(tab.socket, CLOSE.late);
  }

  /** Tasks whose session was never heard again. The session ends them by its own alarm. */
  #closeForgotten(): void {
    const at = this.#ports.now();
    for (const { task, answer, replayUntil } of this.#tasks.all()) {
      if (replayUntil !== null && at > replayUntil) this.#tasks.close(task);
      if (answer === null || at <= answer.expiresAt + 2 * CHECK_DEADLINE_MS) continue;
      this.#tasks.tell(task, failedEvent(lost('deadline_exceeded')));
      this.#tasks.close(task);
    }
  }
}
