import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { piecePath, type VariantEntry } from '../../shared/classes/catalogue.ts';
import { MemoryCaches } from '../testing/memory-caches.ts';
import { MirrorHosts, type Serving } from '../testing/mirror-hosts.ts';
import { DownloadHalt } from './download-halt.ts';
import {
  type DownloadOptions,
  type DownloadProgress,
  fetchWeights,
  ModelDownloadError,
  type Shortage,
} from './model-store.ts';
import { deleteStored, storedModels } from './stored-models.ts';

const ORIGIN = 'https://shoal.test';
const NEVER = new AbortController().signal;
const MIB = 1024 * 1024;
const WHOLE = new Uint8Array(7.5 * MIB).map((_, i) => (i * 2_654_435_761) >>> 24);
const SIZES = [3 * MIB, 3 * MIB, 1.5 * MIB];
const FILE_BYTES = 6 * MIB;
const ENDS = SIZES.map((_, i) => SIZES.slice(0, i + 1).reduce((a, b) => a + b));
const PIECES = SIZES.map((size, i) => WHOLE.slice((ENDS[i] ?? 0) - size, ENDS[i]));
const digest = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');
const SHA256 = digest(WHOLE);
const MIRRORS = ['https://one.test/model', 'https://two.test/model'];

/** Two files in three pieces: hosted by the router, at mirrors, or both. */
function variantAt(hosted: boolean, mirrors: readonly string[]): VariantEntry {
  const files = [FILE_BYTES, WHOLE.length - FILE_BYTES].map((bytes, i) => ({
    name: `model-0000${i + 1}-of-00002.gguf`,
    bytes,
    mirrors: mirrors.map((mirror) => `${mirror}/${i + 1}`),
  }));
  const pieces = PIECES.map((piece) => ({ sha256: digest(piece), bytes: piece.length }));
  const weights = { sha256: SHA256, bytes: WHOLE.length, pieces, files, hosted, redirectOrigins: [] };
  return { id: 'q8_0', format: 'gguf', memoryBytes: WHOLE.length, needs: [], weights };
}
const HOSTED = variantAt(true, []);
const MIRRORED = variantAt(false, MIRRORS);

let stored: MemoryCaches;
let hosts: MirrorHosts;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
  stored = new MemoryCaches();
  hosts = new MirrorHosts();
  for (const [i, piece] of PIECES.entries()) hosts.files.set(`${ORIGIN}${piecePath(SHA256, i)}`, piece);
  for (const mirror of MIRRORS) {
    hosts.files.set(`${mirror}/1`, WHOLE.slice(0, FILE_BYTES));
    hosts.files.set(`${mirror}/2`, WHOLE.slice(FILE_BYTES));
  }
  hosts.passTime = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  vi.stubGlobal('caches', stored);
  vi.stubGlobal('fetch', hosts.fetch);
  vi.stubGlobal('navigator', {});
});
afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

const told: DownloadProgress[] = [];
beforeEach(() => {
  told.length = 0;
});

/** Fetches without waiting for what a clock waits for. */
async function download(variant = HOSTED, signal = NEVER, options: DownloadOptions = {}): Promise<Blob> {
  let done = false;
  const work = fetchWeights(ORIGIN, variant, (progress) => told.push(progress), signal, options).finally(() => {
    done = true;
  });
  work.catch(() => undefined);
  while (!done) await vi.advanceTimersByTimeAsync(250);
  return work;
}

const failureOf = (work: Promise<unknown>) =>
  work.then(
    () => null,
    (cause: unknown) => cause,
  );
const isWhole = async (blob: Blob) => digest(new Uint8Array(await blob.arrayBuffer())) === SHA256;
const askedHosts = () => [...new Set(hosts.asked.map(({ url }) => new URL(url).host))];

