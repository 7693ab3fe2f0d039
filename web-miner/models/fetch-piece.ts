import { type Bytes, sha256, toBytes, toHex } from '../../shared/bytes.ts';
import type { DownloadHalt } from './download-halt.ts';
import type { KeptPieces } from './kept-pieces.ts';
import { ModelDownloadError } from './model-download-error.ts';
import type { PieceAddress, PieceSources, SourceFault } from './piece-sources.ts';

/** One piece of a model, as the catalogue says. */
export interface WantedPiece {
  readonly index: number;
  readonly sha256: string;
  readonly bytes: number;
  /** The file that it is of, for a person. */
  readonly file: string;
}

/** Bytes of the piece that are here, and that came over the network, with those that came twice. */
type OnBytes = (here: number, fetched: number) => void;

/** So many failures in a row of all sources, without a byte between them, end the download. */
const ROUNDS = 3;
/** A server that sends a byte at a time and hangs up must not be asked for ever. */
const MOST_CONNECTIONS = 1000;
const RETRY_MS = 1000;
/** A connection that delivers nothing for this long is given up, ms. */
const SILENCE_MS = 20_000;
/** A source that takes this long, ms, to deliver less than that, bytes a second, is left where there is a better one. */
const SLOW_AFTER_MS = 10_000;
const SLOW_BYTES_PER_SECOND = 64 * 1024;
/** What arrived is kept in parts of this size, bytes: so much of a piece is fetched again after a tab died in the middle. */
const PART_BYTES = 1024 * 1024;

class SourceError extends Error {
  readonly fault: SourceFault;

  constructor(fault: SourceFault, message: string) {
    super(message);
    this.fault = fault;
  }
}

/**
 * One piece: what is kept of it, and the rest from whoever has it. Goes on where a connection was cut, with another source if there is one; checked against its digest
 * before it is given out. While it is halted nothing is fetched, and what is here stays. Throws {@link ModelDownloadError}, or what the signal was aborted with.
 */
export async function fetchPiece(
  piece: WantedPiece,
  sources: PieceSources,
  kept: KeptPieces | null,
  onBytes: OnBytes,
  halt: DownloadHalt,
  signal: AbortSignal,
): Promise<Blob> {
  const body = new PieceBody(piece, kept, onBytes);
  if (await body.restore()) return body.blob();
  const rounds = ROUNDS * Math.max(1, sources.count(piece.index));
  let failures = 0;
  for (let connections = 0; ; connections++) {
    await halt.lifted(signal);
    const stretch = halt.signal;
    const best = sources.best(piece.index);
    if (best === null) throw new ModelDownloadError(`Nobody has ${piece.file}.`, 'unreachable');
    const { source, address } = best;
    const from = body.length;
    try {
      const mayBeSlow = !sources.hasFaster(piece.index, source);
      await readInto(body, address, mayBeSlow, AbortSignal.any([signal, stretch]));
      if (await body.isRight()) {
        await body.keep(true);
        return body.blob();
      }
      throw new SourceError('damaged', `what ${address.host} sent of it has another digest`);
    } catch (cause) {
      await body.keep(false);
      signal.throwIfAborted();
      if (stretch.aborted) continue; // Nobody's fault.
      const fault = cause instanceof SourceError ? cause.fault : 'failed';
      // Where it sent the end of the piece only, the beginning may be what is wrong.
      sources.blame(source, fault === 'damaged' && from > 0 ? 'failed' : fault);
      if (fault === 'damaged') await body.clear();
      failures = body.length > from ? 1 : failures + 1;
      if (failures >= rounds || connections >= MOST_CONNECTIONS) throw gaveUp(piece, fault, cause);
      const round = Math.floor(failures / Math.max(1, sources.count(piece.index)));
      if (round > 0) await pause(RETRY_MS * round, signal);
    }
  }
}

function gaveUp(piece: WantedPiece, fault: SourceFault, cause: unknown): ModelDownloadError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const which = `${piece.file}, piece ${piece.index}`;
  if (fault === 'damaged') return new ModelDownloadError(`The model is damaged: ${which}, ${reason}.`, 'damaged');
  return new ModelDownloadError(`The model could not be fetched: ${which}, ${reason}.`, 'unreachable');
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });
}

/** The bytes of a piece that are here, and which of them the browser keeps. */
class PieceBody {
  readonly #piece: WantedPiece;
  readonly #onBytes: OnBytes;
  readonly #kept: KeptPieces | null;
  readonly #bytes: Bytes;
  #length = 0;
  #keptLength = 0;
  #fetched = 0;

