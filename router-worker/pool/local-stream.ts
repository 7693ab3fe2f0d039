import type { Bytes } from '../../shared/bytes.ts';
import type { StreamSink } from './task-stream.ts';

export interface LocalSink extends StreamSink {
  /** Called when the reader cancels. */
  onCancel: () => void;
  /** The connection between pool and reader is gone; neither side said anything. */
  break(): void;
}

/** The stream of a task within one process: what the pool writes, a reader in the same object reads. */
export function localStream(): { readonly stream: ReadableStream<Uint8Array>; readonly sink: LocalSink } {
  let controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  const sink: LocalSink = {
    onCancel: () => undefined,
    write: async (bytes: Bytes) => controller?.enqueue(bytes.slice()),
    close: () => {
      controller?.close();
      controller = null;
    },
    break: () => {
      controller?.error(new Error('the object was evicted'));
      controller = null;
    },
  };
  const stream = new ReadableStream<Uint8Array>({
    start(given) {
      controller = given;
    },
    cancel() {
      controller = null;
      sink.onCancel();
    },
  });
  return { stream, sink };
}