describe('fetching a model', () => {
  it('puts the pieces together in order, with progress to the last byte', async () => {
    expect(await isWhole(await download())).toBe(true);
    const all = { totalBytes: WHOLE.length, fromStoreBytes: 0, keeping: 'kept' };
    expect(told[0]).toEqual({ ...all, loadedBytes: 0, fetchedBytes: 0, bytesPerSecond: 0, secondsLeft: null });
    expect(told.at(-1)).toMatchObject({
      ...all,
      loadedBytes: WHOLE.length,
      fetchedBytes: WHOLE.length,
      secondsLeft: 0,
    });
    expect(stored.usedBytes).toBeGreaterThanOrEqual(WHOLE.length);
  });

  it('says how fast it comes, and how long it will take', async () => {
    hosts.answer = () => ({ serve: 'range', bytesPerSecond: MIB });
    await download();
    const midway = told.find(({ loadedBytes }) => loadedBytes > WHOLE.length / 2);
    expect(midway?.bytesPerSecond).toBeGreaterThan(1.5 * MIB); // Two pieces at once.
    expect(midway?.bytesPerSecond).toBeLessThan(2.5 * MIB);
    const left = WHOLE.length - (midway?.loadedBytes ?? 0);
    expect(midway?.secondsLeft).toBe(left / (midway?.bytesPerSecond ?? 0));
  });

  it('fetches nothing twice that it has kept', async () => {
    await download();
    hosts.asked.length = 0;
    await download();
    expect(hosts.asked).toEqual([]);
    expect(told.at(-1)).toMatchObject({ loadedBytes: WHOLE.length, fromStoreBytes: WHOLE.length, fetchedBytes: 0 });
  });

  it('[D3] goes on at the very byte when it was stopped', async () => {
    const abort = new AbortController();
    const onProgress = ({ fetchedBytes }: DownloadProgress) => {
      if (fetchedBytes > 2.2 * MIB) abort.abort();
    };
    await expect(fetchWeights(ORIGIN, HOSTED, onProgress, abort.signal)).rejects.toMatchObject({ name: 'AbortError' });
    const kept = (await storedModels())?.[0]?.storedBytes ?? 0;
    expect(kept).toBeGreaterThan(2.2 * MIB);
    hosts.sentBytes = 0;
    expect(await isWhole(await download())).toBe(true);
    expect(hosts.sentBytes).toBe(WHOLE.length - kept);
  });

  it('throws a kept piece away that is damaged, and fetches it again', async () => {
    await download();
    const part = [...stored.stored.keys()].find((url) => url.includes('/1/'));
    const spoilt = stored.stored.get(part ?? '');
    spoilt?.fill(9);
    hosts.asked.length = 0;
    expect(await isWhole(await download())).toBe(true);
    expect(hosts.asked).toEqual([{ url: `${ORIGIN}${piecePath(SHA256, 1)}`, range: null }]);
  });

  it('stops the other pieces when one cannot be had', async () => {
    hosts.answer = ({ url }) => (url.endsWith('0001.bin') ? { serve: 'status', status: 404 } : { serve: 'silence' });
    expect(await failureOf(download())).toMatchObject({ fault: 'unreachable' });
    expect(hosts.asked.some(({ url }) => url.endsWith('0002.bin'))).toBe(false);
  });

  it.each<[string, Serving, string]>([
    ['a wrong byte', { serve: 'wrong_byte', at: 100 }, 'damaged'],
    ['a byte too many', { serve: 'longer' }, 'damaged'],
    ['a cut connection', { serve: 'range', cutAfter: 0 }, 'unreachable'],
    ['an error page', { serve: 'status', status: 500 }, 'unreachable'],
    ['silence', { serve: 'silence' }, 'unreachable'],
  ])('tries again when it gets %s, and gives up with a reason when it stays', async (_, bad, fault) => {
    const isFirst = (url: string) => url.endsWith('0001.bin');
    hosts.answer = ({ url }) =>
      isFirst(url) && hosts.asked.filter((other) => other.url === url).length < 2 ? bad : { serve: 'range' };
    expect(await isWhole(await download())).toBe(true);
    stored.stored.clear();
    hosts.answer = ({ url }) => (isFirst(url) ? bad : { serve: 'range' });
    const failure = await failureOf(download());
    expect(failure).toBeInstanceOf(ModelDownloadError);
    expect(failure).toMatchObject({ fault, message: expect.stringContaining('model-00001-of-00002.gguf, piece 1') });
    expect([...stored.stored.keys()].some((url) => url.includes('/1/'))).toBe(false);
  });
});

