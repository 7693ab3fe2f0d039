import type { Bytes } from '../../shared/bytes.ts';
import { isRead } from '../../shared/checking/rung.ts';
import { ShoalError } from '../../shared/errors.ts';
import { ONE_TIME_KEY_BATCH } from '../../shared/limits.ts';
import type { Connection, ConnectionEvents, SocketState } from '../../shared/peer/connection.ts';
import { DirectLinks, type LinkPort } from '../../shared/peer/direct-links.ts';
import { lease as leaseSchema } from '../../shared/protocol/lease.ts';
import { decodePacket, encodePacket, type Packet } from '../../shared/protocol/packets.ts';
import { decodeRouterToTab, type RouterToTab, type TabToRouter } from '../../shared/protocol/tab-socket.ts';
import { type OpenedEnvelope, openEnvelope } from '../../shared/sealing/envelope.ts';
import { parsePayload, type Signed } from '../../shared/signing/signed-statement.ts';
import { isAbort } from '../engine/engine.ts';
import { KeyRing } from '../identity/key-ring.ts';
import type { TabIdentity } from '../identity/tab-identity.ts';
import { AnswerJob, type SentPath } from './answer-job.ts';
import type { Check } from './check.ts';
import { CheckJob } from './check-job.ts';
import { HandOn } from './hand-on.ts';
import { type CheckStatement, KeptWork } from './kept-work.ts';
import { ReadJob } from './read-job.ts';
import { RouterStanding } from './router-standing.ts';
import { type ProvenSpeeds, SpeedMeter } from './speed-meter.ts';
import { failureOf, isBreakdown } from './work-failure.ts';
import type { WorkModel } from './work-model.ts';

/** What a tab has done since it was opened. */
export interface TabCounts {
  readonly answers: number;
  readonly checks: number;
  readonly stopped: number;
  readonly failed: number;
  /** Verdicts on this tab's answers. */
  readonly valid: number;
  readonly invalid: number;
  readonly disputed: number;
  readonly tokens: number;
  /** Tokens of prompts, those of them that its engine read, and the time that took, ms. The others it still held. */
  readonly promptTokens: number;
  readonly evaluatedTokens: number;
  readonly prefillMs: number;
}

export interface TabSnapshot {
  readonly connection: SocketState;
  /** Identity that the router welcomed; null before. */
  readonly tab: string | null;
  readonly working: 'answer' | 'check' | null;
  readonly counts: TabCounts;
  /** Tokens per second of the running answer, or of the last one; null before the first. */
  readonly tokensPerSecond: number | null;
  readonly speeds: ProvenSpeeds;
  readonly links: number;
  readonly direct: boolean;
  /** Why the engine cannot work, as it said itself; null as long as it can. Whoever owns the engine withdraws the tab and loads it again. */
  readonly engineFailure: string | null;
}

export interface TabPorts {
  /** `query`: of the socket's address, asked for whenever it is opened: it names the tab, so that the router sends it to its place. */
  readonly connect: (events: ConnectionEvents, query: () => string) => Connection;
  readonly identity: TabIdentity;
  readonly work: WorkModel;
  readonly links: (events: () => DirectLinks) => LinkPort;
  /** Tokens per second measured before joining; null when unknown. */
  readonly decodeSpeed: number | null;
  readonly direct: boolean;
  /** Checks other tabs' answers, and gives none itself. */
  readonly checkOnly?: boolean;
  /** The operator's pass for its guards. */
  readonly guard?: string | null;
  /** Whether the page is in the background. */
  readonly isHidden?: boolean;
  /** Whether the tab takes work from the start. */
  readonly isTaking?: boolean;
  /** A whole answer was timed, tokens per second. */
  readonly measured?: (speed: number) => void;
  /** The network is short of tabs of these classes, the shortest first. */
  readonly wanted?: (classes: readonly string[]) => void;
  readonly onChange: (snapshot: TabSnapshot) => void;
}

interface Running {
  readonly opened: OpenedEnvelope;
  readonly abort: AbortController;
  readonly check: Check | null;
  readonly answer: AnswerJob | null;
  /** Length of the prompt, once it was said; null before. */
  promptTokens: number | null;
}

/** A shorter answer says little about speed. */
const MIN_TIMED_TOKENS = 8;

const ZERO: TabCounts = {
  answers: 0,
  checks: 0,
  stopped: 0,
  failed: 0,
  valid: 0,
  invalid: 0,
  disputed: 0,
  tokens: 0,
  promptTokens: 0,
  evaluatedTokens: 0,
  prefillMs: 0,
};

