import type { Connection, ConnectionEvents } from '../../shared/peer/connection.ts';
import type { Pool } from '../pool/pool.ts';
import type { NamedTab, TabAttachment, TabSocket } from '../pool/tab.ts';

export type Sent = string | Uint8Array<ArrayBuffer>;

/**
 * A tab's socket without a network: ordered, asynchronous, and it may break. `reconnect` opens a new socket of the same tab, as the real
 * one does after a break.
 */
export class Wire implements Connection {
  readonly #pool: () => Pool;
  readonly #events: ConnectionEvents;
  readonly #network: string;
  readonly #named: NamedTab | null;
  #socket: WireSocket | null = null;
  /** Codes with which the pool closed its sockets. */
  readonly closes: number[] = [];
  /** Everything that crossed, both ways, for tests that look for what must not. */
  readonly log: (string | Uint8Array)[] = [];
  /** Changes or drops what the tab sends; the hostile part of a hostile tab. */
  tamper: (data: Sent) => Sent | null | Promise<Sent | null> = (data) => data;

  readonly #country: string | null;

  constructor(
    pool: () => Pool,
    events: ConnectionEvents,
    network = 'home',
    named: NamedTab | null = null,
    country: string | null = null,
  ) {
    this.#named = named;
    this.#country = country;
    this.#pool = pool;
    this.#events = events;
    this.#network = network;
    queueMicrotask(() => this.reconnect());
  }

  get isOpen(): boolean {
    return this.#socket !== null;
  }

  /** What the pool keeps with the socket, as it would find it after hibernation. */
  get socket(): { readonly socket: TabSocket; readonly attachment: TabAttachment | null } | null {
    return this.#socket === null ? null : { socket: this.#socket, attachment: this.#socket.attachment };
  }

  reconnect(): void {
    const socket = new WireSocket(
      (data) => {
        this.log.push(data);
        this.#events.onMessage(typeof data === 'string' ? data : data.slice().buffer);
      },
      (code, reason) => {
        if (this.#socket !== socket) return;
        this.closes.push(code);
        this.#socket = null;
        this.#pool().closed(socket, code);
        this.#events.onState({ state: 'closed', code, reason });
      },
      this.#country,
    );
    this.#socket = socket;
    this.#events.onState({ state: 'open' });
    this.#pool().greet(socket, this.#network, this.#named);
  }

  send(data: Sent): boolean {
    const socket = this.#socket;
    if (socket === null) return false;
    const sent = this.tamper(data);
    if (sent instanceof Promise) void sent.then((late) => this.#pass(socket, late));
    else this.#pass(socket, sent);
    return true;
  }

  #pass(socket: WireSocket, sent: Sent | null): void {
    if (sent === null) return;
    this.log.push(sent);
    const copy = typeof sent === 'string' ? sent : sent.slice().buffer;
    queueMicrotask(() => {
      if (this.#socket === socket) void this.#pool().receive(socket, copy);
    });
  }

  /** The network breaks: neither side said anything. */
  break(code = 1006): void {
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    this.#events.onState({ state: 'waiting', attempt: 1, retryAtMs: 0 });
    this.#pool().closed(socket, code);
  }

  close(code = 1000): void {
    this.break(code);
  }

  retryNow(): void {
    if (this.#socket === null) this.reconnect();
  }
}

class WireSocket implements TabSocket {
  readonly country: string | null;
  attachment: TabAttachment | null = null;
  readonly #deliver: (data: string | Uint8Array<ArrayBuffer>) => void;
  readonly #onClose: (code: number, reason: string) => void;
  #open = true;

  constructor(
    deliver: (data: string | Uint8Array<ArrayBuffer>) => void,
    onClose: (code: number, reason: string) => void,
    country: string | null,
  ) {
    this.country = country;
    this.#deliver = deliver;
    this.#onClose = onClose;
  }

  send(data: string | Uint8Array<ArrayBuffer>): void {
    if (!this.#open) throw new Error('the socket is closed');
    queueMicrotask(() => {
      if (this.#open) this.#deliver(data);
    });
  }

  close(code: number, reason: string): void {
    this.#open = false;
    queueMicrotask(() => this.#onClose(code, reason));
  }

  remember(attachment: TabAttachment): void {
    this.attachment = structuredClone(attachment);
  }
}
