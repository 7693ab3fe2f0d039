import { randomBytes, toBase64Url } from '../../shared/bytes.ts';
import type { UncheckedReason } from '../../shared/checking/verdict.ts';
import { type ErrorCode, isErrorCode, ShoalError } from '../../shared/errors.ts';
import {
  ACK_DEADLINE_MS,
  FIRST_FRAME_DEADLINE_MS,
  FRAME_GAP_DEADLINE_MS,
  HAND_ON_DEADLINE_MS,
  MAX_FRAME_BYTES,
  MAX_WAIT_MS,
  MAX_WAITING_REQUESTS,
  ONE_TIME_KEY_BATCH,
  ONE_TIME_KEY_LOW_WATER,
  RECONNECT_GRACE_MS,
  SUBTASK_DEADLINE_MS,
} from '../../shared/limits.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import { type Lease, type LeaseRole, lease as leaseSchema, type Sampling, tabKey } from '../../shared/protocol/lease.ts';
import { decodePacket, encodePacket, type Packet } from '../../shared/protocol/packets.ts';
import {
  CLOSE,
  decodeTabToRouter,
  encodeMessage,
  helloClaim,
  type RouterToTab,
  type TabToRouter,
} from '../../shared/protocol/tab-socket.ts';
import { PROTOCOL_VERSION } from '../../shared/protocol/version.ts';
import type { Independence } from '../../shared/receipt/receipt.ts';
import { decodeEnvelope, type Wrap } from '../../shared/sealing/envelope.ts';
import { openStatement, parsePayload, type Signed, type Signer } from '../../shared/signing/signed-statement.ts';
import { chooseTab } from '../allocation/choose-tab.ts';
import type { Decision, Ended } from '../session/session.ts';
import type { CheckOutcome, TaskTerms } from '../task/task.ts';
import { LinkDesk } from './link-desk.ts';
import { attachmentOf, independenceOf, type Tab, type TabAttachment, type TabSocket, tabFrom } from './tab.ts';
import { type StreamSink, TaskStream } from './task-stream.ts';

/** The session of a task, as the pool calls it. Throws errors of the vocabulary. */
export interface SessionPort {
  open(terms: TaskTerms): Promise<void>;
  committed(
    tail: TaskTail,
    lease: Signed,
    commit: Signed,
    candidates: readonly { readonly tab: string; readonly independence: Independence }[],
  ): Promise<Decision>;
  checkLeased(tail: TaskTail, lease: Signed, independence: Independence): Promise<Decision>;
  handedOn(tail: TaskTail): Promise<Decision>;
  checkCommitted(tail: TaskTail, lease: Signed, commit: Signed, handedOn: CheckOutcome['handedOn']): Promise<Decision>;
  checkRevealed(tail: TaskTail, lease: Signed, reveal: Signed): Promise<Decision>;
  checkFailed(tail: TaskTail, checker: string, reason: UncheckedReason): Promise<Decision>;
  failed(tail: TaskTail, code: ErrorCode): Promise<Decision>;
}

export interface PoolPorts {
  readonly signer: Signer;
  readonly sessions: SessionPort;
  readonly now: () => number;
  readonly random: () => number;
  /** One line a lifecycle transition; ids only. */
  readonly log: (event: string, fields: Readonly<Record<string, string | number>>) => void;
}

/** What a request needs of a tab, and what its lease will say. */
export interface LeaseWant {
  readonly task: TaskTail;
  readonly network: string;
  readonly variants: readonly { readonly model: string; readonly variant: string; readonly class: string }[];
  readonly level: 'none' | 'cross';
  readonly private: boolean;
  readonly sampling: Sampling;
  readonly client: string;
  readonly nonce: string;
  readonly prefer: string | null;
  readonly token: string;
  readonly readablePromptBytes: number;
}

interface ActiveLease {
  readonly number: number;
  readonly lease: Lease;
  readonly statement: Signed;
  /** The tab's signature on the key that the lease seals to; null when the lease came back after a restart. */
  readonly keyStatement: Signed | null;
  state: 'leased' | 'accepted' | 'running';
  readonly leasedAt: number;
  movedAt: number;
  /** The number of the frame that is due next by relay. */
  nextFrame: number;
  /** Resolves when the session knows the task. */
  readonly opened: Promise<unknown>;
  /** For a check: when the client's wrap was given to the answering tab, and how it handed the subtask on. */
  wrapSentAt: number | null;
  handedOn: CheckOutcome['handedOn'];
}

interface WaitingRequest {
  readonly want: LeaseWant;
  readonly stream: TaskStream;
  readonly since: number;
}

/**
 * The connected tabs, the leases that they work on, and the streams of running tasks. Memory only: a tab comes back with its socket, and
 * every lease is a signed statement that its holders bring along, so a pool that lost its memory takes up where it was.
 */
