import { type Bytes, randomBytes, toBase64Url } from '../shared/bytes.ts';
import { ShoalError } from '../shared/errors.ts';
import type { Sampling } from '../shared/protocol/lease.ts';
import type { Level } from '../shared/protocol/level.ts';
import { decodePacket, encodePacket } from '../shared/protocol/packets.ts';
import type { ChatMessage } from '../shared/protocol/sealed-body.ts';
import { type HeldLease, SealedTask, type TaskPath, type TaskUpdate } from '../shared/sealed-task/sealed-task.ts';
import { generateSigningKeys, type Signed, type Signer, signerOf } from '../shared/signing/signed-statement.ts';
import type { DirectPath } from './direct-path.ts';
import { RouterCalls, type TaskAccess } from './router-calls.ts';
import { verifyReceipt } from './verify-receipt.ts';

export interface SealedClientOptions {
  /** Address of the router: `https://…`, or `http://localhost:…`. */
  readonly baseUrl: string;
  /**
   * The router's Ed25519 key, base64url. Without it the key that the router publishes is trusted at first use: safe against everyone but a
   * router that lies from the start.
   */
  readonly routerKey?: string;
  /** Whose account pays, where the router wants to know. Default: nobody's. */
  readonly apiKey?: string;
  /** Open direct links to tabs that allow them. Both sides then see each other's network address. Default: no. */
  readonly directLinks?: boolean;
  /** STUN and TURN servers for direct links. Default: none. */
  readonly iceServers?: readonly RTCIceServer[];
  readonly fetch?: typeof fetch;
}

export interface Question {
  readonly model: string;
  readonly messages: readonly ChatMessage[];
  readonly stop?: readonly string[];
  readonly sampling?: Partial<Sampling>;
  /** How the answer is checked. Default: as the router has it. */
  readonly level?: Level | null;
  /** Other tabs that must write the same. */
  readonly checks?: 1 | 2 | 3;
}

export interface CallOptions {
  /** Stops the call, from its opening to its end. */
  readonly signal?: AbortSignal | undefined;
  /** Another key than the client's, for this call. */
  readonly apiKey?: string | undefined;
  /** A session that the key has set up: `sess_…`. Default: none. */
  readonly session?: string | null | undefined;
}

/** Bytes of one answer by each way. */
export interface AnswerTraffic {
  readonly relayBytes: number;
  /** As counted by `RTCPeerConnection.getStats` on the link, from the question on. */
  readonly directBytes: number;
}

/** An answer on its way. */
export interface SealedAnswer {
  /** What happens, in order: text, the end, the commit, the check, the verdict. Throws {@link ShoalError}. One reader. */
  updates(): AsyncGenerator<TaskUpdate, void, undefined>;
  /** Opens the salted digests of the receipt to whoever has prompt and answer. */
  readonly salt: string;
  /** The way that the sealed prompt took; null before it was sent. */
  readonly promptPath: TaskPath | null;
  traffic(): Promise<AnswerTraffic>;
  /** Stops the tab. */
  stop(): Promise<void>;
}

/** A tab that does not confirm an envelope sent over a link gets it by relay too, after this time, ms. It runs it once. */
const DIRECT_ACK_MS = 1_500;

/** Asks questions whose prompt and answer only the tabs that work on them can read. */
export class SealedClient {
  readonly #calls: RouterCalls;
  readonly #options: SealedClientOptions;
  readonly #running = new Set<SealedTask>();
  /** One random name for all questions of this client: they belong together. */
  readonly #session = toBase64Url(randomBytes(16));
  #identity: Promise<Signer> | null = null;
  #routerKey: Promise<string> | null = null;
  #direct: Promise<DirectPath | null> | null = null;

  constructor(options: SealedClientOptions) {
    this.#options = options;
    this.#calls = new RouterCalls(options.baseUrl, options.fetch ?? ((...call) => globalThis.fetch(...call)));
  }

