import { deleteKept, keptParts, openCache, readNote } from './kept-pieces.ts';

/** A model of which this browser keeps something. */
export interface StoredModel {
  /** SHA-256 of its weights: what {@link deleteStored} takes. */
  readonly weights: string;
  /** As when it was fetched, `smollm2-135m-instruct:q8_0`; null when that is not known. */
  readonly name: string | null;
  readonly storedBytes: number;
  /** Null when not known. */
  readonly wholeBytes: number | null;
  /** When a tab last loaded it, ms since 1970; null when not known. */
  readonly usedAt: number | null;
}

/** What this browser keeps, the longest unused first. Null where it keeps nothing: a private window, or storage switched off. */
export async function storedModels(): Promise<StoredModel[] | null> {
  const cache = await openCache();
  if (cache === null) return null;
  const sizes = new Map<string, number>();
  for (const { weights, start, end } of await keptParts(cache)) {
    sizes.set(weights, (sizes.get(weights) ?? 0) + end - start);
  }
  const models = await Promise.all(
    [...sizes].map(async ([weights, storedBytes]): Promise<StoredModel> => {
      const note = await readNote(cache, weights);
      return {
        weights,
        name: note?.name ?? null,
        storedBytes,
        wholeBytes: note?.wholeBytes ?? null,
        usedAt: note?.usedAt ?? null,
      };
    }),
  );
  return models.sort((a, b) => (a.usedAt ?? 0) - (b.usedAt ?? 0));
}

/** Deletes what is kept of one model, by the digest of its weights, or of all. A tab that runs it goes on running it. */
export async function deleteStored(which: string | 'all'): Promise<void> {
  const cache = await openCache();
  if (cache === null) return;
  const all = which === 'all' ? new Set((await keptParts(cache)).map(({ weights }) => weights)) : [which];
  for (const weights of all) await deleteKept(cache, weights);
}

/** Part of the browser's quota that models may fill: the rest is for the browser's own books, and for other pages of this address. */
const SHARE_OF_QUOTA = 0.9;

/** Room for models in this browser's storage, bytes: an estimate, as browsers give it. Null when the browser does not say. */
export async function storageRoom(): Promise<{ readonly usedBytes: number; readonly freeBytes: number } | null> {
  const estimate = await navigator.storage?.estimate?.().catch(() => null);
  if (estimate?.quota === undefined) return null;
  const usedBytes = estimate.usage ?? 0;
  return { usedBytes, freeBytes: Math.max(0, Math.floor(estimate.quota * SHARE_OF_QUOTA) - usedBytes) };
}