export class Pool {
  readonly #ports: PoolPorts;
  readonly #tabs = new Map<string, Tab>();
  readonly #tabOf = new Map<TabSocket, Tab>();
  readonly #greetings = new Map<TabSocket, { readonly nonce: string; readonly network: string }>();
  readonly #leases = new Map<number, ActiveLease>();
  readonly #streams = new Map<TaskTail, TaskStream>();
  readonly #waiting: WaitingRequest[] = [];
  readonly #links: LinkDesk;

  constructor(ports: PoolPorts) {
    this.#ports = ports;
    this.#links = new LinkDesk(ports.now);
  }

  /** Whether {@link tick} has anything to watch over. */
  get isBusy(): boolean {
    return this.#leases.size > 0 || this.#waiting.length > 0 || this.#links.size > 0 || this.#hasMissingTabs();
  }

  census(): { readonly class: string; readonly tabs: number; readonly free: number }[] {
    const counts = new Map<string, { tabs: number; free: number }>();
    for (const tab of this.#tabs.values()) {
      for (const { class: id } of tab.models) {
        const entry = counts.get(id) ?? { tabs: 0, free: 0 };
        entry.tabs++;
        if (tab.leases.size === 0 && tab.socket !== null) entry.free++;
        counts.set(id, entry);
      }
    }
    return [...counts].map(([id, entry]) => ({ class: id, ...entry }));
  }

  // ---- sockets -----------------------------------------------------------------------------------------------------

  /** A new socket: it must prove an identity before anything else. */
  greet(socket: TabSocket, network: string): void {
    const nonce = toBase64Url(randomBytes(32));
    socket.remember({ state: 'greeting', nonce, network });
    this.#greetings.set(socket, { nonce, network });
    const router = this.#ports.signer.publicKey;
    socket.send(encodeMessage({ t: 'challenge', v: PROTOCOL_VERSION, nonce, router }));
  }

  /** A socket that outlived the pool's memory. */
  restore(socket: TabSocket, attachment: TabAttachment): void {
    if (attachment.state === 'greeting') {
      this.#greetings.set(socket, attachment);
      return;
    }
    const tab = tabFrom(attachment, socket);
    this.#tabs.set(tab.identity, tab);
    this.#tabOf.set(socket, tab);
  }

  async receive(socket: TabSocket, data: string | ArrayBuffer): Promise<void> {
    try {
      if (typeof data !== 'string') return this.#packet(socket, decodePacket(data));
      const message = decodeTabToRouter(data);
      if (message.t === 'hello') return await this.#hello(socket, message);
      const tab = this.#tabOf.get(socket);
      if (tab === undefined) throw new ShoalError('invalid_value', 'The first message must be hello.');
      await this.#message(tab, message);
    } catch (cause) {
      const error = ShoalError.from(cause);
      this.#ports.log('tab_message_refused', { code: error.code, reason: error.message });
      this.#refuse(socket, error);
    }
  }

  closed(socket: TabSocket, code: number): void {
    this.#greetings.delete(socket);
    const tab = this.#tabOf.get(socket);
    this.#tabOf.delete(socket);
    if (tab === undefined || tab.socket !== socket) return;
    tab.socket = null;
    tab.goneAt = this.#ports.now();
    const meantIt = code === 1000 || code === 1001;
    if (meantIt || tab.leases.size === 0) this.#lose(tab);
  }