  /** The router's key: the pinned one, or the first that it published. Throws `integrity_failed` when a pinned key is not among them. */
  routerKey(): Promise<string> {
    this.#routerKey ??= this.#calls.routerKeys().then((keys) => {
      const key = this.#options.routerKey ?? keys[0];
      if (key === undefined || !keys.includes(key)) {
        throw new ShoalError('integrity_failed', 'The router lacks the pinned key.');
      }
      return key;
    });
    this.#routerKey.catch(() => {
      this.#routerKey = null;
    });
    return this.#routerKey;
  }

  receipt(id: string): Promise<Signed> {
    return this.#calls.receipt(id);
  }

  /** Opens a task for the question. Throws {@link ShoalError}: `cancelled` once the signal is aborted. */
  async ask(question: Question, { signal, apiKey, session }: CallOptions = {}): Promise<SealedAnswer> {
    const over = new AbortController();
    const stopped = signal === undefined ? over.signal : AbortSignal.any([signal, over.signal]);
    if (stopped.aborted) throw wasStopped();
    const [routerKey, signer] = await orStopped(Promise.all([this.routerKey(), this.#signer()]), stopped);
    const direct = await orStopped(this.#directPath(signer), stopped);
    const directBytes = async () => (await direct?.bytes()) ?? 0;
    const counter = new ByteCounter();
    const answer = new AnswerOnItsWay(counter, directBytes, await orStopped(directBytes(), stopped));
    const nonce = toBase64Url(randomBytes(16));
    const sampling = question.sampling ?? {};
    const opened = await this.#calls.openTask(
      {
        model: question.model,
        sampling,
        level: question.level,
        checks: question.checks,
        client: signer.publicKey,
        nonce,
        session: this.#session,
        prefer: direct?.openPeer ?? null,
      },
      stopped,
      apiKey ?? this.#options.apiKey,
      session,
    );
    const task: SealedTask = new SealedTask(
      counter.count(opened),
      {
        messages: question.messages,
        stop: question.stop ?? [],
        sampling,
        private: true,
        signer,
        nonce,
        routerKey,
        level: question.level,
        checks: question.checks,
        problemsOf: async (receipt) => (await verifyReceipt(receipt, { routerKey })).problems,
      },
      {
        deliver: (envelope, held) => this.#deliver(direct, envelope, held, task, answer),
        handOn: (wrap, held) => this.#calls.sendWrap(accessOf(held), wrap),
        reattach: async (held, from) =>
          counter.count(await this.#calls.reattach(accessOf(held), held.statement, from, over.signal)),
      },
    );
    const stop = () => void task.stop();
    signal?.addEventListener('abort', stop);
    if (stopped.aborted) stop(); // In the moment between the answer of the router and this line.
    this.#running.add(task);
    void task.finished.then(() => {
      this.#running.delete(task);
      signal?.removeEventListener('abort', stop);
      const lease = task.held?.lease;
      // However it came to its end: a tab at the other end of a link must not write on for nobody.
      if (lease !== undefined && !task.answered) {
        direct?.send(lease.tab, encodePacket('stop', lease.number, new Uint8Array(0)));
      }
      over.abort();
    });
    return answer.of(task);
  }

  /** Closes direct links. Running answers go on by relay. */
  close(): void {
    void this.#direct?.then((direct) => direct?.closeAll());
    this.#direct = null;
  }

  #signer(): Promise<Signer> {
    this.#identity ??= generateSigningKeys().then(({ pair, publicKey }) => signerOf(pair.privateKey, publicKey));
    return this.#identity;
  }

  #directPath(signer: Signer): Promise<DirectPath | null> {
    if (this.#options.directLinks !== true || typeof RTCPeerConnection !== 'function') return Promise.resolve(null);
    this.#direct ??= import('./direct-path.ts')
      .then(
        ({ DirectPath }) =>
          new DirectPath({
            signer,
            iceServers: this.#options.iceServers ?? [],
            onMessage: (peer, message) => this.#fromPeer(peer, message),
            onLost: (peer) => this.#linkLost(peer),
          }),
      )
      .catch(() => {
        this.#direct = null; // This question goes by relay; the next one tries again.
        return null;
      });
    return this.#direct;
  }

  /** Over the link when there is one, else by relay at once, while a link opens beside it for what comes after. */
  async #deliver(
    direct: DirectPath | null,
    envelope: Bytes,
    held: HeldLease,
    task: SealedTask,
    answer: AnswerOnItsWay,
  ): Promise<void> {
    const { lease } = held;
    const byRelay = async () => {
      answer.relaySent += envelope.byteLength;
      await this.#calls.sendEnvelope(accessOf(held), envelope);
    };
    if (lease.role === 'check') return byRelay();
    if (direct?.send(lease.tab, encodePacket('envelope', lease.number, envelope))) {
      answer.promptPath = 'direct';
      setTimeout(() => {
        if (!task.accepted && this.#running.has(task)) void byRelay().catch(() => undefined);
      }, DIRECT_ACK_MS);
      return;
    }
    answer.promptPath = 'relay';
    if (held.direct && direct !== null) {
      void direct.connect(lease.tab, (link, offer) =>
        this.#calls.sendOffer(accessOf(held), held.statement, link, offer),
      );
    }
    await byRelay();
  }

  #fromPeer(peer: string, message: Bytes): void {
    try {
      const packet = decodePacket(message);
      if (packet.kind !== 'frame') return;
      for (const task of this.#running) {
        const lease = task.held?.lease;
        if (lease?.tab === peer && lease.number === packet.number) task.receiveFrame(packet.payload.slice(), 'direct');
      }
    } catch {
      void this.#direct?.then((direct) => direct?.close(peer)); // It does not speak the protocol: go on by relay.
    }
  }

  /** What the link swallowed is sent again by relay. */
  #linkLost(peer: string): void {
    for (const task of this.#running) {
      const { held } = task;
      if (held?.lease.tab !== peer || task.answered) continue;
      void this.#calls.askResend(accessOf(held), held.statement, task.nextFrame).catch(() => undefined);
    }
  }
}

