import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { VariantEntry } from '../../shared/classes/catalogue.ts';
import { type DownloadProgress, fetchWeights, ModelDownloadError } from './model-store.ts';

const ORIGIN = 'https://shoal.test';
const NEVER = new AbortController().signal;
const PIECES = [new Uint8Array(1000).fill(1), new Uint8Array(1000).fill(2), new Uint8Array(500).fill(3)];
const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const variant: VariantEntry = {
  id: 'q8_0',
  format: 'gguf',
  memoryBytes: 2500,
  needs: [],
  weights: {
    files: [{ name: 'tiny.gguf', bytes: 2500, mirrors: [] }],
    hosted: true,
    redirectOrigins: [],
    sha256: digest(Buffer.concat(PIECES)),
    bytes: 2500,
    pieces: PIECES.map((piece) => ({ sha256: digest(piece), bytes: piece.length })),
  },
};

/** The browser's cache, and a server whose answers a test can spoil. */
let stored: Map<string, Uint8Array>;
let asked: string[];
let serve: (index: number, times: number) => Response;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  stored = new Map();
  asked = [];
  serve = (index) => new Response(PIECES[index]);
  vi.stubGlobal('caches', {
    open: async () => ({
      match: async (url: string) => (stored.has(url) ? new Response(stored.get(url) as BodyInit) : undefined),
      put: async (url: string, response: Response) =>
        void stored.set(url, new Uint8Array(await response.arrayBuffer())),
      delete: async (url: string) => stored.delete(url),
    }),
  });
  vi.stubGlobal('fetch', async (url: string, { signal }: { signal: AbortSignal }) => {
    signal.throwIfAborted();
    asked.push(url);
    const index = Number(/(\d{4})\.bin$/.exec(url)?.[1]);
    return serve(index, asked.filter((other) => other === url).length);
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** Lets retries happen without waiting for them. */
async function patiently<T>(work: Promise<T>): Promise<T> {
  let done = false;
  const settled = work.finally(() => {
    done = true;
  });
  settled.catch(() => undefined);
  while (!done) await vi.advanceTimersByTimeAsync(500);
  return settled;
}

describe('fetching a model', () => {
  it('puts the pieces together in order, with progress to the last byte', async () => {
    const seen: DownloadProgress[] = [];
    const blob = await fetchWeights(ORIGIN, variant, (progress) => seen.push(progress), NEVER);
    expect(digest(new Uint8Array(await blob.arrayBuffer()))).toBe(variant.weights.sha256);
    expect(seen[0]).toEqual({ loadedBytes: 0, totalBytes: 2500, fromStoreBytes: 0 });
    expect(seen.at(-1)).toEqual({ loadedBytes: 2500, totalBytes: 2500, fromStoreBytes: 0 });
    expect(stored.size).toBe(3);
  });

  it('fetches nothing twice that it has kept', async () => {
    await fetchWeights(ORIGIN, variant, () => undefined, NEVER);
    asked = [];
    const seen: DownloadProgress[] = [];
    await fetchWeights(ORIGIN, variant, (progress) => seen.push(progress), NEVER);
    expect(asked).toEqual([]);
    expect(seen.at(-1)).toEqual({ loadedBytes: 2500, totalBytes: 2500, fromStoreBytes: 2500 });
  });

  it('goes on with the first missing piece after it was stopped', async () => {
    const abort = new AbortController();
    serve = (index) => {
      if (index === 2) abort.abort();
      return new Response(PIECES[index]);
    };
    await expect(fetchWeights(ORIGIN, variant, () => undefined, abort.signal)).rejects.toMatchObject({
      name: 'AbortError',
    });
    const kept = stored.size;
    expect(kept).toBeGreaterThan(0);
    asked = [];
    serve = (index) => new Response(PIECES[index]);
    await fetchWeights(ORIGIN, variant, () => undefined, NEVER);
    expect(asked).toHaveLength(3 - kept);
  });

  it('throws a kept piece away that is damaged, and fetches it again', async () => {
    await fetchWeights(ORIGIN, variant, () => undefined, NEVER);
    const [url] = [...stored.keys()];
    stored.set(url!, new Uint8Array(1000).fill(9));
    asked = [];
    const blob = await fetchWeights(ORIGIN, variant, () => undefined, NEVER);
    expect(asked).toEqual([url]);
    expect(digest(new Uint8Array(await blob.arrayBuffer()))).toBe(variant.weights.sha256);
  });

  it.each<[string, () => Response]>([
    ['a wrong byte', () => new Response(new Uint8Array(1000).fill(9))],
    ['a byte too few', () => new Response(new Uint8Array(999).fill(2))],
    ['a byte too many', () => new Response(new Uint8Array(1001).fill(2))],
    ['an error page', () => new Response('sorry', { status: 500 })],
    ['nothing', () => new Response(null, { status: 404 })],
  ])('tries again when it gets %s, and gives up with a reason when it stays', async (_, bad) => {
    serve = (index, times) => (index === 1 && times < 3 ? bad() : new Response(PIECES[index]));
    const blob = await patiently(fetchWeights(ORIGIN, variant, () => undefined, NEVER));
    expect(blob.size).toBe(2500);
    stored.clear();
    serve = (index) => (index === 1 ? bad() : new Response(PIECES[index]));
    const failure = await patiently(
      fetchWeights(ORIGIN, variant, () => undefined, NEVER).catch((cause: unknown) => cause),
    );
    expect(failure).toBeInstanceOf(ModelDownloadError);
    expect([...stored.values()].some((piece) => piece[0] === 9)).toBe(false);
  });

  it('works where the browser keeps nothing', async () => {
    vi.stubGlobal('caches', { open: () => Promise.reject(new DOMException('no', 'SecurityError')) });
    expect((await fetchWeights(ORIGIN, variant, () => undefined, NEVER)).size).toBe(2500);
  });

  it('works where the storage is full', async () => {
    vi.stubGlobal('caches', {
      open: async () => ({
        match: async () => undefined,
        put: () => Promise.reject(new DOMException('full', 'QuotaExceededError')),
        delete: async () => false,
      }),
    });
    expect((await fetchWeights(ORIGIN, variant, () => undefined, NEVER)).size).toBe(2500);
  });
});
