import { DurableObject } from 'cloudflare:workers';

/**
 * The three ways of a token from a tab's socket to the client's event stream, with nothing else around them: what `npm run bench:relay` measures
 * to choose the topology, and the bare relay that the router is compared with.
 *
 *   pool     tab's pool socket → pool object → Worker
 *   session  tab's pool socket → pool object → session object → Worker
 *   direct   a socket of its own from the tab to the session object → Worker
 */

interface BenchEnv {
  readonly POOL: DurableObjectNamespace<BenchPool>;
  readonly SESSION: DurableObjectNamespace<BenchSession>;
}

/** A task's number in front of each binary frame; the last one is longer by its flag. */
const FRAME_HEADER_BYTES = 5;
const FLAG_FINAL = 1;

interface OpenTask {
  readonly writer: WritableStreamDefaultWriter<Uint8Array>;
}

class FrameSwitch {
  readonly #tasks = new Map<number, OpenTask>();

  open(number: number): ReadableStream<Uint8Array> {
    const { readable, writable } = new IdentityTransformStream();
    this.#tasks.set(number, { writer: writable.getWriter() });
    return readable;
  }

  frame(data: ArrayBuffer): void {
    const view = new DataView(data);
    const number = view.getUint32(0);
    const task = this.#tasks.get(number);
    if (task === undefined) return;
    void task.writer.write(new Uint8Array(data, FRAME_HEADER_BYTES));
    if (view.getUint8(4) !== FLAG_FINAL) return;
    void task.writer.close();
    this.#tasks.delete(number);
  }
}

export class BenchPool extends DurableObject<BenchEnv> {
  readonly #switch = new FrameSwitch();
  #next = 1;
  #turn = 0;

  override async fetch(): Promise<Response> {
    const [client, server] = Object.values(new WebSocketPair()) as [WebSocket, WebSocket];
    this.ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }

  override webSocketMessage(_: WebSocket, data: string | ArrayBuffer): void {
    if (typeof data !== 'string') this.#switch.frame(data);
  }

  /** The stream of a new task, by the pool's own socket. */
  start(prompt: string): ReadableStream<Uint8Array> {
    const number = this.#next++;
    const stream = this.#switch.open(number);
    this.#tab().send(JSON.stringify({ number, prompt, session: null }));
    return stream;
  }

  /** Tells a tab to bring its answer to a session on a socket of its own. */
  startElsewhere(prompt: string, session: string): void {
    this.#tab().send(JSON.stringify({ number: 1, prompt, session }));
  }

  #tab(): WebSocket {
    const sockets = this.ctx.getWebSockets();
    const socket = sockets[this.#turn++ % sockets.length];
    if (socket === undefined) throw new Error('no tab');
    return socket;
  }
}

export class BenchSession extends DurableObject<BenchEnv> {
  readonly #switch = new FrameSwitch();

  override async fetch(): Promise<Response> {
    const [client, server] = Object.values(new WebSocketPair()) as [WebSocket, WebSocket];
    this.ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }

  override webSocketMessage(_: WebSocket, data: string | ArrayBuffer): void {
    if (typeof data !== 'string') this.#switch.frame(data);
  }

  async throughPool(prompt: string): Promise<ReadableStream<Uint8Array>> {
    return this.env.POOL.get(this.env.POOL.idFromName('pool')).start(prompt);
  }

  async ownSocket(prompt: string, name: string): Promise<ReadableStream<Uint8Array>> {
    const stream = this.#switch.open(1);
    await this.env.POOL.get(this.env.POOL.idFromName('pool')).startElsewhere(prompt, name);
    return stream;
  }
}

export default {
  async fetch(request: Request, env: BenchEnv): Promise<Response> {
    const { pathname } = new URL(request.url);
    const pool = env.POOL.get(env.POOL.idFromName('pool'));
    if (pathname === '/tab') return pool.fetch(request);
    if (pathname.startsWith('/session/')) {
      return env.SESSION.get(env.SESSION.idFromName(pathname.slice('/session/'.length))).fetch(request);
    }
    const prompt = await request.text();
    const name = crypto.randomUUID();
    const session = env.SESSION.get(env.SESSION.idFromName(name)); // Every conversation has an object of its own: a cold one.
    const stream =
      pathname === '/pool'
        ? await pool.start(prompt)
        : pathname === '/session'
          ? await session.throughPool(prompt)
          : await session.ownSocket(prompt, name);
    return new Response(stream, { headers: { 'content-type': 'text/event-stream' } });
  },
};
