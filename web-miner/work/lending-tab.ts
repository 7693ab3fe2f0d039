import type { Bytes } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import { ANSWER_KEPT_MS, ONE_TIME_KEY_BATCH, SUBTASK_DEADLINE_MS } from '../../shared/limits.ts';
import type { Connection, ConnectionEvents, SocketState } from '../../shared/peer/connection.ts';
import { DirectLinks, type LinkPort } from '../../shared/peer/direct-links.ts';
import { lease as leaseSchema } from '../../shared/protocol/lease.ts';
import { decodePacket, encodePacket, type Packet } from '../../shared/protocol/packets.ts';
import {
  CLOSE,
  decodeRouterToTab,
  encodeMessage,
  type RouterToTab,
  type TabToRouter,
} from '../../shared/protocol/tab-socket.ts';
import { PROTOCOL_VERSION } from '../../shared/protocol/version.ts';
import { encodeEnvelope, type OpenedEnvelope, openEnvelope } from '../../shared/sealing/envelope.ts';
import { parsePayload, type Signed } from '../../shared/signing/signed-statement.ts';
import { EngineError, isAbort } from '../engine/engine.ts';
import { KeyRing } from '../identity/key-ring.ts';
import type { TabIdentity } from '../identity/tab-identity.ts';
import { type Answered, AnswerJob, type SentPath } from './answer-job.ts';
import { CheckJob, sealShown } from './check-job.ts';
import { SpeedMeter } from './speed-meter.ts';
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
  readonly tokens: number;
}

export interface TabSnapshot {
  readonly connection: SocketState;
  /** Identity that the router welcomed; null before. */
  readonly tab: string | null;
  readonly working: 'answer' | 'check' | null;
  readonly counts: TabCounts;
  /** Tokens per second of the running answer, or of the last one; null before the first. */
  readonly tokensPerSecond: number | null;
  readonly links: number;
  readonly direct: boolean;
}

export interface TabPorts {
  readonly connect: (events: ConnectionEvents) => Connection;
  readonly identity: TabIdentity;
  readonly work: WorkModel;
  readonly links: (events: () => DirectLinks) => LinkPort;
  /** Tokens per second measured before joining; null when unknown. */
  readonly decodeSpeed: number | null;
  readonly direct: boolean;
  readonly onChange: (snapshot: TabSnapshot) => void;
}

interface Running {
  readonly opened: OpenedEnvelope;
  readonly abort: AbortController;
  readonly check: CheckJob | null;
  readonly answer: AnswerJob | null;
}

/** An answer that is done, kept for clients that lost frames and for the checker. */
interface Kept {
  readonly opened: OpenedEnvelope;
  readonly answered: Answered | null;
  readonly frames: readonly Bytes[];
}

const ZERO: TabCounts = { answers: 0, checks: 0, stopped: 0, failed: 0, valid: 0, invalid: 0, tokens: 0 };

/** A tab that serves: proves who it is, takes sealed subtasks from the socket or a direct link, and answers or checks them. */
export class LendingTab {
  readonly #ports: TabPorts;
  readonly #keys: KeyRing;
  readonly #links: DirectLinks;
  readonly #socket: Connection;
  readonly #running = new Map<number, Running>();
  readonly #kept = new Map<number, Kept>();
  /** Numbers of leases that were taken once: an envelope that comes again is not run again. */
  readonly #seen = new Set<number>();
  readonly #speed: SpeedMeter;
  #routerKey: string | null = null;
  /** The router's clock minus ours, ms. */
  #clockOffsetMs = 0;
  #tab: string | null = null;
  #connection: SocketState = { state: 'connecting', attempt: 0 };
  #counts = ZERO;
  #direct: boolean;
  #closed = false;