  constructor(piece: WantedPiece, kept: KeptPieces | null, onBytes: OnBytes) {
    this.#piece = piece;
    this.#kept = kept;
    this.#onBytes = onBytes;
    this.#bytes = new Uint8Array(piece.bytes);
  }

  get length(): number {
    return this.#length;
  }

  get missing(): number {
    return this.#piece.bytes - this.#length;
  }

  /** Takes what is kept. True when that is the whole piece, and right. */
  async restore(): Promise<boolean> {
    const kept = await this.#kept?.read(this.#piece.index);
    if (kept === undefined || kept.size === 0) return false;
    if (kept.size <= this.#piece.bytes) {
      this.#bytes.set(toBytes(await kept.arrayBuffer()));
      this.#length = kept.size;
      this.#keptLength = kept.size;
      if (this.missing === 0 && !(await this.isRight())) await this.clear();
    } else await this.clear();
    this.#onBytes(this.#length, 0);
    return this.missing === 0;
  }

  add(chunk: Uint8Array): void {
    if (chunk.byteLength > this.missing) throw new SourceError('damaged', 'the file is longer than the catalogue says');
    this.#bytes.set(chunk, this.#length);
    this.#length += chunk.byteLength;
    this.#fetched += chunk.byteLength;
    this.#onBytes(this.#length, this.#fetched);
  }

  /** Back to the beginning: the source sends the piece from its first byte. */
  async clear(): Promise<void> {
    this.#length = 0;
    this.#keptLength = 0;
    this.#onBytes(0, this.#fetched);
    await this.#kept?.forget(this.#piece.index);
  }

  async isRight(): Promise<boolean> {
    return this.missing === 0 && toHex(await sha256(this.#bytes)) === this.#piece.sha256;
  }

  /** Whether a part is here that is worth keeping. */
  get hasPart(): boolean {
    return this.#kept?.isKeeping === true && this.missing > 0 && this.#length - this.#keptLength >= PART_BYTES;
  }

  /** Keeps what is not kept yet. The last part of a piece is kept only once the whole was found right. */
  async keep(isChecked: boolean): Promise<void> {
    if (this.#kept === null || this.#length === this.#keptLength || (this.missing === 0 && !isChecked)) return;
    const [from, to] = [this.#keptLength, this.#length];
    await this.#kept.append(this.#piece.index, from, this.#bytes.slice(from, to));
    this.#keptLength = to;
  }

  blob(): Blob {
    return new Blob([this.#bytes]);
  }
}

/** Reads the missing bytes of a piece from one address. Throws {@link SourceError} or what `fetch` throws; what arrived stays in the body. */
async function readInto(
  body: PieceBody,
  address: PieceAddress,
  mayBeSlow: boolean,
  signal: AbortSignal,
): Promise<void> {
  const stopped = new AbortController();
  const giveUp = () => stopped.abort(new SourceError('failed', `${address.host} went silent`));
  let timer = setTimeout(giveUp, SILENCE_MS);
  const startedAt = performance.now();
  let received = 0;
  try {
    const first = address.offset + body.length;
    const isPartial = !address.isWhole || body.length > 0;
    const response = await fetch(address.url, {
      signal: AbortSignal.any([signal, stopped.signal]),
      cache: 'no-store',
      credentials: 'omit',
      referrerPolicy: 'no-referrer',
      ...(isPartial && { headers: { range: `bytes=${first}-${first + body.missing - 1}` } }),
    });
    if (!response.ok || response.body === null) {
      throw new SourceError('failed', `${address.host} answered HTTP ${response.status}`);
    }
    if (isPartial && response.status !== 206) {
      if (!address.isWhole) {
        await response.body.cancel();
        throw new SourceError('no_ranges', `${address.host} cannot send a part of the file`);
      }
      await body.clear(); // Sent from the first byte.
    }
    for (const reader = response.body.getReader(); ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      clearTimeout(timer);
      timer = setTimeout(giveUp, SILENCE_MS);
      body.add(value);
      received += value.byteLength;
      if (body.hasPart) await body.keep(false);
      const seconds = (performance.now() - startedAt) / 1000;
      if (!mayBeSlow && seconds * 1000 > SLOW_AFTER_MS && received / seconds < SLOW_BYTES_PER_SECOND) {
        throw new SourceError('slow', `${address.host} is slow`);
      }
    }
    if (body.missing > 0) throw new SourceError('failed', `${address.host} sent ${body.missing} bytes too few`);
  } finally {
    clearTimeout(timer);
    stopped.abort(); // Whatever is still coming.
  }
}