  #refuse(socket: TabSocket, error: ShoalError): void {
    try {
      socket.send(encodeMessage({ t: 'refused', error: { code: error.code, message: error.message } }));
      socket.close(error.code === 'version_unsupported' ? CLOSE.version : CLOSE.protocol, error.code);
    } catch {
      // Already closed.
    }
  }

  async #hello(socket: TabSocket, hello: Extract<TabToRouter, { t: 'hello' }>): Promise<void> {
    const greeting = this.#greetings.get(socket);
    if (greeting === undefined) throw new ShoalError('invalid_value', 'Hello may be said once.');
    if (hello.v !== PROTOCOL_VERSION) {
      throw new ShoalError('version_unsupported', `This router speaks version ${PROTOCOL_VERSION}.`);
    }
    const claim = await openStatement('hello', helloClaim, hello.proof, null);
    if (claim.nonce !== greeting.nonce || claim.router !== this.#ports.signer.publicKey) {
      throw new ShoalError('invalid_value', 'Hello answers another challenge.');
    }
    const identity = hello.proof.key;
    const keys = await this.#openKeys(identity, hello.keys);
    const standingKey = keys.find((key) => !key.oneTime)?.statement;
    if (standingKey === undefined) throw new ShoalError('invalid_value', 'Hello lacks a standing sealing key.');
    if (!this.#greetings.delete(socket)) return; // Closed while the signatures were verified.

    const before = this.#tabs.get(identity);
    const tab = tabFrom(
      {
        state: 'ready',
        identity,
        network: greeting.network,
        standingKey,
        oneTimeKeys: keys.filter((key) => key.oneTime).map((key) => key.statement),
        models: hello.models,
        direct: hello.direct,
      },
      socket,
    );
    if (before !== undefined) {
      const replaced = before.socket;
      before.socket = null;
      if (replaced !== null) {
        this.#tabOf.delete(replaced);
        replaced.close(CLOSE.replaced, 'replaced');
      }
      for (const number of before.leases) {
        if (hello.running.includes(number)) tab.leases.add(number);
        else this.#leaseLost(number, 'tab_lost');
      }
    }
    this.#tabs.set(identity, tab);
    this.#tabOf.set(socket, tab);
    socket.remember(attachmentOf(tab));
    this.#send(tab, { t: 'welcome', tab: identity, now: this.#ports.now() });
    for (const number of tab.leases) {
      const active = this.#leases.get(number);
      if (active?.lease.role === 'answer') this.#send(tab, { t: 'resend', number, from: active.nextFrame });
    }
    this.#ports.log('tab_joined', { tab: identity, models: tab.models.length });
    this.#serveWaiting();
  }

  async #openKeys(identity: string, statements: readonly Signed[]): Promise<{ oneTime: boolean; statement: Signed }[]> {
    return Promise.all(
      statements.map(async (statement) => {
        const { oneTime } = await openStatement('tab-key', tabKey, statement, identity);
        return { oneTime, statement };
      }),
    );
  }

  #lose(tab: Tab): void {
    if (this.#tabs.get(tab.identity) === tab) this.#tabs.delete(tab.identity);
    for (const number of [...tab.leases]) this.#leaseLost(number, 'tab_lost');
    this.#ports.log('tab_left', { tab: tab.identity });
    this.#serveWaiting(); // Whoever waited for the last tab of a class is refused now.
  }

  #hasMissingTabs(): boolean {
    for (const tab of this.#tabs.values()) if (tab.socket === null) return true;
    return false;
  }

  #send(tab: Tab, message: RouterToTab): boolean {
    return this.#sendRaw(tab, encodeMessage(message));
  }

  #sendRaw(tab: Tab, data: string | Uint8Array<ArrayBuffer>): boolean {
    if (tab.socket === null) return false;
    try {
      tab.socket.send(data);
      return true;
    } catch {
      return false; // The close event that follows does the rest.
    }
  }

  // ---- requests ----------------------------------------------------------------------------------------------------

  /** Finds a tab for a task, now or within {@link MAX_WAIT_MS}; everything that follows is told on the stream. */
  request(want: LeaseWant, sink: StreamSink): TaskStream {
    const stream = this.#openStream(want.task, sink);
    if (!this.#grant(want, stream)) {
      if (this.#waiting.length >= MAX_WAITING_REQUESTS) {
        this.#endStream(want.task, stream, new ShoalError('overloaded', 'All tabs are busy and the queue is full.', { retryAfterMs: 10_000 }));
      } else {
        stream.event({ t: 'waiting', ahead: this.#waiting.length });
        this.#waiting.push({ want, stream, since: this.#ports.now() });
      }
    }
    return stream;
  }

  /** Takes up a stream that broke, by the lease that its reader holds. Frames from `from` on are sent again. */
  async reattach(statement: Signed, from: number, sink: StreamSink): Promise<TaskStream> {
    const lease = await openStatement('lease', leaseSchema, statement, this.#ports.signer.publicKey);
    const stream = this.#openStream(lease.task, sink);
    stream.answer = { lease, statement };
    const tab = this.#tabs.get(lease.tab);
    const known = this.#leases.get(lease.number);
    if (tab === undefined || lease.role !== 'answer') {
      this.#endStream(lease.task, stream, new ShoalError('tab_lost', 'The tab that answered went away.'));
      return stream;
    }
    if (known === undefined) this.#track(tab, lease, { statement, keyStatement: null, opened: Promise.resolve(), state: 'running', nextFrame: from });
    this.#send(tab, { t: 'resend', number: lease.number, from });
    return stream;
  }

  #openStream(task: TaskTail, sink: StreamSink): TaskStream {
    const stream: TaskStream = new TaskStream(sink, () => this.#clientGone(task, stream));
    this.#streams.set(task, stream);
    return stream;
  }

  /** True when the request was settled: leased, or refused because nobody serves it. */
  #grant(want: LeaseWant, stream: TaskStream): boolean {
    const classes = want.variants.map((variant) => variant.class);
    const candidates = [...this.#tabs.values()]
      .filter((tab) => tab.socket !== null)
      .flatMap((tab) =>
        tab.models.map((model) => ({
          tab: tab.identity,
          class: model.class,
          load: tab.leases.size,
          decodeSpeed: model.decodeSpeed,
        })),
      );
    const choice = chooseTab(candidates, { classes, prefer: want.prefer, exclude: [] }, this.#ports.random());
    if (choice.tab === null) {
      if (choice.why === 'all_busy') return false;
      this.#endStream(want.task, stream, noTab(want));
      return true;
    }
    const tab = this.#tabs.get(choice.tab);
    const variant = want.variants.find((candidate) => candidate.class === choice.class);
    if (tab === undefined || variant === undefined) return false;
    void this.#leaseAnswer(want, stream, tab, variant);
    return true;
  }

  async #leaseAnswer(want: LeaseWant, stream: TaskStream, tab: Tab, variant: LeaseWant['variants'][number]): Promise<void> {
    const { statement: keyStatement, sealTo, oneTime } = this.#takeKey(tab);
    const lease = this.#newLease(tab, 'answer', {
      task: want.task,
      sealTo,
      oneTime,
      model: variant.model,
      variant: variant.variant,
      class: variant.class,
      client: want.client,
      nonce: want.nonce,
      private: want.private,
      sampling: want.sampling,
    });
    tab.leases.add(lease.number); // Before anything is awaited: the next request must see the load.
    const statement = await this.#ports.signer.sign('lease', JSON.stringify(lease));
    const opened = this.#ports.sessions.open({
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
    });
    this.#track(tab, lease, { statement, keyStatement, opened, state: 'leased', nextFrame: 0 });
    opened.catch((cause) => {
      this.#release(lease.number);
      this.#send(tab, { t: 'stop', number: lease.number });
      this.#endStream(want.task, stream, ShoalError.from(cause));
    });
    if (!stream.isOpen) return this.#leaseLost(lease.number, 'cancelled'); // Its client left while it was signed.
    stream.answer = { lease, statement };
    stream.event({ t: 'leased', lease: statement, tabKey: keyStatement, token: want.token, direct: tab.direct });
    this.#ports.log('task_leased', { task: want.task, tab: tab.identity, number: lease.number });
  }

  #newLease(
    tab: Tab,
    role: LeaseRole,
    terms: Omit<Lease, 'v' | 'subtask' | 'attempt' | 'number' | 'role' | 'tab' | 'issuedAt' | 'expiresAt'>,
  ): Lease {
    const issuedAt = this.#ports.now();
    return {
      v: 1,
      task: terms.task,
      subtask: 0,
      attempt: 1,
      number: this.#newNumber(),
      role,
      tab: tab.identity,
      sealTo: terms.sealTo,
      oneTime: terms.oneTime,
      model: terms.model,
      variant: terms.variant,
      class: terms.class,
      client: terms.client,
      nonce: terms.nonce,
      private: terms.private,
      sampling: terms.sampling,
      issuedAt,
      expiresAt: issuedAt + SUBTASK_DEADLINE_MS,
    };
  }

  #newNumber(): number {
    for (;;) {
      const number = 1 + Math.floor(this.#ports.random() * 0xffff_fffe);
      if (!this.#leases.has(number)) return number;
    }
  }

  /** A key to seal to: a one-time key while the tab has some, else its standing key, which gives no forward secrecy. */
  #takeKey(tab: Tab): { statement: Signed; sealTo: string; oneTime: boolean } {
    const statement = tab.oneTimeKeys.shift() ?? tab.standingKey;
    tab.socket?.remember(attachmentOf(tab));
    if (tab.oneTimeKeys.length < ONE_TIME_KEY_LOW_WATER) {
      this.#send(tab, { t: 'keysWanted', count: ONE_TIME_KEY_BATCH - tab.oneTimeKeys.length });
    }
    const { key, oneTime } = parsePayload('tab-key', tabKey, statement);
    return { statement, sealTo: key, oneTime };
  }

  #track(
    tab: Tab,
    lease: Lease,
    rest: Pick<ActiveLease, 'statement' | 'keyStatement' | 'opened' | 'state' | 'nextFrame'>,
  ): void {
    tab.leases.add(lease.number);
    const at = this.#ports.now();
    this.#leases.set(lease.number, {
      number: lease.number,
      lease,
      ...rest,
      leasedAt: at,
      movedAt: at,
      wrapSentAt: null,
      handedOn: null,
    });
  }

  #release(number: number): ActiveLease | null {
    const active = this.#leases.get(number);
    if (active === undefined) return null;
    this.#leases.delete(number);
    this.#tabs.get(active.lease.tab)?.leases.delete(number);
    this.#serveWaiting();
    return active;
  }

  #serveWaiting(): void {
    for (let i = 0; i < this.#waiting.length; ) {
      const request = this.#waiting[i];
      if (request === undefined) return;
      if (!request.stream.isOpen || this.#grant(request.want, request.stream)) this.#waiting.splice(i, 1);
      else i++;
    }
  }

  // ---- a client's side ---------------------------------------------------------------------------------------------

  /** Passes a sealed envelope to the tab that its lease names. Throws `sealed_body_invalid` or `tab_lost`. */
  async deliver(tail: TaskTail, envelope: Uint8Array<ArrayBuffer>): Promise<void> {
    const { wrap } = decodeEnvelope(envelope);
    const lease = await openStatement('lease', leaseSchema, wrap.lease, this.#ports.signer.publicKey);
    if (lease.task !== tail) throw new ShoalError('sealed_body_invalid', 'The envelope is for another task.');
    const tab = this.#tabs.get(lease.tab);
    if (tab === undefined || !this.#sendRaw(tab, encodePacket('envelope', lease.number, envelope))) {
      this.#leaseLost(lease.number, 'tab_lost');
      throw new ShoalError('tab_lost', 'The tab went away before the prompt reached it.');
    }
    const active = this.#leases.get(lease.number);
    if (active?.lease.role === 'check') {
      active.handedOn = { path: 'relay', bytes: envelope.byteLength };
      await this.#decide(tail, await this.#ports.sessions.handedOn(tail));
    }
  }

  /** The client wrapped the body key for the checker: the answering tab hands the sealed subtask on. */
  async handOn(tail: TaskTail, wrap: Wrap): Promise<void> {
    const lease = await openStatement('lease', leaseSchema, wrap.lease, this.#ports.signer.publicKey);
    const answer = this.#streams.get(tail)?.answer ?? null;
    if (lease.task !== tail || lease.role !== 'check' || answer === null) {
      throw new ShoalError('sealed_body_invalid', 'The wrap is for another task.');
    }
    const active = this.#leases.get(lease.number);
    const checker = this.#tabs.get(lease.tab);
    const tab = this.#tabs.get(answer.lease.tab);
    if (active === undefined || checker === undefined) throw new ShoalError('tab_lost', 'The checker went away.');
    await this.#decide(tail, await this.#ports.sessions.handedOn(tail));
    active.wrapSentAt = this.#ports.now();
    const direct = checker.direct && tab?.direct === true;
    tab?.partners.add(lease.tab);
    if (tab === undefined || !this.#send(tab, { t: 'handOn', number: answer.lease.number, wrap, to: lease.tab, direct })) {
      this.#askClientToHandOn(tail, active);
    }
  }

  /** One offer from a client to the tab that works for it; the tab's answer, or null when it declines or is silent. */
  async link(tail: TaskTail, leaseStatement: Signed, link: string, signal: Signed): Promise<Signed | null> {
    const lease = await openStatement('lease', leaseSchema, leaseStatement, this.#ports.signer.publicKey);
    const tab = this.#tabs.get(lease.tab);
    if (lease.task !== tail || signal.key !== lease.client || tab === undefined || !tab.direct) return null;
    const answer = this.#links.wait(link, lease.tab);
    this.#send(tab, { t: 'offer', link, from: signal.key, signal });
    return answer;
  }

  async resend(tail: TaskTail, leaseStatement: Signed, from: number): Promise<void> {
    const lease = await openStatement('lease', leaseSchema, leaseStatement, this.#ports.signer.publicKey);
    const tab = this.#tabs.get(lease.tab);
    if (lease.task !== tail || lease.role !== 'answer' || tab === undefined) {
      throw new ShoalError('tab_lost', 'The tab that answered went away.');
    }
    this.#send(tab, { t: 'resend', number: lease.number, from });
  }

  #clientGone(task: TaskTail, stream: TaskStream): void {
    if (this.#streams.get(task) === stream) this.#streams.delete(task);
    const answer = stream.answer;
    if (answer === null) return;
    const active = this.#leases.get(answer.lease.number);
    const tab = this.#tabs.get(answer.lease.tab);
    if (active === undefined || tab === undefined) return;
    // A tab that has begun commits to what it wrote; one that never got the body has nothing to commit.
    if (active.state === 'leased') this.#leaseLost(active.number, 'cancelled');
    this.#send(tab, { t: 'stop', number: answer.lease.number });
    this.#ports.log('task_stopped', { task, tab: tab.identity });
  }

  #endStream(task: TaskTail, stream: TaskStream, error: ShoalError): void {
    const { code, message, retryAfterMs } = error;
    stream.event({ t: 'failed', error: { code, message, retryAfterMs } });
    stream.close();
    if (this.#streams.get(task) === stream) this.#streams.delete(task);
  }

  // ---- a tab's side ------------------------------------------------------------------------------------------------

  #packet(socket: TabSocket, packet: Packet): void {
    const tab = this.#tabOf.get(socket);
    if (tab === undefined) throw new ShoalError('invalid_value', 'The first message must be hello.');
    const active = this.#leases.get(packet.number);
    if (active === undefined) return; // Late: its client left, or the pool lost its memory.
    if (packet.kind === 'frame') {
      if (active.lease.tab !== tab.identity || active.lease.role !== 'answer') return;
      if (packet.payload.byteLength > MAX_FRAME_BYTES) throw new ShoalError('invalid_value', 'A frame is too long.');
      active.state = 'running';
      active.movedAt = this.#ports.now();
      active.nextFrame++;
      this.#streams.get(active.lease.task)?.frame(packet.payload);
      return;
    }
    // Handed on by relay: from the tab that answered to the tab that checks.
    const answer = this.#streams.get(active.lease.task)?.answer ?? null;
    const checker = this.#tabs.get(active.lease.tab);
    if (active.lease.role !== 'check' || answer?.lease.tab !== tab.identity || checker === undefined) return;
    if (packet.kind === 'envelope' || packet.kind === 'shown') {
      this.#sendRaw(checker, encodePacket(packet.kind, packet.number, packet.payload));
    }
  }

  async #message(tab: Tab, message: Exclude<TabToRouter, { t: 'hello' }>): Promise<void> {
    switch (message.t) {
      case 'keys': {
        const keys = await this.#openKeys(tab.identity, message.keys);
        tab.oneTimeKeys.push(...keys.filter((key) => key.oneTime).map((key) => key.statement));
        tab.oneTimeKeys.splice(0, Math.max(0, tab.oneTimeKeys.length - ONE_TIME_KEY_BATCH));
        tab.socket?.remember(attachmentOf(tab));
        return;
      }
      case 'ready':
        tab.models = message.models;
        tab.direct = message.direct;
        tab.socket?.remember(attachmentOf(tab));
        this.#serveWaiting();
        return;
      case 'accepted': {
        const active = this.#leases.get(message.number);
        if (active?.lease.tab !== tab.identity || active.state !== 'leased') return;
        active.state = 'accepted';
        active.movedAt = this.#ports.now();
        active.wrapSentAt = null; // For a check: the subtask has arrived, however it came.
        if (active.lease.role === 'answer') {
          this.#streams.get(active.lease.task)?.event({ t: 'accepted', promptTokens: message.promptTokens });
        }
        return;
      }
      case 'failed': {
        const lease = this.#ownLease(tab, message.lease);
        const code = isErrorCode(message.error.code) ? message.error.code : 'engine_failed';
        return this.#fail(lease, new ShoalError(code, message.error.message));
      }
      case 'committed':
        return this.#committed(tab, message.lease, message.commit);
      case 'handedOn': {
        const lease = this.#foreignLease(message.lease);
        const active = this.#leases.get(lease.number);
        if (this.#streams.get(lease.task)?.answer?.lease.tab !== tab.identity || active === undefined) return;
        active.handedOn = { path: message.path, bytes: message.bytes };
        return;
      }
      case 'checkCommitted': {
        const lease = this.#ownLease(tab, message.lease);
        const handedOn = this.#leases.get(lease.number)?.handedOn ?? null;
        const { sessions } = this.#ports;
        const decision = await this.#orCheckRefused(lease, () =>
          sessions.checkCommitted(lease.task, message.lease, message.commit, handedOn),
        );
        return this.#decide(lease.task, decision, lease);
      }
      case 'checkRevealed': {
        const lease = this.#ownLease(tab, message.lease);
        if (message.evidence !== null) {
          const { number, tab: checker } = lease;
          this.#streams.get(lease.task)?.event({ t: 'evidence', number, checker, frame: message.evidence });
        }
        const { sessions } = this.#ports;
        const decision = await this.#orCheckRefused(lease, () =>
          sessions.checkRevealed(lease.task, message.lease, message.reveal),
        );
        this.#release(lease.number);
        return this.#decide(lease.task, decision);
      }
      case 'offer': {
        const partner = tab.partners.has(message.to) ? this.#tabs.get(message.to) : undefined;
        const { link, signal } = message;
        if (partner === undefined || !partner.direct || signal.key !== tab.identity) {
          this.#send(tab, { t: 'answer', link, signal: null });
          return;
        }
        const answer = this.#links.wait(link, partner.identity);
        this.#send(partner, { t: 'offer', link, from: tab.identity, signal });
        this.#send(tab, { t: 'answer', link, signal: await answer });
        return;
      }
      case 'answer':
        this.#links.answer(message.link, tab.identity, message.signal);
        return;
      case 'bye':
        tab.socket?.close(1000, 'bye');
        return;
    }
  }

  async #committed(tab: Tab, leaseStatement: Signed, commit: Signed): Promise<void> {
    const lease = this.#ownLease(tab, leaseStatement);
    await this.#leases.get(lease.number)?.opened.catch(() => undefined);
    this.#release(lease.number);
    this.#streams.get(lease.task)?.event({ t: 'committed', commit });
    const candidates = this.#checkersFor(tab, lease.class);
    const decision = await this.#ports.sessions.committed(lease.task, leaseStatement, commit, candidates);
    await this.#decide(lease.task, decision);
  }

  /** Tabs that could check an answer of this one, the most independent first; only free ones when there are any. */
  #checkersFor(answered: Tab, classId: string): { tab: string; independence: Independence }[] {
    const able = [...this.#tabs.values()].filter(
      (tab) =>
        tab !== answered &&
        tab.identity !== answered.identity &&
        tab.socket !== null &&
        tab.models.some((model) => model.class === classId),
    );
    const free = able.filter((tab) => tab.leases.size === 0);
    const rank = { network: 0, key: 1 } as const;
    return (free.length > 0 ? free : able)
      .map((tab) => ({ tab: tab.identity, independence: independenceOf(answered, tab) }))
      .sort((a, b) => rank[a.independence] - rank[b.independence]);
  }

  /** The lease in a tab's message: this tab's own. The session verifies the router's signature on it. */
  #ownLease(tab: Tab, statement: Signed): Lease {
    const lease = this.#foreignLease(statement);
    if (lease.tab !== tab.identity) throw new ShoalError('invalid_value', 'The lease belongs to another tab.');
    return lease;
  }

  #foreignLease(statement: Signed): Lease {
    return parsePayload('lease', leaseSchema, statement);
  }

  // ---- checks and ends ---------------------------------------------------------------------------------------------

  async #decide(tail: TaskTail, decision: Decision, checkLease: Lease | null = null): Promise<void> {
    switch (decision.do) {
      case 'nothing':
        return;
      case 'draw':
        return this.#leaseCheck(tail, decision.checker);
      case 'show':
        return this.#show(tail, decision, checkLease);
      case 'end':
        return this.end(tail, decision);
    }
  }

  async #leaseCheck(tail: TaskTail, checkerId: string): Promise<void> {
    const stream = this.#streams.get(tail);
    const checker = this.#tabs.get(checkerId);
    const answer = stream?.answer ?? null;
    if (stream === undefined || answer === null) return this.#checkFailed(tail, checkerId, 'client_gone');
    if (checker === undefined) return this.#checkFailed(tail, checkerId, 'checker_lost');
    const { statement: keyStatement, sealTo, oneTime } = this.#takeKey(checker);
    const lease = this.#newLease(checker, 'check', { ...answer.lease, sealTo, oneTime });
    checker.leases.add(lease.number);
    const statement = await this.#ports.signer.sign('lease', JSON.stringify(lease));
    const answered = this.#tabs.get(answer.lease.tab);
    const independence = answered === undefined ? 'key' : independenceOf(answered, checker);
    this.#track(checker, lease, { statement, keyStatement, opened: Promise.resolve(), state: 'leased', nextFrame: 0 });
    await this.#decide(tail, await this.#ports.sessions.checkLeased(tail, statement, independence));
    const handOnBy = answered?.socket == null ? 'client' : 'tab';
    stream.event({ t: 'drawn', lease: statement, tabKey: keyStatement, handOnBy });
    this.#ports.log('check_leased', { task: tail, tab: checkerId, number: lease.number });
  }

  #askClientToHandOn(tail: TaskTail, active: ActiveLease): void {
    active.wrapSentAt = null;
    if (active.keyStatement === null) return;
    const stream = this.#streams.get(tail);
    stream?.event({ t: 'drawn', lease: active.statement, tabKey: active.keyStatement, handOnBy: 'client' });
  }

  #show(tail: TaskTail, decision: Extract<Decision, { do: 'show' }>, checkLease: Lease | null): void {
    if (checkLease === null) return;
    const answered = this.#tabs.get(decision.answerLease.tab);
    const checker = this.#tabs.get(checkLease.tab);
    const willBeShown =
      answered !== undefined &&
      this.#send(answered, {
        t: 'show',
        number: decision.answerLease.number,
        check: checkLease.number,
        to: checkLease.tab,
        evidenceKey: decision.evidenceKey,
      });
    if (checker === undefined) return;
    this.#send(checker, { t: 'reveal', number: checkLease.number, commit: decision.answerCommit, willBeShown });
    this.#ports.log('check_committed', { task: tail, tab: checkLease.tab });
  }

  /** The session ended a task: tell everyone who took part. */
  end(tail: TaskTail, ended: Ended): void {
    const stream = this.#streams.get(tail);
    stream?.event({ t: 'ended', verdict: ended.verdict, receipt: ended.receipt });
    stream?.close();
    this.#streams.delete(tail);
    for (const active of [...this.#leases.values()]) {
      if (active.lease.task !== tail) continue;
      const tab = this.#tabs.get(active.lease.tab);
      if (tab !== undefined) this.#send(tab, { t: 'stop', number: active.number });
      this.#release(active.number);
    }
    const tell = (identity: string, role: LeaseRole) => {
      const tab = this.#tabs.get(identity);
      if (tab !== undefined) this.#send(tab, { t: 'verdict', task: tail, role, value: ended.verdict.value });
    };
    tell(ended.answerTab, 'answer');
    for (const checker of ended.checkers) tell(checker, 'check');
    this.#ports.log('task_ended', { task: tail, verdict: ended.verdict.value });
  }

  /** A lease whose tab went away, or ran out of time. */
  #leaseLost(number: number, code: ErrorCode): void {
    const active = this.#leases.get(number);
    if (active === undefined) return;
    void this.#fail(active.lease, new ShoalError(code, lostMessage(code)));
  }

  async #fail(lease: Lease, error: ShoalError): Promise<void> {
    const active = this.#release(lease.number);
    if (lease.role === 'check') return this.#checkFailed(lease.task, lease.tab, 'checker_lost');
    const stream = this.#streams.get(lease.task);
    const { code, message, retryAfterMs } = error;
    stream?.event({ t: 'failed', error: { code, message, retryAfterMs } });
    await active?.opened.catch(() => undefined);
    const decision = await this.#ports.sessions.failed(lease.task, code).catch((cause) => this.#sessionLost(lease.task, cause));
    await this.#decide(lease.task, decision);
    stream?.close();
  }

  async #checkFailed(tail: TaskTail, checker: string, reason: UncheckedReason): Promise<void> {
    const { sessions } = this.#ports;
    await this.#decide(
      tail,
      await sessions.checkFailed(tail, checker, reason).catch((cause) => this.#sessionLost(tail, cause)),
    );
  }

  /** What a checker sent does not hold: the check ends, the tab is told, the answer stays unchecked. */
  async #orCheckRefused(lease: Lease, act: () => Promise<Decision>): Promise<Decision> {
    try {
      return await act();
    } catch (cause) {
      this.#ports.log('check_refused', { task: lease.task, tab: lease.tab, reason: ShoalError.from(cause).message });
      return this.#ports.sessions.checkFailed(lease.task, lease.tab, 'checker_refused');
    }
  }

  /** A session that cannot be reached ends its task by its own alarm. */
  #sessionLost(tail: TaskTail, cause: unknown): Decision {
    this.#ports.log('session_unreachable', { task: tail, reason: String(cause) });
    return { do: 'nothing' };
  }

  // ---- time --------------------------------------------------------------------------------------------------------

  /** Looks at every deadline. Called about once a second while {@link isBusy}. */
  tick(): void {
    const at = this.#ports.now();
    for (const tab of [...this.#tabs.values()]) {
      if (tab.goneAt !== null && at - tab.goneAt > RECONNECT_GRACE_MS) this.#lose(tab);
    }
    for (const active of [...this.#leases.values()]) this.#watch(active, at);
    for (const request of [...this.#waiting]) {
      if (at - request.since < MAX_WAIT_MS && request.stream.isOpen) continue;
      this.#waiting.splice(this.#waiting.indexOf(request), 1);
      this.#endStream(
        request.want.task,
        request.stream,
        new ShoalError('overloaded', 'All tabs stayed busy.', { retryAfterMs: 10_000 }),
      );
    }
    this.#links.tick();
  }

  #watch(active: ActiveLease, at: number): void {
    if (active.wrapSentAt !== null && at - active.wrapSentAt > HAND_ON_DEADLINE_MS) {
      this.#askClientToHandOn(active.lease.task, active);
    }
    if (active.lease.role === 'check') return; // The session holds the deadlines of a check.
    const idleMs = at - active.movedAt;
    const late =
      (active.state === 'leased' && idleMs > ACK_DEADLINE_MS) ||
      (active.state === 'accepted' && idleMs > FIRST_FRAME_DEADLINE_MS && !active.lease.private) ||
      (active.state === 'running' && idleMs > FRAME_GAP_DEADLINE_MS && !active.lease.private) ||
      at - active.leasedAt > SUBTASK_DEADLINE_MS;
    if (!late) return;
    const tab = this.#tabs.get(active.lease.tab);
    if (tab !== undefined) this.#send(tab, { t: 'stop', number: active.number });
    this.#leaseLost(active.number, 'deadline_exceeded');
  }
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