  constructor(ports: TabPorts) {
    this.#ports = ports;
    this.#direct = ports.direct;
    this.#keys = new KeyRing(ports.identity);
    this.#speed = new SpeedMeter(ports.decodeSpeed);
    this.#links = new DirectLinks(
      ports.links(() => this.#links),
      {
        signer: ports.identity.signer,
        onMessage: (peer, message) => this.#fromPeer(peer, message),
        onChange: () => this.#changed(),
      },
    );
    this.#socket = ports.connect({
      onMessage: (data) => this.#fromRouter(data),
      onState: (state) => {
        this.#connection = state;
        if (state.state !== 'open') this.#tab = null;
        this.#changed();
      },
    });
  }

  get snapshot(): TabSnapshot {
    const working = [...this.#running.values()][0];
    return {
      connection: this.#connection,
      tab: this.#tab,
      working: working === undefined ? null : working.check === null ? 'answer' : 'check',
      counts: this.#counts,
      tokensPerSecond: this.#speed.shown,
      links: this.#links.openPeers.length,
      direct: this.#direct,
    };
  }

  /** Whether this tab opens direct links, which show its network address to the other side. */
  setDirect(direct: boolean): void {
    this.#direct = direct;
    if (!direct) this.#links.closeAll();
    this.#sayReady();
    this.#changed();
  }

  retryNow(): void {
    this.#socket.retryNow();
  }

  /** Stops everything now: running answers end, the router is told, links close. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const running of this.#running.values()) running.abort.abort();
    this.#say({ t: 'bye' });
    this.#links.closeAll();
    this.#socket.close();
    this.#kept.clear();
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
        return this.#hello(message);
      case 'welcome':
        this.#tab = message.tab;
        this.#clockOffsetMs = message.now - Date.now();
        return this.#changed();
      case 'keysWanted':
        this.#say({ t: 'keys', keys: await this.#keys.issue(Math.min(message.count, ONE_TIME_KEY_BATCH)) });
        return;
      case 'stop':
        this.#running.get(message.number)?.abort.abort();
        return;
      case 'resend':
        return this.#resend(message.number, message.from);
      case 'handOn':
        return this.#handOn(message);
      case 'show':
        return this.#show(message);
      case 'reveal':
        this.#running.get(message.number)?.check?.askedToReveal(message.commit, message.willBeShown);
        return;
      case 'offer': {
        const signal = this.#direct ? await this.#links.answer(message.from, message.link, message.signal) : null;
        this.#say({ t: 'answer', link: message.link, signal });
        return;
      }
      case 'answer':
        this.#answers.get(message.link)?.(message.signal);
        return;
      case 'verdict':
        if (message.role === 'answer' && message.value === 'valid') this.#count({ valid: 1 });
        if (message.role === 'answer' && message.value === 'invalid') this.#count({ invalid: 1 });
        return;
      case 'refused':
        console.warn('shoal: the router refused this tab:', message.error.message);
        return;
    }
  }

  async #hello(challenge: Extract<RouterToTab, { t: 'challenge' }>): Promise<void> {
    if (this.#routerKey !== null && this.#routerKey !== challenge.router) {
      // The key of a router does not change while a tab is connected to it, or the leases it holds could be anyone's.
      this.#socket.close(CLOSE.protocol, 'the router changed its key');
      return;
    }
    this.#routerKey = challenge.router;
    const { signer } = this.#ports.identity;
    const claim = JSON.stringify({ v: 1, nonce: challenge.nonce, router: challenge.router });
    this.#say({
      t: 'hello',
      v: PROTOCOL_VERSION,
      proof: await signer.sign('hello', claim),
      keys: [await this.#keys.standingStatement(), ...(await this.#keys.issue(ONE_TIME_KEY_BATCH))],
      models: [this.#ready()],
      direct: this.#direct,
      running: [...this.#running.keys()].slice(0, 64),
    });
  }

  #ready() {
    const { model, variant, class: id } = this.#ports.work;
    return { model, variant, class: id, decodeSpeed: this.#speed.proven };
  }

  #sayReady(): void {
    this.#say({ t: 'ready', models: [this.#ready()], direct: this.#direct });
  }

  #say(message: TabToRouter): void {
    this.#socket.send(encodeMessage(message));
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
    if (this.#routerKey === null || this.#closed || this.#seen.has(number)) return;
    this.#remember(number);
    let opened: OpenedEnvelope;
    try {
      opened = await openEnvelope(envelope, {
        tab: this.#ports.identity.signer.publicKey,
        router: this.#routerKey,
        takeKey: (sealTo) => this.#keys.take(sealTo),
        now: () => Date.now() + this.#clockOffsetMs,
      });
      if (opened.lease.number !== number || opened.lease.class !== this.#ports.work.class) {
        throw new ShoalError('sealed_body_invalid', 'The lease is for another class than this tab has loaded.');
      }
    } catch (cause) {
      return this.#refuse(envelope, ShoalError.from(cause));
    }
    if (opened.lease.role === 'answer') await this.#answer(opened);
    else await this.#check(opened);
  }

  #remember(number: number): void {
    this.#seen.add(number);
    setTimeout(() => this.#seen.delete(number), SUBTASK_DEADLINE_MS);
  }

  /** The router is told why, when the envelope was whole enough to name its lease. */
  #refuse(envelope: Bytes, error: ShoalError): void {
    this.#troubled(error);
    try {
      const length = new DataView(envelope.buffer, envelope.byteOffset).getUint32(0);
      const header = JSON.parse(new TextDecoder().decode(envelope.subarray(4, 4 + length))) as { lease: Signed };
      if (parsePayload('lease', leaseSchema, header.lease).tab !== this.#ports.identity.signer.publicKey) return;
      this.#say({
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
    const job = new AnswerJob(opened, this.#ports.work, {
      signer: this.#ports.identity.signer,
      sendFrame: (frame) => this.#sendFrame(client, number, frame),
      accepted: (promptTokens) => this.#say({ t: 'accepted', number, promptTokens }),
      wrote: (tokens) => this.#wrote(tokens),
    });
    this.#running.set(number, { opened, abort, check: null, answer: job });
    this.#speed.begin();
    this.#changed();
    try {
      const answered = await job.run(abort.signal);
      this.#keep(number, { opened, answered, frames: answered.frames });
      this.#running.delete(number);
      this.#say({ t: 'committed', lease: opened.statement, commit: answered.commit });
      if (answered.finish === 'cancelled') this.#count({ stopped: 1 });
      else {
        this.#count({ answers: 1 });
        if (this.#speed.measured(answered.completionTokens, answered.decodeMs)) this.#sayReady();
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
    const job = new CheckJob(opened, this.#ports.work, {
      signer: this.#ports.identity.signer,
      accepted: (promptTokens) => this.#say({ t: 'accepted', number, promptTokens }),
      wrote: (tokens) => this.#wrote(tokens),
      committed: (commit) => this.#say({ t: 'checkCommitted', lease: opened.statement, commit }),
    });
    this.#running.set(number, { opened, abort, check: job, answer: null });
    this.#speed.begin();
    this.#changed();
    try {
      const { reveal, evidence } = await job.run(abort.signal);
      this.#running.delete(number);
      this.#say({ t: 'checkRevealed', lease: opened.statement, reveal, evidence });
      this.#count({ checks: 1 });
    } catch (cause) {
      this.#running.delete(number);
      this.#failed(opened, cause);
    }
    this.#changed();
  }

  #failed(opened: OpenedEnvelope, cause: unknown): void {
    if (isAbort(cause)) return this.#count({ stopped: 1 });
    this.#count({ failed: 1 });
    const error = asShoalError(cause);
    this.#say({
      t: 'failed',
      lease: opened.statement,
      error: { code: error.code, message: error.message, param: error.param },
    });
  }

  #sendFrame(client: string, number: number, frame: Bytes): SentPath {
    const packet = encodePacket('frame', number, frame);
    if (this.#links.send(client, packet)) return 'direct';
    this.#socket.send(packet);
    return 'relay';
  }

  /** Frames that a client or a router missed, by relay. */
  #resend(number: number, from: number): void {
    const running = this.#running.get(number)?.answer;
    const kept = this.#kept.get(number);
    for (const frame of (running?.frames ?? kept?.frames ?? []).slice(from)) {
      this.#socket.send(encodePacket('frame', number, frame));
    }
    // A socket that dropped may have swallowed the commit too; the session ignores a second one.
    if (kept?.answered != null)
      this.#say({ t: 'committed', lease: kept.opened.statement, commit: kept.answered.commit });
  }

  #keep(number: number, kept: Kept): void {
    this.#kept.set(number, kept);
    setTimeout(() => this.#kept.delete(number), ANSWER_KEPT_MS);
  }

  // ---- towards the checker -----------------------------------------------------------------------------------------

  readonly #answers = new Map<string, (signal: Signed | null) => void>();

  async #handOn(message: Extract<RouterToTab, { t: 'handOn' }>): Promise<void> {
    const kept = this.#kept.get(message.number);
    if (kept === undefined) return; // Too old: the router asks the client.
    const check = parsePayload('lease', leaseSchema, message.wrap.lease);
    const envelope = encodeEnvelope(message.wrap, kept.opened.sealed);
    const packet = encodePacket('envelope', check.number, envelope);
    const path = await this.#toTab(message.to, packet, message.direct);
    this.#say({ t: 'handedOn', lease: message.wrap.lease, path, bytes: packet.byteLength });
  }

  async #show(message: Extract<RouterToTab, { t: 'show' }>): Promise<void> {
    const kept = this.#kept.get(message.number);
    if (kept?.answered == null) return;
    const { task } = kept.opened.lease;
    const sealed = await sealShown(message.evidenceKey, task, message.check, kept.answered.text);
    await this.#toTab(message.to, encodePacket('shown', message.check, sealed), this.#links.isOpen(message.to));
  }

  /** Over a direct link where both sides allow it and one opens in time, else by relay. */
  async #toTab(peer: string, packet: Bytes, direct: boolean): Promise<SentPath> {
    const open =
      direct && this.#direct && (await this.#links.connect(peer, (link, offer) => this.#exchange(link, peer, offer)));
    if (open && this.#links.send(peer, packet)) return 'direct';
    this.#socket.send(packet);
    return 'relay';
  }

  #exchange(link: string, to: string, signal: Signed): Promise<Signed | null> {
    return new Promise((resolve) => {
      const timer = setTimeout(() => settle(null), SIGNAL_DEADLINE_MS);
      const settle = (answer: Signed | null) => {
        clearTimeout(timer);
        this.#answers.delete(link);
        resolve(answer);
      };
      this.#answers.set(link, settle);
      this.#say({ t: 'offer', link, to, signal });
    });
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
    if (!this.#closed || this.#connection.state === 'closed') this.#ports.onChange(this.snapshot);
  }
}

/** Longest wait for the answer to an offer, ms; the router gives up first. */
const SIGNAL_DEADLINE_MS = 5_000;

function asShoalError(cause: unknown): ShoalError {
  if (cause instanceof EngineError) {
    if (cause.reason === 'context_exceeded') {
      return new ShoalError('context_length_exceeded', cause.message, { param: 'messages' });
    }
    if (cause.reason === 'unsupported') return new ShoalError('invalid_value', cause.message, { param: 'messages' });
    return new ShoalError('engine_failed', 'The engine of the tab failed.', { cause });
  }
  return cause instanceof ShoalError ? cause : new ShoalError('engine_failed', 'The tab failed.', { cause });
}
