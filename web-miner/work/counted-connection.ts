import { utf8 } from '../../shared/bytes.ts';
import type { Connection, ConnectionEvents } from '../../shared/peer/connection.ts';

/** A connection that says how many bytes it moved, both ways: somebody pays for them. */
export class CountedConnection implements Connection {
  readonly #inner: Connection;
  readonly #moved: (bytes: number) => void;

  constructor(
    events: ConnectionEvents,
    moved: (bytes: number) => void,
    open: (events: ConnectionEvents) => Connection,
  ) {
    this.#moved = moved;
    this.#inner = open({
      onState: events.onState,
      onMessage: (data) => {
        moved(sizeOf(data));
        events.onMessage(data);
      },
    });
  }

  get isOpen(): boolean {
    return this.#inner.isOpen;
  }

  send(data: string | Uint8Array<ArrayBuffer>): boolean {
    const isSent = this.#inner.send(data);
    if (isSent) this.#moved(sizeOf(data));
    return isSent;
  }

  close(code?: number, reason?: string): void {
    this.#inner.close(code, reason);
  }

  retryNow(): void {
    this.#inner.retryNow();
  }
}

function sizeOf(data: string | ArrayBuffer | Uint8Array<ArrayBuffer>): number {
  return typeof data === 'string' ? utf8(data).byteLength : data.byteLength;
}