describe('a download that is held up', () => {
  it.each(['with a store', 'without one'])(
    'fetches nothing meanwhile, and no byte twice afterwards, %s',
    async (how) => {
      if (how === 'without one') vi.stubGlobal('caches', undefined);
      hosts.answer = () => ({ serve: 'range', bytesPerSecond: MIB });
      const halt = new DownloadHalt();
      let hasHalted = false;
      const progress: DownloadProgress[] = [];
      const onProgress = (now: DownloadProgress) => {
        progress.push(now);
        if (hasHalted || now.fetchedBytes < 2.2 * MIB) return;
        hasHalted = true;
        halt.set(true);
      };
      let blob: Blob | null = null;
      void fetchWeights(ORIGIN, HOSTED, onProgress, NEVER, { halt }).then((whole) => (blob = whole));
      await vi.advanceTimersByTimeAsync(5 * 60_000); // Longer than any deadline of a source.
      expect([hasHalted, blob]).toEqual([true, null]);
      const [askedBefore, here] = [hosts.asked.length, progress.at(-1)];
      await vi.advanceTimersByTimeAsync(5 * 60_000);
      expect([hosts.asked.length, progress.at(-1)]).toEqual([askedBefore, here]);
      halt.set(false);
      while (blob === null) await vi.advanceTimersByTimeAsync(250);
      expect(await isWhole(blob)).toBe(true);
      expect(progress.at(-1)).toMatchObject({ loadedBytes: WHOLE.length, fetchedBytes: WHOLE.length });
    },
  );

  it('can be stopped while it waits, and takes what is kept all the same', async () => {
    await download();
    const halt = new DownloadHalt();
    halt.set(true);
    expect(await isWhole(await download(HOSTED, NEVER, { halt }))).toBe(true);
    stored.stored.clear();
    const stop = new AbortController();
    const waiting = download(HOSTED, stop.signal, { halt });
    stop.abort();
    await expect(waiting).rejects.toMatchObject({ name: 'AbortError' });
  });
});

