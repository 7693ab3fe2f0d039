import { type Bytes, sha256, toBytes, toHex } from '../../shared/bytes.ts';
import { piecePath, type VariantEntry } from '../../shared/classes/catalogue.ts';

/** What a download has done so far, bytes. */
export interface DownloadProgress {
  readonly loadedBytes: number;
  readonly totalBytes: number;
  /** Of those loaded, how many came from this browser's own store. */
  readonly fromStoreBytes: number;
}

export class ModelDownloadError extends Error {
  override readonly name = 'ModelDownloadError';
}

const STORE_NAME = 'shoal-models-v1';
const ATTEMPTS = 3;
const PIECES_AT_ONCE = 2;
const RETRY_MS = 1000;
/** A connection that delivers nothing for this long is given up, ms. */
const SILENCE_MS = 20_000;

/**
 * The weights of a variant: piece by piece, each checked against its digest before it is used or stored, kept in the browser's Cache storage. A download
 * that stopped goes on with the first missing piece. Throws {@link ModelDownloadError} or `AbortError`.
 */
export async function fetchWeights(
  origin: string,
  variant: VariantEntry,
  onProgress: (progress: DownloadProgress) => void,
  signal: AbortSignal,
): Promise<Blob> {
  const store = await openStore();
  const { pieces, bytes: totalBytes, sha256: weightsDigest } = variant.weights;
  const loaded = new Array<number>(pieces.length).fill(0);
  let fromStoreBytes = 0;
  const tell = () => onProgress({ loadedBytes: loaded.reduce((a, b) => a + b, 0), totalBytes, fromStoreBytes });
  const blobs = new Array<Blob>(pieces.length);
  const waiting = pieces.map((piece, index) => ({ piece, index }));

  async function fetchOne({ piece, index }: (typeof waiting)[number]): Promise<void> {
    const url = new URL(piecePath(weightsDigest, index), origin).href;
    const kept = await store?.match(url);
    if (kept !== undefined) {
      const blob = await kept.blob();
      if (blob.size === piece.bytes && (await digestOf(blob)) === piece.sha256) {
        loaded[index] = piece.bytes;
        fromStoreBytes += piece.bytes;
        blobs[index] = blob;
        return tell();
      }
      await store?.delete(url);
    }
    const blob = await download(url, piece, signal, (bytes) => {
      loaded[index] = bytes;
      tell();
    });
    // Storage that is full or forbidden costs the next visit a download, not this one its model.
    await store?.put(url, new Response(blob)).catch(() => undefined);
    blobs[index] = blob;
  }

  tell();
  const workers = Array.from({ length: PIECES_AT_ONCE }, async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      signal.throwIfAborted();
      await fetchOne(next);
    }
  });
  await Promise.all(workers);
  signal.throwIfAborted();
  return new Blob(blobs);
}

async function openStore(): Promise<Cache | null> {
  try {
    return await caches.open(STORE_NAME);
  } catch {
    return null; // A private window, or storage switched off.
  }
}

async function digestOf(blob: Blob): Promise<string> {
  return toHex(await sha256(toBytes(await blob.arrayBuffer())));
}

async function download(
  url: string,
  piece: { readonly sha256: string; readonly bytes: number },
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<Blob> {
  for (let attempt = 1; ; attempt++) {
    try {
      const body = await readAll(url, piece.bytes, signal, onBytes);
      if (toHex(await sha256(body)) !== piece.sha256) {
        throw new ModelDownloadError(`A piece of the model is damaged: ${new URL(url).pathname}.`);
      }
      return new Blob([body]);
    } catch (cause) {
      signal.throwIfAborted();
      onBytes(0);
      if (attempt >= ATTEMPTS) {
        const reason = cause instanceof Error ? cause.message : String(cause);
        throw cause instanceof ModelDownloadError
          ? cause
          : new ModelDownloadError(`The model could not be fetched: ${reason}`);
      }
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS * attempt));
    }
  }
}

async function readAll(
  url: string,
  size: number,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<Bytes> {
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(new Error('the connection went silent')), SILENCE_MS);
  try {
    const response = await fetch(url, { signal: AbortSignal.any([signal, silence.signal]), cache: 'no-store' });
    if (!response.ok || response.body === null) throw new Error(`HTTP ${response.status}`);
    const whole = new Uint8Array(size);
    let at = 0;
    for (const reader = response.body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(new Error('the connection went silent')), SILENCE_MS);
      if (at + value.byteLength > size) throw new Error('the file is longer than the catalogue says');
      whole.set(value, at);
      at += value.byteLength;
      onBytes(at);
    }
    if (at !== size) throw new Error('the file is shorter than the catalogue says');
    return whole;
  } finally {
    clearTimeout(timer);
  }
}
