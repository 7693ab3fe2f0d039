import type { Bytes } from '../../shared/bytes.ts';
import { encodeEvent, packetToFrameRecord, type StreamEvent } from '../../shared/protocol/stream-records.ts';

/** Where the bytes of a task's stream go. */
export interface StreamSink {
  /** Resolves when the bytes were taken, rejects when nobody reads any more. */
  write(bytes: Bytes): Promise<void>;
  close(): void;
}

/** Bytes that may wait for a slow client before its stream is given up: an answer of any length fits. */
const MAX_WAITING_BYTES = 4 * 1024 * 1024;

/** The stream of one task to whoever sealed it. Writing never blocks the pool; a client that stops reading is cut off. */
export class TaskStream {
  readonly #sink: StreamSink;
  readonly #onGone: () => void;
  #waitingBytes = 0;
  #open = true;

  constructor(sink: StreamSink, onGone: () => void) {
    this.#sink = sink;
    this.#onGone = onGone;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  event(event: StreamEvent): void {
    this.#write(encodeEvent(event));
  }

  /** Passes a packet with a frame on. Its bytes are the stream's from now on. */
  frame(packet: Bytes): void {
    this.#write(packetToFrameRecord(packet));
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#sink.close();
  }

  /** What was said is sent, and nothing more: whether or not its reader is held for gone. */
  end(): void {
    this.#open = false;
    this.#sink.close();
  }

  /** The reader went away. */
  gone(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#onGone();
  }

  #write(bytes: Bytes): void {
    if (!this.#open) return;
    this.#waitingBytes += bytes.byteLength;
    if (this.#waitingBytes > MAX_WAITING_BYTES) {
      this.gone();
      this.#sink.close();
      return;
    }
    this.#sink.write(bytes).then(
      () => {
        this.#waitingBytes -= bytes.byteLength;
      },
      () => this.gone(),
    );
  }
}
