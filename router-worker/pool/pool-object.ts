import { DurableObject } from 'cloudflare:workers';
import type { Bytes } from '../../shared/bytes.ts';
import type { ProbeRow } from '../../shared/checking/probe-row.ts';
import { type ErrorCode, ShoalError } from '../../shared/errors.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Placement } from '../../shared/protocol/placement.ts';
import { countryOf } from '../../shared/protocol/regions.ts';
import { CLOSE, PING, PONG } from '../../shared/protocol/tab-socket.ts';
import type { Wrap } from '../../shared/sealing/envelope.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';
import { SqlReadingStore } from '../calibration/reading-store.ts';
import type { Env } from '../env.ts';
import { isGuardPass, routerKeys } from '../keys/router-keys.ts';
import { ledgerStub } from '../ledger/ledger-address.ts';
import { networkTasksOf } from '../network-tasks/network-tasks-of.ts';
import type { NumberedFinding } from '../record/late-findings.ts';
import { RecordBook, type TabView } from '../record/record-book.ts';
import { SqlRecordStore } from '../record/sql-record-store.ts';
import type { Decision } from '../session/session.ts';
import type { Reply } from '../session/session-object.ts';
import type { LivePool } from './live-pool.ts';
import type { Outlook } from './outlook.ts';
import { Pool } from './pool.ts';
import { poolName, poolStub } from './pool-address.ts';
import { POOLS_HEADER, TAB_HEADER } from './pool-count.ts';
import { type HandedTab, PoolNeighbours } from './pool-neighbours.ts';
import type { LeaseWant } from './pool-ports.ts';
import { socketLimit } from './pool-size.ts';
import { homeOf, MAX_POOLS } from './rendezvous.ts';
import { sessionCalls, unwrap } from './session-calls.ts';
import { StandingOutbox } from './standing-outbox.ts';
import type { NamedTab, Served, TabAttachment, TabSocket } from './tab.ts';
import { homeKeyOf } from './tab-home.ts';
import type { Suspicion } from './tab-records.ts';
import type { Census, TabKind } from './tab-roster.ts';
import type { StreamSink, TaskStream } from './task-stream.ts';
import type { Demand } from './wanted-classes.ts';

const TICK_MS = 1000;
const NETWORK_HEADER = 'shoal-network-prefix';
const COUNTRY_HEADER = 'shoal-country';
/** Where the router's origin is kept: tasks of the network's own name it as everybody's do. */
const ORIGIN_KEY = 'origin';
/** Where is kept how many pools there are. In pool 0 it is the truth, in others what they heard. */
const POOLS_KEY = 'pools';
/** A task's stream, and how many pools there are: so a Worker hears of new ones without asking. */
export interface OpenedStream {
  readonly stream: ReadableStream<Uint8Array>;
  readonly pools: number;
}

export interface OpenedStreams {
  readonly streams: ReadableStream<Uint8Array>[];
  readonly pools: number;
}

/** A pool as it is, and the digests of the networks that its tabs are on: two pools may see the same. */
export interface SeenPool {
  readonly live: LivePool;
  readonly networks: readonly string[];
}

/** A tab as one pool sees it: `isHere` where that pool keeps its records. */
export interface SeenTab {
  readonly isHere: boolean;
  readonly view: TabView;
  readonly served: Served | null;
}

/** Doorman of {@link Pool}: hibernating sockets, byte streams, RPC, and a clock that runs only while there is work. */
export class PoolObject extends DurableObject<Env> {
  readonly #sockets = new WeakMap<WebSocket, TabSocket>();
  #opened: Promise<Pool> | null = null;
  #ticking: ReturnType<typeof setInterval> | null = null;
  /** Of the router, as the last tab that joined knows it. */
  #origin = '';

