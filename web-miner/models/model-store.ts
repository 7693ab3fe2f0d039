import type { VariantEntry } from '../../shared/classes/catalogue.ts';
import { RateMeter } from '../work/rate-meter.ts';
import { DownloadHalt } from './download-halt.ts';
import { fetchPiece, type WantedPiece } from './fetch-piece.ts';
import { KeptPieces, openCache } from './kept-pieces.ts';
import { PieceSources } from './piece-sources.ts';
import { deleteStored, type StoredModel, storageRoom, storedModels } from './stored-models.ts';

export { ModelDownloadError } from './model-download-error.ts';

/** Whether this browser will have the model next time, and why not: it keeps nothing at all, it has no room, or the person wanted none taken. */
export type Keeping = 'kept' | 'no_storage' | 'no_room';

/** What a download has done so far, bytes. */
export interface DownloadProgress {
  readonly loadedBytes: number;
  readonly totalBytes: number;
  /** Of those loaded, how many came from this browser's own store. */
  readonly fromStoreBytes: number;
  /** Bytes that came over the network, with those that had to be fetched again. */
  readonly fetchedBytes: number;
  readonly keeping: Keeping;
  /** Over the last seconds; 0 until something came. */
  readonly bytesPerSecond: number;
  /** At that speed; null while it is not known. */
  readonly secondsLeft: number | null;
}

/** The browser has no room for all of a model. */
export interface Shortage {
  readonly neededBytes: number;
  readonly freeBytes: number;
  /** Other models that are kept, the longest unused first. */
  readonly others: readonly StoredModel[];
}

export interface DownloadOptions {
  /** Noted with what is kept, for a person. */
  readonly name?: string;
  /**
   * Asked before anything is fetched, when the model has no room: which others to drop, by the digests of their weights. Where that is not enough, or nobody is asked, what does
   * not fit is not kept, and nothing is dropped.
   */
  readonly onShortage?: (shortage: Shortage) => Promise<readonly string[]>;
  /** Holds the download up; left out: it is never held up. */
  readonly halt?: DownloadHalt;
}

const PIECES_AT_ONCE = 2;

/**
 * The weights of a variant, files one after the other: from this browser's storage, from the router where it hosts them, from mirrors. Each piece is checked against its digest
 * as it arrives, before it is used; what a stopped download brought is kept. Without storage it works from memory. Throws {@link ModelDownloadError} or what the signal was
 * aborted with.
 */
export async function fetchWeights(
  origin: string,
  variant: VariantEntry,
  onProgress: (progress: DownloadProgress) => void,
  signal: AbortSignal,
  options: DownloadOptions = {},
): Promise<Blob> {
  const { weights } = variant;
  const cache = await openCache();
  const kept = cache === null ? null : await KeptPieces.open(cache, weights.sha256).catch(() => null);
  if (kept !== null) {
    if (!(await hasRoom(weights, kept.bytes, options))) kept.stopKeeping();
    await kept.note({ name: options.name ?? variant.id, wholeBytes: weights.bytes, usedAt: Date.now() });
  }

  const halt = options.halt ?? new DownloadHalt();
  const sources = new PieceSources(origin, weights);
  const pieces = wantedPieces(weights);
  const here = pieces.map(() => ({ bytes: 0, fetched: 0 }));
  const meter = new RateMeter();
  const tell = () => {
    const loadedBytes = here.reduce((sum, { bytes }) => sum + bytes, 0);
    const fetchedBytes = here.reduce((sum, { fetched }) => sum + fetched, 0);
    const fromStoreBytes = here.reduce((sum, { bytes, fetched }) => sum + Math.max(0, bytes - fetched), 0);
    const bytesPerSecond = meter.rate(fetchedBytes);
    const left = weights.bytes - loadedBytes;
    onProgress({
      loadedBytes,
      totalBytes: weights.bytes,
      fromStoreBytes,
      fetchedBytes,
      keeping: kept === null ? 'no_storage' : kept.isKeeping ? 'kept' : 'no_room',
      bytesPerSecond,
      secondsLeft: left === 0 ? 0 : bytesPerSecond === 0 ? null : left / bytesPerSecond,
    });
  };
  tell();

  const blobs = new Array<Blob>(pieces.length);
  const waiting = [...pieces];
  // The first failure stops the others: what they brought is kept.
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const work = async () => {
    for (let next = waiting.shift(); next !== undefined && !either.aborted; next = waiting.shift()) {
      const { index } = next;
      const onBytes = (bytes: number, fetched: number) => {
        here[index] = { bytes, fetched };
        tell();
      };
      blobs[index] = await fetchPiece(next, sources, kept, onBytes, halt, either);
    }
  };
  const workers = Array.from({ length: PIECES_AT_ONCE }, () => work().catch((cause) => failed.abort(cause)));
  await Promise.all(workers);
  either.throwIfAborted();
  return new Blob(blobs);
}

function wantedPieces({ pieces, files }: VariantEntry['weights']): WantedPiece[] {
  let file = 0;
  let endOfFile = files[0]?.bytes ?? 0;
  let at = 0;
  return pieces.map((piece, index) => {
    if (at >= endOfFile) {
      file++;
      endOfFile += files[file]?.bytes ?? 0;
    }
    at += piece.bytes;
    return { ...piece, index, file: files[file]?.name ?? 'weights' };
  });
}

/** Whether this browser has room for what is missing, after others were dropped as the person wanted. */
async function hasRoom(
  weights: VariantEntry['weights'],
  keptBytes: number,
  { onShortage }: DownloadOptions,
): Promise<boolean> {
  const neededBytes = weights.bytes - keptBytes;
  const room = await storageRoom();
  if (room === null || room.freeBytes >= neededBytes) return true;
  const others = ((await storedModels()) ?? []).filter((other) => other.weights !== weights.sha256);
  const dropped = (await onShortage?.({ neededBytes, freeBytes: room.freeBytes, others })) ?? [];
  for (const other of dropped) await deleteStored(other);
  return dropped.length > 0 && ((await storageRoom())?.freeBytes ?? 0) >= neededBytes;
}
