import { ShoalError } from '../errors.ts';
import { RecordReader, type StreamRecord } from '../protocol/stream-records.ts';

/** Streams that broke are taken up again this often. */
const MAX_REATTACH = 2;

/** The records of a task's stream, across breaks: a stream that breaks is taken up where it stopped. */
export class ResumableStream {
  readonly #reattach: () => Promise<ReadableStream<Uint8Array>>;
  #reader: RecordReader;
  #reattached = 0;
  #stopped = false;

  /** `reattach` gives the stream again from where it stopped, and rejects when it cannot. */
  constructor(stream: ReadableStream<Uint8Array>, reattach: () => Promise<ReadableStream<Uint8Array>>) {
    this.#reader = new RecordReader(stream);
    this.#reattach = reattach;
  }

  /** The next record, or `null` at the clean end and once it was stopped. Throws what broke it, when it cannot be taken up again. */
  async next(): Promise<StreamRecord | null> {
    try {
      return await this.#reader.next();
    } catch (cause) {
      return this.#takeUpAgain(cause);
    }
  }

  /** Opens the stream anew, for frames that a direct link lost. Throws `tab_lost` when that was tried too often. */
  async renew(): Promise<void> {
    if (this.#reattached >= MAX_REATTACH) throw new ShoalError('tab_lost', 'The end of the answer did not arrive.');
    await this.#open();
  }

  /** No more records, now or from a stream that is being opened. Tells the other side. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#reader.cancel('stopped');
  }

  async #takeUpAgain(cause: unknown): Promise<StreamRecord | null> {
    while (!this.#stopped && this.#reattached < MAX_REATTACH) {
      try {
        await this.#open();
        return await this.#reader.next();
      } catch {
        // The next attempt, or the original error.
      }
    }
    if (this.#stopped) return null;
    throw cause instanceof ShoalError
      ? cause
      : new ShoalError('internal_error', 'The connection to the router broke.', { cause });
  }

  async #open(): Promise<void> {
    this.#reattached++;
    const reader = new RecordReader(await this.#reattach());
    void this.#reader.cancel('taken up again');
    this.#reader = reader;
    if (this.#stopped) await reader.cancel('stopped'); // Whoever stopped meanwhile could only cancel the one before.
  }
}
