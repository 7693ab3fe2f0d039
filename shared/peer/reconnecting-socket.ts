import { PING, PONG } from '../protocol/tab-socket.ts';
import { backoffDelayMs, SOCKET_BACKOFF } from './backoff.ts';
import type { Connection, ConnectionEvents } from './connection.ts';

export interface ReconnectingSocketOptions extends ConnectionEvents {
  /** Asked for every time that it connects. */
  readonly url: () => string;
  /** Close codes after which the socket stays closed. */
  readonly finalCodes: readonly number[];
  /** Close codes after which it connects again at once: no failure, but a place that is elsewhere. Left out: none. */
  readonly movedCodes?: readonly number[];
  readonly beatMs?: number;
  readonly random?: () => number;
}

const CONNECT_DEADLINE_MS = 10_000;
/** Below the shortest idle timeout of common proxies (60 s), and rare enough to let the object hibernate. */
const BEAT_MS = 20_000;
/** A connection that lasted this long starts again at the first delay. */
const STEADY_MS = 10_000;
/** Connections that are sent elsewhere come back within this time, ms: many are sent at once. */
const MOVED_WITHIN_MS = 200;

/** A WebSocket that comes back by itself, with jitter, until closed. A beat finds connections that died without a word. */
export class ReconnectingSocket implements Connection {
  readonly #options: ReconnectingSocketOptions;
  #socket: WebSocket | null = null;
  #attempt = 0;
  #openedAt = 0;
  #movedAt = Number.NEGATIVE_INFINITY;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #beat: ReturnType<typeof setInterval> | undefined;
  #beatAnswered = true;
  #closed = false;

  constructor(options: ReconnectingSocketOptions) {
    this.#options = options;
    this.#connect();
  }

  get isOpen(): boolean {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  send(data: string | Uint8Array<ArrayBuffer>): boolean {
    if (!this.isOpen) return false;
    this.#socket?.send(data);
    return true;
  }

  close(code = 1000, reason = 'closed'): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#stopTimers();
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(code, reason);
    this.#options.onState({ state: 'closed', code, reason });
  }

  /** Tries again at once, for instance when the device is back online. */
  retryNow(): void {
    if (this.#closed || this.#socket !== null) return;
    clearTimeout(this.#timer);
    this.#connect();
  }

  #connect(): void {
    const { onState, onMessage, url } = this.#options;
    onState({ state: 'connecting', attempt: this.#attempt });
    const socket = new WebSocket(url());
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#lost(socket, 1006, 'no connection in time'), CONNECT_DEADLINE_MS);
    socket.onopen = () => {
      if (socket !== this.#socket) return;
      clearTimeout(this.#timer);
      this.#openedAt = Date.now();
      this.#startBeat(socket);
      onState({ state: 'open' });
    };
    socket.onmessage = (event: MessageEvent<string | ArrayBuffer>) => {
      if (socket !== this.#socket) return;
      this.#beatAnswered = true;
      if (event.data !== PONG) onMessage(event.data);
    };
    socket.onclose = (event) => this.#lost(socket, event.code, event.reason);
    socket.onerror = () => undefined; // A close event follows and says what there is to say.
  }

  #startBeat(socket: WebSocket): void {
    this.#beatAnswered = true;
    this.#beat = setInterval(() => {
      if (!this.#beatAnswered) return this.#lost(socket, 1006, 'the beat was not answered');
      this.#beatAnswered = false;
      if (socket.readyState === WebSocket.OPEN) socket.send(PING);
    }, this.#options.beatMs ?? BEAT_MS);
  }

  #lost(socket: WebSocket, code: number, reason: string): void {
    if (socket !== this.#socket) return;
    this.#socket = null;
    this.#stopTimers();
    socket.onopen = socket.onmessage = socket.onclose = null;
    try {
      socket.close();
    } catch {
      // Already closed.
    }
    if (this.#closed || this.#options.finalCodes.includes(code)) {
      this.#closed = true;
      this.#options.onState({ state: 'closed', code, reason });
      return;
    }
    if (this.#openedAt > 0 && Date.now() - this.#openedAt > STEADY_MS) this.#attempt = 0;
    this.#openedAt = 0;
    const draw = (this.#options.random ?? Math.random)();
    // One that is sent on and on backs off like any other.
    const isMoved = this.#options.movedCodes?.includes(code) === true && Date.now() - this.#movedAt > STEADY_MS;
    if (isMoved) this.#movedAt = Date.now();
    const delayMs = isMoved
      ? Math.round(MOVED_WITHIN_MS * draw)
      : backoffDelayMs(SOCKET_BACKOFF, this.#attempt++, draw);
    this.#timer = setTimeout(() => this.#connect(), delayMs);
    this.#options.onState({ state: 'waiting', attempt: this.#attempt, retryAtMs: Date.now() + delayMs });
  }

  #stopTimers(): void {
    clearTimeout(this.#timer);
    clearInterval(this.#beat);
  }
}
