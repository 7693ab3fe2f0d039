import type { Bytes } from '../../shared/bytes.ts';

/**
 * What this browser keeps of models, in its Cache storage: the beginning of each piece, in parts of whatever length arrived, and a note on each model. A part's
 * address says which bytes it holds, so that sizes are known without reading anything, and nothing is written twice.
 */

const STORE_NAME = 'shoal-models-v2';
/** Held whole pieces by the router's own addresses. */
const EARLIER_STORE_NAME = 'shoal-models-v1';
/** Never connected to: Cache storage wants addresses as keys. */
const BASE = 'https://kept.shoal.invalid/';
const PART = /^https:\/\/kept\.shoal\.invalid\/([0-9a-f]{64})\/(\d+)\/(\d+)-(\d+)$/;

interface PartAddress {
  readonly url: string;
  readonly weights: string;
  readonly index: number;
  readonly start: number;
  readonly end: number;
}

/** What is noted on a model that is kept, wholly or in part. */
export interface KeptNote {
  /** For a person: `smollm2-135m-instruct:q8_0`. */
  readonly name: string;
  readonly wholeBytes: number;
  readonly usedAt: number;
}

/** Null where the browser keeps nothing: a private window, or storage switched off. */
export async function openCache(): Promise<Cache | null> {
  try {
    await caches.delete(EARLIER_STORE_NAME);
    return await caches.open(STORE_NAME);
  } catch {
    return null;
  }
}

/** Every part that is kept, of any model. */
export async function keptParts(cache: Cache): Promise<PartAddress[]> {
  const requests = await cache.keys();
  return requests.flatMap(({ url }) => {
    const [, weights, index, start, end] = PART.exec(url) ?? [];
    if (weights === undefined) return [];
    return [{ url, weights, index: Number(index), start: Number(start), end: Number(end) }];
  });
}

export async function readNote(cache: Cache, weights: string): Promise<KeptNote | null> {
  const response = await cache.match(noteUrl(weights));
  const note: unknown = await response?.json().catch(() => null);
  if (typeof note !== 'object' || note === null) return null;
  const { name, wholeBytes, usedAt } = note as Partial<KeptNote>;
  if (typeof name !== 'string' || typeof wholeBytes !== 'number' || typeof usedAt !== 'number') return null;
  return { name, wholeBytes, usedAt };
}

export async function deleteKept(cache: Cache, weights: string): Promise<void> {
  const parts = (await keptParts(cache)).filter((part) => part.weights === weights);
  await Promise.all(parts.map(({ url }) => cache.delete(url)));
  await cache.delete(noteUrl(weights));
}

function noteUrl(weights: string): string {
  return `${BASE}${weights}/note`;
}

/** The pieces of one model. */
export class KeptPieces {
  readonly #cache: Cache;
  readonly #weights: string;
  readonly #parts = new Map<number, PartAddress[]>();
  #isKeeping = true;

  private constructor(cache: Cache, weights: string) {
    this.#cache = cache;
    this.#weights = weights;
  }

  static async open(cache: Cache, weights: string): Promise<KeptPieces> {
    const kept = new KeptPieces(cache, weights);
    for (const part of await keptParts(cache)) {
      if (part.weights === weights) kept.#remember(part);
    }
    return kept;
  }

  /** Bytes that are kept of all pieces. */
  get bytes(): number {
    let sum = 0;
    for (const index of this.#parts.keys()) sum += this.#beginning(index).at(-1)?.end ?? 0;
    return sum;
  }

  /** The beginning of a piece as far as it is kept, unchecked; empty when nothing is. */
  async read(index: number): Promise<Blob> {
    const blobs: Blob[] = [];
    for (const { url, start, end } of this.#beginning(index)) {
      const blob = await (await this.#cache.match(url))?.blob();
      if (blob?.size !== end - start) break; // Taken away by the browser, or by another tab.
      blobs.push(blob);
    }
    return new Blob(blobs);
  }

  /** Keeps bytes of a piece. Once the browser refused some, which it does when it is full, nothing more is kept. */
  async append(index: number, start: number, bytes: Bytes): Promise<void> {
    if (!this.#isKeeping) return;
    const end = start + bytes.byteLength;
    const url = `${BASE}${this.#weights}/${index}/${start}-${end}`;
    try {
      await this.#cache.put(url, new Response(bytes));
      this.#remember({ url, weights: this.#weights, index, start, end });
    } catch {
      this.stopKeeping();
    }
  }

  get isKeeping(): boolean {
    return this.#isKeeping;
  }

  /** What is kept can still be read. */
  stopKeeping(): void {
    this.#isKeeping = false;
  }

  async forget(index: number): Promise<void> {
    const parts = this.#parts.get(index) ?? [];
    this.#parts.delete(index);
    await Promise.all(parts.map(({ url }) => this.#cache.delete(url).catch(() => false)));
  }

  async note(note: KeptNote): Promise<void> {
    await this.#cache.put(noteUrl(this.#weights), new Response(JSON.stringify(note))).catch(() => undefined);
  }

  #remember(part: PartAddress): void {
    this.#parts.set(part.index, [...(this.#parts.get(part.index) ?? []), part]);
  }

  /** Parts from the first byte on, without a gap. */
  #beginning(index: number): PartAddress[] {
    const found: PartAddress[] = [];
    const parts = this.#parts.get(index) ?? [];
    for (let at = 0; ; ) {
      const next = parts.filter(({ start }) => start === at).toSorted((a, b) => b.end - a.end)[0];
      if (next === undefined || next.end <= at) return found;
      found.push(next);
      at = next.end;
    }
  }
}