describe('a download that is cut', () => {
  it.each([1, 2, 3])('at 20 random places fetches no byte twice while the tab lives (seed %i)', async (seed) => {
    const random = seeded(seed);
    let cuts = 20;
    hosts.answer = () =>
      cuts-- > 0 ? { serve: 'range', cutAfter: Math.floor((random() * WHOLE.length) / 40) } : { serve: 'range' };
    expect(await isWhole(await download(MIRRORED))).toBe(true);
    expect(cuts).toBeLessThan(0);
    expect(hosts.sentBytes).toBe(WHOLE.length);
  });

  it.each([1, 2, 3])(
    'by tabs that die at 20 random places, fetches twice a part of a piece at most (seed %i)',
    async (seed) => {
      const random = seeded(seed);
      const deaths = 20;
      let sentBytes = 0;
      for (let death = 0; death < deaths; death++) {
        const diesAfter = Math.floor(random() * MIB);
        // It neither stops nor tidies up: its connections stay silent, and its store is left as it is.
        const itsHosts = new MirrorHosts();
        for (const [url, file] of hosts.files) itsHosts.files.set(url, file);
        itsHosts.answer = () => ({ serve: 'range', bytesPerSecond: MIB });
        itsHosts.passTime = async () => {
          if (itsHosts.sentBytes >= diesAfter) await new Promise(() => undefined);
        };
        vi.stubGlobal('fetch', itsHosts.fetch);
        void fetchWeights(ORIGIN, MIRRORED, () => undefined, NEVER);
        let before = -1;
        while (before !== itsHosts.sentBytes || before < diesAfter) {
          before = itsHosts.sentBytes;
          await new Promise((resolve) => setImmediate(resolve));
        }
        sentBytes += before;
      }
      // Nor has it timers: on a busy machine the clock runs on until its silent connections are given up, and made anew.
      vi.clearAllTimers();
      vi.stubGlobal('fetch', hosts.fetch);
      hosts.answer = () => ({ serve: 'range' });
      expect(await isWhole(await download(MIRRORED))).toBe(true);
      const twice = sentBytes + hosts.sentBytes - WHOLE.length;
      expect(twice).toBeLessThan(deaths * 2 * MIB); // Of each piece in progress, less than the part that is not kept yet.
    },
  );

  it('starts a piece again where the router answers with all of it', async () => {
    let cuts = 1;
    hosts.answer = () => (cuts-- > 0 ? { serve: 'range', cutAfter: MIB / 2 } : { serve: 'whole' });
    expect(await isWhole(await download())).toBe(true);
    expect(hosts.sentBytes).toBe(WHOLE.length + MIB / 2);
  });
});

describe('mirrors', () => {
  it('send the range of the file that is the piece', async () => {
    expect(await isWhole(await download(MIRRORED))).toBe(true);
    expect(hosts.asked).toEqual([
      { url: `${MIRRORS[0]}/1`, range: `bytes=0-${3 * MIB - 1}` },
      { url: `${MIRRORS[0]}/1`, range: `bytes=${3 * MIB}-${6 * MIB - 1}` },
      { url: `${MIRRORS[0]}/2`, range: null }, // A file of one piece.
    ]);
  });

  it('are asked only when the router has nothing, or cannot send it', async () => {
    const both = variantAt(true, MIRRORS);
    await download(both);
    expect(askedHosts()).toEqual(['shoal.test']);
    stored.stored.clear();
    hosts.asked.length = 0;
    hosts.answer = ({ url }) => (url.startsWith(ORIGIN) ? { serve: 'status', status: 503 } : { serve: 'range' });
    expect(await isWhole(await download(both))).toBe(true);
    expect(askedHosts()).toEqual(['shoal.test', 'one.test']);
  });

  it.each<[string, Serving]>([
    ['lies', { serve: 'wrong_byte', at: Math.floor(FILE_BYTES * 0.99) }],
    ['ignores ranges', { serve: 'whole' }],
    ['is silent', { serve: 'silence' }],
    ['is slow', { serve: 'range', bytesPerSecond: 1000 }],
    ['is gone', { serve: 'status', status: 404 }],
  ])('are left for the next one when one %s', async (_, bad) => {
    hosts.answer = ({ url }) => (url.startsWith(MIRRORS[0] ?? '') ? bad : { serve: 'range' });
    expect(await isWhole(await download(MIRRORED))).toBe(true);
    expect(askedHosts()).toEqual(['one.test', 'two.test']);
  });

  it('that are all slow are waited for', async () => {
    hosts.answer = () => ({ serve: 'range', bytesPerSecond: 20_000 });
    expect(await isWhole(await download(MIRRORED))).toBe(true);
    expect(hosts.sentBytes).toBe(WHOLE.length);
  });

  it('[D1] that lie at 99 % and are all there is are refused by name', async () => {
    const at = Math.floor(FILE_BYTES * 0.99);
    hosts.answer = ({ url }) => (url.endsWith('/1') ? { serve: 'wrong_byte', at } : { serve: 'range' });
    expect(await failureOf(download(MIRRORED))).toMatchObject({
      name: 'ModelDownloadError',
      fault: 'damaged',
      message: expect.stringMatching(
        /^The model is damaged: model-00001-of-00002\.gguf, piece 1, what (one|two)\.test sent of it has another digest\.$/,
      ),
    });
    expect([...stored.stored.keys()].some((url) => url.includes('/1/'))).toBe(false);
  });
});