/** A tab that serves: proves who it is, takes sealed subtasks from the socket or a direct link, and answers or checks them. */
export class LendingTab {
  readonly #ports: TabPorts;
  readonly #keys: KeyRing;
  readonly #links: DirectLinks;
  readonly #socket: Connection;
  readonly #router: RouterStanding;
  readonly #handOn: HandOn;
  readonly #running = new Map<number, Running>();
  readonly #kept = new KeptWork();
  #speed: SpeedMeter;
  #work: WorkModel;
  #isHidden: boolean;
  /** Answers that were running when the connection came back: their frames wait until the router says from where it wants them. */
  readonly #awaitingResend = new Set<number>();
  #connection: SocketState = { state: 'connecting', attempt: 0 };
  #counts = ZERO;
  #direct: boolean;
  #withdrawn = false;
  #isTaking: boolean;
  /** Told when there may be nothing left to do. */
  readonly #waitingForQuiet = new Set<() => void>();
  #engineFailure: string | null = null;
  #closed = false;

  constructor(ports: TabPorts) {
    this.#ports = ports;
    this.#direct = ports.direct;
    this.#keys = new KeyRing(ports.identity);
    this.#work = ports.work;
    this.#isHidden = ports.isHidden ?? false;
    this.#isTaking = ports.isTaking ?? true;
    this.#speed = new SpeedMeter(ports.decodeSpeed, this.#isHidden);
    this.#links = new DirectLinks(
      ports.links(() => this.#links),
      {
        signer: ports.identity.signer,
        onMessage: (peer, message) => this.#fromPeer(peer, message),
        onChange: () => this.#changed(),
      },
    );
    this.#router = new RouterStanding({
      socket: () => this.#socket,
      identity: ports.identity,
      keys: this.#keys,
      ready: () => this.#ready(),
      running: () => [...this.#running.keys(), ...this.#kept.untold],
      guard: ports.guard ?? null,
    });
    this.#handOn = new HandOn({
      links: this.#links,
      direct: () => this.#direct,
      say: (message) => this.#router.say(message),
      relay: (packet) => this.#router.send(packet),
    });
    this.#socket = ports.connect(
      {
        onMessage: (data) => this.#fromRouter(data),
        onState: (state) => {
          this.#connection = state;
          if (state.state !== 'open') this.#router.lost();
          this.#changed();
        },
      },
      () => this.#query(),
    );
  }

  /** A tab at work goes back to where it works; any other to where it belongs. */
  #query(): string {
    const isWorking = this.#running.size > 0 || this.#kept.untold.length > 0;
    return `?tab=${this.#ports.identity.signer.publicKey}${isWorking ? '&working' : ''}`;
  }

  get snapshot(): TabSnapshot {
    const working = [...this.#running.values()][0];
    return {
      connection: this.#connection,
      tab: this.#router.tab,
      working: working === undefined ? null : working.check === null ? 'answer' : 'check',
      counts: this.#counts,
      tokensPerSecond: this.#speed.shown,
      speeds: this.#speed.speeds,
      links: this.#links.openPeers.length,
      direct: this.#direct,
      engineFailure: this.#engineFailure,
    };
  }

  /** Whether this tab opens direct links, which show its network address to the other side. */
  setDirect(direct: boolean): void {
    this.#direct = direct;
    if (!direct) this.#links.closeAll();
    this.#router.sayReady();
    this.#changed();
  }

  /** Takes no more work, but stays connected: the engine cannot work at the moment. */
  withdraw(): void {
    this.#withdrawn = true;
    this.#router.sayReady();
  }

  /** Takes work again. */
  resume(): void {
    this.#withdrawn = false;
    this.#engineFailure = null;
    this.#router.sayReady();
    this.#changed();
  }

  /** The engine ended between two pieces of work. */
  broke(reason: string): void {
    this.#engineFailure = reason;
    this.#changed();
  }

  /** Whether the owner of the device lets it take work now. What runs is finished in any case. */
  setTaking(isTaking: boolean): void {
    if (isTaking === this.#isTaking) return;
    this.#isTaking = isTaking;
    this.#router.sayReady();
    this.#changed();
  }

  /** Speed in the background is another: it is measured apart, and the router is told the one that holds. */
  setHidden(isHidden: boolean): void {
    this.#isHidden = isHidden;
    if (this.#speed.setHidden(isHidden)) this.#router.sayReady();
  }

  /** Serves another model from now on. Only for a tab that takes no work and has none running. */
  changeWork(work: WorkModel, decodeSpeed: number | null): void {
    this.#work = work;
    this.#speed = new SpeedMeter(decodeSpeed, this.#isHidden);
    this.#router.sayReady();
    this.#changed();
  }

  /**
   * Waits until nothing runs; with `isTold`, also until the verdicts on what this tab wrote came. False when that took longer than `deadlineMs`. Takes
   * new work meanwhile, unless the tab was withdrawn before.
   */
  async quiet(deadlineMs: number, isTold = false): Promise<boolean> {
    const isQuiet = () => this.#running.size === 0 && (!isTold || this.#kept.untold.length === 0);
    if (isQuiet() || this.#closed) return true;
    const quiet = Promise.withResolvers<boolean>();
    const look = () => isQuiet() && quiet.resolve(true);
    const timer = setTimeout(() => quiet.resolve(false), deadlineMs);
    this.#waitingForQuiet.add(look);
    try {
      return await quiet.promise;
    } finally {
      clearTimeout(timer);
      this.#waitingForQuiet.delete(look);
    }
  }

  /** The browser is about to freeze the page: what runs is given back at once, so that nobody waits for it. The connection comes back by itself. */
  stepAway(): void {
    if (this.#closed) return;
    for (const running of this.#running.values()) running.abort.abort();
    this.#router.say({ t: 'bye' });
    this.#router.lost(); // A word more on this connection would be one of a stranger.
    this.#links.closeAll();
  }

  retryNow(): void {
    this.#socket.retryNow();
  }

  /** Stops everything now: running answers end, the router is told, links close. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const running of this.#running.values()) running.abort.abort();
    this.#router.say({ t: 'bye' });
    this.#handOn.close();
    this.#links.closeAll();
    this.#socket.close();
    this.#kept.close();
    for (const look of this.#waitingForQuiet) look();
  }

  // ---- the router's side -------------------------------------------------------------------------------------------

  #fromRouter(data: string | ArrayBuffer): void {
    try {
      if (typeof data !== 'string') return this.#packet(decodePacket(data));
      void this.#message(decodeRouterToTab(data)).catch((cause) => this.#troubled(cause));
    } catch (cause) {
      this.#troubled(cause);
    }
  }

  /** A message that could not be handled says nothing about the work: it is dropped, and the page's console knows. */
  #troubled(cause: unknown): void {
    console.warn('shoal: a message was dropped:', ShoalError.from(cause).message);
  }

  async #message(message: RouterToTab): Promise<void> {
    switch (message.t) {
      case 'challenge':
        return this.#router.challenged(message);
      case 'welcome':
        return this.#welcomed(message);
      case 'keysWanted':
        this.#router.say({ t: 'keys', keys: await this.#keys.issue(Math.min(message.count, ONE_TIME_KEY_BATCH)) });
        return;
      case 'stop':
        this.#running.get(message.number)?.abort.abort();
        return;
      case 'resend':
        return this.#resend(message.number, message.from);
      case 'handOn': {
        const kept = this.#kept.answer(message.number);
        if (kept !== undefined) await this.#handOn.handOn(message, kept); // Else too old: the router asks the client.
        return;
      }
      case 'show': {
        const kept = this.#kept.answer(message.number);
        if (kept !== undefined) await this.#handOn.show(message, kept);
        return;
      }
      case 'reveal':
        this.#running.get(message.number)?.check?.askedToReveal(message.commit, message.willBeShown);
        return;
      case 'offer':
        return this.#offered(message);
      case 'answer':
        return this.#handOn.answered(message.link, message.signal);
      case 'verdict': {
        const isNews = this.#kept.told(message.task, message.role);
        for (const look of this.#waitingForQuiet) look();
        if (!isNews || message.role !== 'answer') return;
        if (message.value === 'valid') this.#count({ valid: 1 });
        if (message.value === 'invalid') this.#count({ invalid: 1 });
        if (message.value === 'disputed') this.#count({ disputed: 1 });
        return;
      }
      case 'wanted':
        this.#ports.wanted?.(message.classes);
        return;
      case 'refused':
        console.warn('shoal: the router refused this tab:', message.error.message);
        return;
    }
  }

  /** The router knows this tab now: what the connection before may have swallowed is said again (L8). The router asks for the rest. */
  #welcomed(message: Extract<RouterToTab, { t: 'welcome' }>): void {
    this.#router.welcomed(message);
    this.#awaitingResend.clear();
    for (const [number, { answer, promptTokens }] of this.#running) {
      if (promptTokens !== null) this.#router.say({ t: 'accepted', number, promptTokens });
      if (answer !== null) this.#awaitingResend.add(number);
    }
    for (const statement of this.#kept.statements) this.#router.say(statement);
    this.#changed();
  }

  #ready(): Omit<Extract<TabToRouter, { t: 'ready' }>, 't'> {
    const { model, variant, class: id } = this.#work;
    const loaded = { model, variant, class: id, decodeSpeed: this.#speed.proven };
    const models = this.#withdrawn || !this.#isTaking ? [] : [loaded];
    return { models, direct: this.#direct, checkOnly: this.#ports.checkOnly ?? false };
  }

  async #offered(message: Extract<RouterToTab, { t: 'offer' }>): Promise<void> {
    let signal = this.#direct ? await this.#links.answer(message.from, message.link, message.signal) : null;
    if (!this.#direct && signal !== null) {
      // Switched off while the description was made: it names addresses, and stays here.
      this.#links.close(message.from);
      signal = null;
    }
    this.#router.say({ t: 'answer', link: message.link, signal });
  }

  // ---- packets -----------------------------------------------------------------------------------------------------

  #packet(packet: Packet): void {
    if (packet.kind === 'envelope') void this.#take(packet.number, packet.payload.slice());
    else if (packet.kind === 'shown') this.#running.get(packet.number)?.check?.receivedAnswer(packet.payload.slice());
  }

  #fromPeer(peer: string, message: Bytes): void {
    let packet: Packet;
    try {
      packet = decodePacket(message);
    } catch (cause) {
      return this.#troubled(cause);
    }
    if (packet.kind === 'stop') {
      const running = this.#running.get(packet.number);
      if (running?.opened.lease.client === peer) running.abort.abort();
    } else this.#packet(packet);
  }

  // ---- work --------------------------------------------------------------------------------------------------------

  async #take(number: number, envelope: Bytes): Promise<void> {
    const { routerKey } = this.#router;
    if (routerKey === null || !this.#kept.take(number)) return;
    let opened: OpenedEnvelope;
    try {
      opened = await openEnvelope(envelope, {
        tab: this.#ports.identity.signer.publicKey,
        router: routerKey,
        takeKey: (sealTo) => this.#keys.take(sealTo),
        now: () => this.#router.now(),
      });
      if (opened.lease.number !== number || opened.lease.class !== this.#work.class) {
        throw new ShoalError('sealed_body_invalid', 'The lease is for another class than this tab has loaded.');
      }
    } catch (cause) {
      this.#kept.giveBack(number); // Nothing was run: a tab that hands on rubbish must not shut out the client's own envelope.
      return this.#refuse(envelope, ShoalError.from(cause));
    }
    if (this.#closed) return;
    if (opened.lease.role === 'answer') await this.#answer(opened);
    else await this.#check(opened);
  }

  /** The router is told why, when the envelope was whole enough to name its lease. */
  #refuse(envelope: Bytes, error: ShoalError): void {
    this.#troubled(error);
    try {
      const length = new DataView(envelope.buffer, envelope.byteOffset).getUint32(0);
      const header = JSON.parse(new TextDecoder().decode(envelope.subarray(4, 4 + length))) as { lease: Signed };
      if (parsePayload('lease', leaseSchema, header.lease).tab !== this.#ports.identity.signer.publicKey) return;
      this.#router.say({
        t: 'failed',
        lease: header.lease,
        error: { code: error.code, message: error.message, param: error.param },
      });
    } catch {
      // Nothing in it names a lease: there is nobody to tell.
    }
  }

  async #answer(opened: OpenedEnvelope): Promise<void> {
    const { number, client } = opened.lease;
    const abort = new AbortController();
    const job = new AnswerJob(opened, this.#work, {
      signer: this.#ports.identity.signer,
      sendFrame: (frame) => this.#sendFrame(client, number, frame),
      accepted: (promptTokens) => this.#accepted(number, promptTokens),
      wrote: (tokens) => this.#wrote(tokens),
    });
    this.#running.set(number, { opened, abort, check: null, answer: job, promptTokens: null });
    this.#speed.begin();
    this.#changed();
    try {
      const answered = await job.run(abort.signal);
      this.#kept.keep({ opened, answered });
      this.#running.delete(number);
      // Not before the frames: a commit frees the lease, and with it go the frames that the router still waits for.
      if (!this.#awaitingResend.has(number)) this.#sayCommitted(number);
      if (answered.finish === 'cancelled') this.#count({ stopped: 1 });
      else {
        this.#engineFailure = null;
        this.#count({ answers: 1, ...answered.reading });
        const { tokens, ms } = answered.pace;
        if (tokens > MIN_TIMED_TOKENS && ms > 0) this.#ports.measured?.((tokens * 1000) / ms);
        if (this.#speed.measured(tokens, ms)) this.#router.sayReady();
      }
    } catch (cause) {
      this.#running.delete(number);
      this.#failed(opened, cause);
    }
    this.#changed();
  }

  async #check(opened: OpenedEnvelope): Promise<void> {
    const { number } = opened.lease;
    const abort = new AbortController();
    const job = this.#checkOf(opened);
    this.#running.set(number, { opened, abort, check: job, answer: null, promptTokens: null });
    this.#speed.begin();
    this.#changed();
    try {
      const { reveal, evidence } = await job.run(abort.signal);
      this.#running.delete(number);
      this.#sayOfCheck(opened, { t: 'checkRevealed', lease: opened.statement, reveal, evidence });
      this.#engineFailure = null;
      this.#count({ checks: 1 });
    } catch (cause) {
      this.#running.delete(number);
      this.#kept.unsay(number);
      this.#failed(opened, cause);
    }
    this.#changed();
  }

  #checkOf(opened: OpenedEnvelope): Check {
    const { statement, lease } = opened;
    const work = this.#work;
    const { identity } = this.#ports;
    const shared = {
      signer: identity.signer,
      committed: (commit: Signed) => this.#sayOfCheck(opened, { t: 'checkCommitted', lease: statement, commit }),
    };
    if (isRead(lease.rung)) {
      return new ReadJob(opened, work, {
        ...shared,
        accepted: () => this.#router.say({ t: 'accepted', number: lease.number, promptTokens: null }),
        guessed: (index, leaf) => this.#sayOfCheck(opened, { t: 'guessed', lease: statement, index, leaf }),
      });
    }
    return new CheckJob(opened, work, {
      ...shared,
      accepted: (promptTokens) => this.#accepted(lease.number, promptTokens),
      wrote: (tokens) => this.#wrote(tokens),
    });
  }

  #failed(opened: OpenedEnvelope, cause: unknown): void {
    if (isAbort(cause)) return this.#count({ stopped: 1 });
    if (isBreakdown(cause)) this.#engineFailure = cause.message;
    this.#count({ failed: 1 });
    const error = failureOf(cause);
    this.#router.say({
      t: 'failed',
      lease: opened.statement,
      error: { code: error.code, message: error.message, param: error.param },
    });
  }

  #sendFrame(client: string, number: number, frame: Bytes): SentPath {
    const packet = encodePacket('frame', number, frame);
    if (this.#links.send(client, packet)) return 'direct';
    if (!this.#awaitingResend.has(number)) this.#router.send(packet);
    return 'relay';
  }

  #accepted(number: number, promptTokens: number): void {
    const running = this.#running.get(number);
    if (running !== undefined) running.promptTokens = promptTokens;
    this.#router.say({ t: 'accepted', number, promptTokens });
  }

  #sayCommitted(number: number): void {
    const kept = this.#kept.answer(number);
    if (kept === undefined) return;
    this.#router.say({ t: 'committed', lease: kept.opened.statement, commit: kept.answered.commit });
  }

  #sayOfCheck(opened: OpenedEnvelope, statement: CheckStatement): void {
    this.#kept.said(opened, statement);
    this.#router.say(statement);
  }

  /** Frames that a client or a router missed, by relay. */
  #resend(number: number, from: number): void {
    this.#awaitingResend.delete(number);
    const running = this.#running.get(number)?.answer;
    for (const frame of running?.frames.slice(from) ?? this.#kept.frames(number, from)) {
      this.#router.send(encodePacket('frame', number, frame));
    }
    // A socket that dropped may have swallowed the commit too; the session ignores a second one.
    this.#sayCommitted(number);
  }

  // ---- the page's side ---------------------------------------------------------------------------------------------

  #wrote(tokens: number): void {
    this.#counts = { ...this.#counts, tokens: this.#counts.tokens + tokens };
    if (this.#speed.wrote(tokens)) this.#changed();
  }

  #count(added: Partial<TabCounts>): void {
    const counts = { ...this.#counts };
    for (const [name, by] of Object.entries(added)) counts[name as keyof TabCounts] += by;
    this.#counts = counts;
    this.#changed();
  }

  #changed(): void {
    for (const look of this.#waitingForQuiet) look();
    if (!this.#closed || this.#connection.state === 'closed') this.#ports.onChange(this.snapshot);
  }
}
