import { concatBytes } from '../../shared/bytes.ts';

/** What a host of files does with one request. */
export type Serving =
  /** As it should, in chunks; after so many bytes the connection is cut. */
  | { readonly serve: 'range'; readonly cutAfter?: number; readonly bytesPerSecond?: number }
  /** The whole file, whatever range was asked for. */
  | { readonly serve: 'whole' }
  | { readonly serve: 'wrong_byte'; readonly at: number }
  | { readonly serve: 'longer' }
  | { readonly serve: 'status'; readonly status: number }
  /** Takes the connection and sends nothing, for ever. */
  | { readonly serve: 'silence' };

export interface Asked {
  readonly url: string;
  readonly range: string | null;
}

const CHUNK_BYTES = 16 * 1024;

/** Hosts that serve files to `fetch`, each as a test says. Counts what went out. */
export class MirrorHosts {
  readonly files = new Map<string, Uint8Array<ArrayBuffer>>();
  readonly asked: Asked[] = [];
  sentBytes = 0;
  /** Called with each request and its number, from 0. */
  answer: (asked: Asked, number: number) => Serving = () => ({ serve: 'range' });
  /** Waits as long as a slow connection would. */
  passTime: (ms: number) => Promise<void> = async () => undefined;

  readonly fetch = async (
    url: string,
    { signal, headers }: { signal: AbortSignal; headers?: Record<string, string> },
  ): Promise<Response> => {
    signal.throwIfAborted();
    const asked = { url, range: headers?.range ?? null };
    const serving = this.answer(asked, this.asked.length);
    this.asked.push(asked);
    const file = this.files.get(url);
    if (file === undefined) return new Response(null, { status: 404 });
    if (serving.serve === 'status') return new Response('sorry', { status: serving.status });
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(asked.range ?? '') ?? [];
    const isRange = from !== undefined && serving.serve !== 'whole';
    const body = isRange ? file.slice(Number(from), Number(to) + 1) : file.slice();
    if (serving.serve === 'wrong_byte') {
      const at = serving.at - (isRange ? Number(from) : 0);
      if (at >= 0 && at < body.length) body[at] = (body[at] ?? 0) ^ 1;
    }
    const sent = serving.serve === 'longer' ? concatBytes(body, new Uint8Array(1)) : body;
    return new Response(this.#stream(sent, serving, signal), { status: isRange ? 206 : 200 });
  };

  #stream(body: Uint8Array<ArrayBuffer>, serving: Serving, signal: AbortSignal): ReadableStream<Uint8Array> {
    const end = serving.serve === 'range' ? (serving.cutAfter ?? Number.POSITIVE_INFINITY) : Number.POSITIVE_INFINITY;
    const speed = serving.serve === 'range' ? (serving.bytesPerSecond ?? null) : null;
    let at = 0;
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => signal.addEventListener('abort', () => controller.error(signal.reason), { once: true }),
        pull: async (controller) => {
          if (serving.serve === 'silence') return new Promise<void>(() => undefined);
          const chunk = body.slice(at, Math.min(at + CHUNK_BYTES, end));
          if (speed !== null) await this.passTime((chunk.byteLength * 1000) / speed);
          if (signal.aborted) return;
          at += chunk.byteLength;
          this.sentBytes += chunk.byteLength;
          if (chunk.byteLength > 0) controller.enqueue(chunk);
          if (at >= end && at < body.length) controller.error(new TypeError('network error'));
          else if (at >= body.length) controller.close();
        },
      },
      { highWaterMark: 0 },
    );
  }
}