describe('storage', () => {
  it('that a browser does not have costs the next visit a download, and the page is told', async () => {
    vi.stubGlobal('caches', {
      open: () => Promise.reject(new DOMException('no', 'SecurityError')),
      delete: () => Promise.reject(new DOMException('no', 'SecurityError')),
    });
    expect(await isWhole(await download())).toBe(true);
    expect(new Set(told.map(({ keeping }) => keeping))).toEqual(new Set(['no_storage']));
    expect(await storedModels()).toBeNull();
    await deleteStored('all');
  });

  it('that is full costs the same, and keeps what fitted', async () => {
    stored.room = 2.5 * MIB;
    expect(await isWhole(await download())).toBe(true);
    expect(told.at(-1)).toMatchObject({ keeping: 'no_room', loadedBytes: WHOLE.length });
    const kept = (await storedModels())?.[0]?.storedBytes ?? 0;
    hosts.sentBytes = 0;
    expect(await isWhole(await download())).toBe(true);
    expect(hosts.sentBytes).toBe(WHOLE.length - kept);
  });

  it('[D3] is estimated before anything is fetched, and nothing is dropped that nobody named', async () => {
    await download(HOSTED, NEVER, { name: 'old:q8_0' });
    vi.stubGlobal('navigator', {
      storage: { estimate: async () => ({ quota: 12 * MIB, usage: stored.usedBytes }) },
    });
    const other = otherModel();
    const asked: Shortage[] = [];
    const freeBytes = Math.floor(12 * MIB * 0.9) - stored.usedBytes;
    await download(other, NEVER, {
      onShortage: async (shortage) => {
        asked.push(shortage);
        return [];
      },
    });
    expect(asked).toEqual([
      {
        neededBytes: other.weights.bytes,
        freeBytes,
        others: [expect.objectContaining({ weights: SHA256, name: 'old:q8_0', storedBytes: WHOLE.length })],
      },
    ]);
    expect(told.at(-1)).toMatchObject({ keeping: 'no_room' });
    expect((await storedModels())?.map(({ weights }) => weights)).toEqual([SHA256]);

    await download(other, NEVER, { onShortage: async ({ others }) => others.map(({ weights }) => weights) });
    expect(told.at(-1)).toMatchObject({ keeping: 'kept' });
    expect((await storedModels())?.map(({ weights }) => weights)).toEqual([other.weights.sha256]);
  });

  it('is listed with names and sizes, and deleted one by one or all at once', async () => {
    await download(HOSTED, NEVER, { name: 'shoal-pup-3m:q8_0' });
    const other = otherModel();
    await download(other, NEVER, { name: 'other:q8_0' });
    const known = { wholeBytes: WHOLE.length, storedBytes: WHOLE.length, usedAt: expect.any(Number) };
    expect(await storedModels()).toEqual([
      { ...known, weights: SHA256, name: 'shoal-pup-3m:q8_0' },
      { ...known, weights: other.weights.sha256, name: 'other:q8_0' },
    ]);
    await deleteStored(SHA256);
    expect((await storedModels())?.map(({ name }) => name)).toEqual(['other:q8_0']);
    await deleteStored('all');
    expect([await storedModels(), stored.stored.size]).toEqual([[], 0]);
  });
});

/** As large, with other bytes. */
function otherModel(): VariantEntry {
  const { weights, ...rest } = HOSTED;
  const sha256 = digest(Buffer.from('other'));
  for (const [i, piece] of PIECES.entries()) hosts.files.set(`${ORIGIN}${piecePath(sha256, i)}`, piece);
  return { ...rest, weights: { ...weights, sha256 } };
}

/** Mulberry32. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
