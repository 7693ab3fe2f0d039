import type { Connection, ConnectionEvents } from '../../../shared/peer/connection.ts';
import { decodeRouterToTab, decodeTabToRouter, encodeMessage } from '../../../shared/protocol/tab-socket.ts';
import type { Tamper } from './lie.ts';

/** A connection whose messages pass through a liar's hands, in their order. Packets pass as they are. */
export class TamperingConnection implements Connection {
  readonly #inner: Connection;
  readonly #tamper: Tamper;
  #tail: Promise<void> = Promise.resolve();

  constructor(connect: (events: ConnectionEvents) => Connection, events: ConnectionEvents, tamper: Tamper) {
    this.#tamper = tamper;
    this.#inner = connect({
      ...events,
      onMessage: (data) => {
        if (typeof data === 'string') tamper.heard?.(decodeRouterToTab(data));
        events.onMessage(data);
      },
    });
  }

  get isOpen(): boolean {
    return this.#inner.isOpen;
  }

  send(data: string | Uint8Array<ArrayBuffer>): boolean {
    if (!this.#inner.isOpen) return false;
    this.#tail = this.#tail.then(() => this.#pass(data));
    return true;
  }

  close(code?: number, reason?: string): void {
    // What was said before is said first.
    void this.#tail.then(() => this.#inner.close(code, reason));
  }

  retryNow(): void {
    this.#inner.retryNow();
  }

  async #pass(data: string | Uint8Array<ArrayBuffer>): Promise<void> {
    if (typeof data !== 'string' || this.#tamper.said === undefined) {
      this.#inner.send(data);
      return;
    }
    const said = await this.#tamper.said(decodeTabToRouter(data));
    if (said !== null) this.#inner.send(encodeMessage(said));
  }
}