function wasStopped(): ShoalError {
  return new ShoalError('cancelled', 'The request was stopped.');
}

/** The promise's value, unless the signal is aborted first. Throws `cancelled`. */
async function orStopped<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const stopped = Promise.withResolvers<never>();
  const onAbort = () => stopped.reject(wasStopped());
  if (signal.aborted) onAbort();
  signal.addEventListener('abort', onAbort);
  try {
    return await Promise.race([stopped.promise, promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

function accessOf(held: HeldLease): TaskAccess {
  return { task: held.lease.task, token: held.token };
}

class AnswerOnItsWay implements SealedAnswer {
  promptPath: TaskPath | null = null;
  relaySent = 0;
  readonly #counter: ByteCounter;
  readonly #directBytes: () => Promise<number>;
  readonly #directBefore: number;
  #task: SealedTask | null = null;

  constructor(counter: ByteCounter, directBytes: () => Promise<number>, directBefore: number) {
    this.#counter = counter;
    this.#directBytes = directBytes;
    this.#directBefore = directBefore;
  }

  of(task: SealedTask): this {
    this.#task = task;
    return this;
  }

  get salt(): string {
    return this.#task?.salt ?? '';
  }

  async *updates(): AsyncGenerator<TaskUpdate, void, undefined> {
    if (this.#task !== null) yield* this.#task.updates();
  }

  async traffic(): Promise<AnswerTraffic> {
    return {
      relayBytes: this.relaySent + this.#counter.bytes,
      directBytes: (await this.#directBytes()) - this.#directBefore,
    };
  }

  async stop(): Promise<void> {
    await this.#task?.stop();
  }
}

/** Counts the bytes of streams that pass through it. */
class ByteCounter {
  bytes = 0;

  count(stream: ReadableStream<Uint8Array>): ReadableStream<Uint8Array> {
    return stream.pipeThrough(
      new TransformStream<Uint8Array, Uint8Array>({
        transform: (chunk, controller) => {
          this.bytes += chunk.byteLength;
          controller.enqueue(chunk);
        },
      }),
    );
  }
}
