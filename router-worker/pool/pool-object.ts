import { DurableObject } from 'cloudflare:workers';
import type { Bytes } from '../../shared/bytes.ts';
import type { ProbeRow } from '../../shared/checking/probe-row.ts';
import { type ErrorCode, ShoalError } from '../../shared/errors.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Placement } from '../../shared/protocol/placement.ts';
import { PING, PONG } from '../../shared/protocol/tab-socket.ts';
import type { Wrap } from '../../shared/sealing/envelope.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';
import { SqlReadingStore } from '../calibration/reading-store.ts';
import type { Env } from '../env.ts';
import { isGuardPass, routerKeys } from '../keys/router-keys.ts';
import { ledgerStub } from '../ledger/ledger-address.ts';
import { networkTasksOf } from '../network-tasks/network-tasks-of.ts';
import { RecordBook, type TabView } from '../record/record-book.ts';
import { SqlRecordStore } from '../record/sql-record-store.ts';
import type { Decision } from '../session/session.ts';
import type { Reply } from '../session/session-object.ts';
import type { LivePool } from './live-pool.ts';
import type { Outlook } from './outlook.ts';
import { Pool } from './pool.ts';
import type { LeaseWant } from './pool-ports.ts';
import { sessionCalls, unwrap } from './session-calls.ts';
import { StandingOutbox } from './standing-outbox.ts';
import type { Served, TabAttachment, TabSocket } from './tab.ts';
import type { Suspicion } from './tab-records.ts';
import type { Census } from './tab-roster.ts';
import type { StreamSink, TaskStream } from './task-stream.ts';
import type { Demand } from './wanted-classes.ts';

const TICK_MS = 1000;
const NETWORK_HEADER = 'shoal-network-prefix';
/** Where the router's origin is kept: tasks of the network's own name it as everybody's do. */
const ORIGIN_KEY = 'origin';

/** Doorman of {@link Pool}: hibernating sockets, byte streams, RPC, and a clock that runs only while there is work. */
export class PoolObject extends DurableObject<Env> {
  readonly #sockets = new WeakMap<WebSocket, TabSocket>();
  #opened: Promise<Pool> | null = null;
  #ticking: ReturnType<typeof setInterval> | null = null;
  /** Of the router, as the last tab that joined knows it. */
  #origin = '';