  readonly #readings: SqlReadingStore;
  /** Which of the network's pools this one is. */
  readonly #number: number;
  readonly #outbox: StandingOutbox;
  readonly #records: RecordBook;
  readonly #neighbours: PoolNeighbours;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    const { sql, kv } = ctx.storage;
    this.#readings = new SqlReadingStore(sql);
    this.#number = numberOf(ctx.id, env);
    const store = new SqlRecordStore(sql);
    this.#outbox = new StandingOutbox(sql, async (orders) => unwrap(await ledgerStub(this.env).standing(orders)));
    this.#neighbours = new PoolNeighbours({
      number: this.#number,
      stored: kv.get<number>(POOLS_KEY) ?? null,
      store: (pools) => kv.put(POOLS_KEY, pools),
      ...{ sql, records: store, book: () => this.#records, outbox: this.#outbox },
      neighbour: (pool) => poolStub(this.env, pool),
      homeKeyOf: async (identity) => homeKeyOf(await routerKeys(this.env.SHOAL_ROUTER_SECRET), identity),
      sockets: () => ctx.getWebSockets().length,
      soft: () => socketLimit(this.env).soft,
      grown: () => this.#watch(),
      now: () => Date.now(),
      log,
    });
    this.#records = new RecordBook(
      store,
      () => Date.now(),
      (tab, classId, standing) => this.#outbox.changed(tab, classId, standing),
      this.#neighbours.forward,
    );
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING, PONG));
  }

  /** A tab's socket. The Worker has checked the request and adds the digest of its network prefix. */
  override async fetch(request: Request): Promise<Response> {
    const pool = await this.#pool();
    this.#cameBy(new URL(request.url).origin);
    this.#neighbours.heardOf(Number(request.headers.get(POOLS_HEADER) ?? 1));
    const named = await this.#named(request.headers.get(TAB_HEADER));
    const isSeated = named !== null && pool.isSeated(named.identity);
    const headers = { [POOLS_HEADER]: String(this.#neighbours.pools) };
    if (named !== null && !isSeated && homeOf(named.homeKey, this.#neighbours.pools) !== this.#number) {
      return new Response(null, { status: 421, headers });
    }
    const limit = socketLimit(this.env);
    const sockets = this.ctx.getWebSockets().length;
    if (sockets >= limit.most && !isSeated) return new Response(null, { status: 503, headers });
    if (sockets >= limit.soft) this.ctx.waitUntil(this.#neighbours.full()); // The tab does not wait for what comes of it.
    const [client, server] = Object.values(new WebSocketPair()) as [WebSocket, WebSocket];
    if (named === null && this.#neighbours.pools > 1) {
      server.accept();
      server.close(CLOSE.version, 'older than pools'); // Seated here by its own choice it would meet whom it likes.
      return new Response(null, { status: 101, webSocket: client });
    }
    const country = countryOf(request.headers.get(COUNTRY_HEADER));
    this.ctx.acceptWebSocket(server, country === null ? [] : [country]); // A tag is kept with the socket while the object sleeps.
    pool.greet(this.#socketOf(server), request.headers.get(NETWORK_HEADER) ?? 'unknown', named);
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
  async request(want: LeaseWant): Promise<OpenedStream> {
    const pool = await this.#pool();
    return { stream: await this.#stream((sink) => pool.request(want, sink)), pools: this.#neighbours.pools };
  }

  /** The streams of the parts of one request, as many as the pool takes: of the others none is leased and none waits. */
  async requestMany(wants: readonly LeaseWant[], mostWaiting: number): Promise<OpenedStreams> {
    const pool = await this.#pool();
    const pipes: Pipe[] = [];
    const sinkOf = () => {
      const pipe = openPipe();
      pipes.push(pipe);
      return pipe.sink;
    };
    const opened = pool.requestMany(wants, sinkOf, mostWaiting);
    const streams = pipes.map((pipe, at) => {
      pipe.gone.catch(() => opened[at]?.gone());
      return pipe.readable;
    });
    return { streams, pools: this.#neighbours.pools };
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

  async seenTab(identity: string): Promise<SeenTab> {
    const pool = await this.#pool();
    return {
      isHere: this.#neighbours.keeps(identity, pool.isSeated(identity)),
      view: pool.tabView(identity),
      served: pool.served(identity),
    };
  }

  /** By word of the operator. False where this pool does not keep the tab's records: nothing was changed. */
  async setStanding(identity: string, classId: string, standing: 'banned' | 'new'): Promise<boolean> {
    const pool = await this.#pool();
    if (!this.#neighbours.keeps(identity, pool.isSeated(identity))) return false;
    pool.setStanding(identity, classId, standing);
    return true;
  }

  // ---- among the pools -----------------------------------------------------------------------------------------------

  /** How many pools there are, as far as this one knows. Pool 0 knows. */
  async pools(): Promise<number> {
    return this.#neighbours.pools;
  }

  /** There are as many pools now. Fewer than are known say nothing. */
  async grew(pools: number): Promise<void> {
    this.#neighbours.heardOf(pools);
  }

  async sockets(): Promise<number> {
    return this.ctx.getWebSockets().length;
  }

  /** For pool 0: a pool is too full. Gives how many there are afterwards. */
  async overflowed(): Promise<number> {
    await this.#neighbours.grow();
    return this.#neighbours.pools;
  }

  /** The tab proved itself to pool `to`, and that keeps its records from now on. Asked twice it gives the same. */
  async handOver(identity: string, to: number): Promise<HandedTab> {
    const pool = await this.#pool();
    pool.replaced(identity);
    return this.#neighbours.handOver(identity, to);
  }

  /** What pool `from` found of a tab after it had left. False where its records are not here yet. */
  async foundLate(from: number, found: NumberedFinding): Promise<boolean> {
    const pool = await this.#pool();
    return this.#neighbours.foundLate(from, found, pool.isSeated(found.tab));
  }

  async #named(identity: string | null): Promise<NamedTab | null> {
    if (identity === null) return null;
    return { identity, homeKey: await homeKeyOf(await routerKeys(this.env.SHOAL_ROUTER_SECRET), identity) };
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
  async live(models: readonly { readonly model: string; readonly classes: readonly string[] }[]): Promise<SeenPool> {
    const pool = await this.#pool();
    return { live: pool.live(models), networks: pool.networks() };
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

  async kinds(): Promise<TabKind[]> {
    return (await this.#pool()).kinds();
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
    void this.#outbox.drain();
    this.#neighbours.begin();
    const pool = new Pool({
      signer: keys.signer,
      sessions: sessionCalls(this.env, keys),
      now: () => Date.now(),
      records: this.#records,
      place: {
        number: this.#number,
        pools: () => this.#neighbours.pools,
        claim: (identity) => this.#neighbours.claim(identity),
      },
      readings: this.#readings,
      networkTasks:
        this.env.SHOAL_NETWORK_TASKS === 'off'
          ? null
          : networkTasksOf(this.env, keys, { random, origin: () => this.#origin, pool: this.#number }),
      ownerOf: async (tab) => unwrap(await ledgerStub(this.env).payeeOf(tab)),
      isGuard: (pass) => isGuardPass(keys, pass),
      busy: () => this.#watch(),
      random,
      log,
    });
    for (const socket of this.ctx.getWebSockets()) {
      const attachment = socket.deserializeAttachment() as TabAttachment | null;
      if (attachment !== null) pool.restore(this.#socketOf(socket), attachment);
    }
    if (this.#neighbours.pools > 1 && pool.isBusy) this.#watch(); // Some may have been about to move.
    return pool;
  }

  #socketOf(socket: WebSocket): TabSocket {
    let found = this.#sockets.get(socket);
    if (found === undefined) {
      const country = countryOf(this.ctx.getTags(socket)[0]);
      found = {
        country,
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

/** Which pool an object is by its id. One that is none of them, in a test, is the first. */
function numberOf(id: DurableObjectId, env: Pick<Env, 'POOL'>): number {
  for (let pool = 0; pool < MAX_POOLS; pool++) if (env.POOL.idFromName(poolName(pool)).equals(id)) return pool;
  return 0;
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

function log(event: string, fields: Readonly<Record<string, string | number>>): void {
  console.log(JSON.stringify({ event, ...fields }));
}

function random(): number {
  return (crypto.getRandomValues(new Uint32Array(1))[0] ?? 0) / 2 ** 32;
}

export { COUNTRY_HEADER, NETWORK_HEADER };