  readonly #readings: SqlReadingStore;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#readings = new SqlReadingStore(ctx.storage.sql);
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
  }

  /** A tab's socket. The Worker has checked the request and adds the digest of its network prefix. */
  override async fetch(request: Request): Promise<Response> {
    const pool = await this.#pool();
    this.#cameBy(new URL(request.url).origin);
    const [client, server] = Object.values(new WebSocketPair()) as [WebSocket, WebSocket];
    this.ctx.acceptWebSocket(server);
    pool.greet(this.#socketOf(server), request.headers.get(NETWORK_HEADER) ?? 'unknown');
    return new Response(null, { status: 101, webSocket: client });
  }

  override async webSocketMessage(socket: WebSocket, data: string | ArrayBuffer): Promise<void> {
    const pool = this.#opened === null ? await this.#pool() : await this.#opened;
    await pool.receive(this.#socketOf(socket), data);
  }

  override async webSocketClose(socket: WebSocket, code: number): Promise<void> {
    const pool = await this.#pool();
    pool.closed(this.#socketOf(socket), code);
  }

  override async webSocketError(socket: WebSocket): Promise<void> {
    await this.webSocketClose(socket, 1006);
  }

  /** The stream of a new task. */
  async request(want: LeaseWant): Promise<ReadableStream<Uint8Array>> {
    const pool = await this.#pool();
    return this.#stream((sink) => pool.request(want, sink));
  }

  /** The streams of the parts of one request, as many as the pool takes: of the others none is leased and none waits. */
  async requestMany(wants: readonly LeaseWant[], mostWaiting: number): Promise<ReadableStream<Uint8Array>[]> {
    const pool = await this.#pool();
    const pipes: Pipe[] = [];
    const sinkOf = () => {
      const pipe = openPipe();
      pipes.push(pipe);
      return pipe.sink;
    };
    const streams = pool.requestMany(wants, sinkOf, mostWaiting);
    return pipes.map((pipe, at) => {
      pipe.gone.catch(() => streams[at]?.gone());
      return pipe.readable;
    });
  }

  /** Nobody reads this task any more, and why. */
  async leave(tail: TaskTail, why: ErrorCode): Promise<void> {
    (await this.#pool()).leave(tail, why);
  }

  /** The stream of a running task, after the pool or the reader's connection to it was lost. */
  async reattach(tail: TaskTail, lease: Signed, from: number): Promise<ReadableStream<Uint8Array>> {
    const pool = await this.#pool();
    return this.#stream((sink) => pool.reattach(tail, lease, from, sink));
  }

  deliver(tail: TaskTail, envelope: Uint8Array<ArrayBuffer>): Promise<Reply<null>> {
    return this.#reply((pool) => pool.deliver(tail, envelope));
  }

  handOn(tail: TaskTail, wrap: Wrap): Promise<Reply<null>> {
    return this.#reply((pool) => pool.handOn(tail, wrap));
  }

  resend(tail: TaskTail, lease: Signed, from: number): Promise<Reply<null>> {
    return this.#reply((pool) => pool.resend(tail, lease, from));
  }

  async link(tail: TaskTail, lease: Signed, link: string, signal: Signed): Promise<Signed | null> {
    return (await this.#pool()).link(tail, lease, link, signal);
  }

  /** An answer of this tab looked wrong to whoever read it. */
  async suspect(identity: string, classId: string, reason: Suspicion): Promise<void> {
    (await this.#pool()).suspect(identity, classId, reason);
  }

  async served(identity: string): Promise<Served | null> {
    return (await this.#pool()).served(identity);
  }

  async tabView(identity: string): Promise<TabView> {
    return (await this.#pool()).tabView(identity);
  }

  async setStanding(identity: string, classId: string, standing: 'banned' | 'new'): Promise<void> {
    (await this.#pool()).setStanding(identity, classId, standing);
  }

  /** A tab was paired with an account, or is nobody's any more. */
  async owned(identity: string, owner: string | null): Promise<void> {
    (await this.#pool()).owned(identity, owner);
  }

  /** What a session decided by its own clock. */
  async decided(tasks: readonly { readonly tail: TaskTail; readonly decision: Decision }[]): Promise<void> {
    const pool = await this.#pool();
    for (const { tail, decision } of tasks) await pool.decide(tail, decision);
  }

  async outlook(placement: Placement, classes: readonly string[], tokens: number): Promise<Outlook> {
    return (await this.#pool()).outlook(placement, classes, tokens);
  }

  /** What idle tabs read of this model's answers. */
  async readings(model: string): Promise<ProbeRow[]> {
    await this.#pool();
    return this.#readings.rows(model);
  }

  /** Capacity, line and waits, as everybody may see them. Asked by the network's object, which keeps the answer a while. */
  async live(models: readonly { readonly model: string; readonly classes: readonly string[] }[]): Promise<LivePool> {
    return (await this.#pool()).live(models);
  }

  async inHand(tasks: readonly TaskTail[]): Promise<TaskTail[]> {
    return (await this.#pool()).inHand(tasks);
  }

  async stop(tasks: readonly TaskTail[]): Promise<void> {
    (await this.#pool()).stop(tasks);
  }

  async census(): Promise<Census[]> {
    return (await this.#pool()).census();
  }

  async demand(): Promise<Demand[]> {
    return (await this.#pool()).demand();
  }

  #pool(): Promise<Pool> {
    this.#opened ??= this.#start().catch((cause) => {
      this.#opened = null; // A missing secret can be set while the object lives.
      throw cause;
    });
    return this.#opened;
  }

  #cameBy(origin: string): void {
    if (origin === this.#origin) return;
    this.#origin = origin;
    void this.ctx.storage.put(ORIGIN_KEY, origin);
  }

  async #start(): Promise<Pool> {
    const keys = await routerKeys(this.env.SHOAL_ROUTER_SECRET);
    this.#origin = (await this.ctx.storage.get<string>(ORIGIN_KEY)) ?? '';
    const outbox = new StandingOutbox(this.ctx.storage.sql, async (orders) =>
      unwrap(await ledgerStub(this.env).standing(orders)),
    );
    void outbox.drain();
    const pool = new Pool({
      signer: keys.signer,
      sessions: sessionCalls(this.env, keys),
      now: () => Date.now(),
      records: new RecordBook(
        new SqlRecordStore(this.ctx.storage.sql),
        () => Date.now(),
        (tab, classId, standing) => outbox.changed(tab, classId, standing),
      ),
      readings: this.#readings,
      networkTasks:
        this.env.SHOAL_NETWORK_TASKS === 'off'
          ? null
          : networkTasksOf(this.env, keys, { random, origin: () => this.#origin }),
      ownerOf: async (tab) => unwrap(await ledgerStub(this.env).payeeOf(tab)),
      isGuard: (pass) => isGuardPass(keys, pass),
      busy: () => this.#watch(),
      random,
      log: (event, fields) => console.log(JSON.stringify({ event, ...fields })),
    });
    for (const socket of this.ctx.getWebSockets()) {
      const attachment = socket.deserializeAttachment() as TabAttachment | null;
      if (attachment !== null) pool.restore(this.#socketOf(socket), attachment);
    }
    return pool;
  }

  #socketOf(socket: WebSocket): TabSocket {
    let found = this.#sockets.get(socket);
    if (found === undefined) {
      found = {
        send: (data) => socket.send(data),
        close: (code, reason) => socket.close(code, reason),
        remember: (attachment) => socket.serializeAttachment(attachment),
      };
      this.#sockets.set(socket, found);
    }
    return found;
  }

  async #stream(open: (sink: StreamSink) => TaskStream | Promise<TaskStream>): Promise<ReadableStream<Uint8Array>> {
    const { readable, sink, gone } = openPipe();
    const stream = await open(sink);
    gone.catch(() => stream.gone());
    return readable;
  }

  async #reply(act: (pool: Pool) => Promise<void>): Promise<Reply<null>> {
    try {
      const pool = await this.#pool();
      await act(pool);
      return { ok: true, value: null };
    } catch (cause) {
      const error = ShoalError.from(cause);
      if (error.code === 'internal_error')
        console.error(JSON.stringify({ event: 'pool_failed', reason: String(cause) }));
      return { ok: false, error: error.toWire() };
    }
  }

  /** A timer keeps the object awake, so it runs only while there is something to watch. */
  #watch(): void {
    this.#ticking ??= setInterval(async () => {
      const pool = await this.#pool();
      pool.tick();
      if (pool.isBusy || this.#ticking === null) return;
      clearInterval(this.#ticking);
      this.#ticking = null;
    }, TICK_MS);
  }
}

interface Pipe {
  readonly readable: ReadableStream<Uint8Array>;
  readonly sink: StreamSink;
  /** Rejects when the reader goes away. */
  readonly gone: Promise<void>;
}

/** An identity stream, because only there a reader that goes away is noticed in every version of the runtime. */
function openPipe(): Pipe {
  const { readable, writable } = new IdentityTransformStream();
  const writer = writable.getWriter();
  const sink = {
    write: (bytes: Bytes) => writer.write(bytes),
    close: () => void writer.close().catch(() => undefined),
  };
  return { readable, sink, gone: writer.closed };
}

function random(): number {
  return (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32;
}

export { NETWORK_HEADER };
