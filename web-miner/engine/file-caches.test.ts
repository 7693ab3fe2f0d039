import { afterEach, describe, expect, it, vi } from 'vitest';
import { showFiles } from './file-caches.ts';

const files = new Map([
  ['mlc-chat-config.json', new Blob(['{}'])],
  ['tensor-cache.json', new Blob(['{"records":[]}'])],
]);

/** The browser's own storage, in which only one name is known. */
const own = { match: async () => new Response('own') };
const storage = { open: async () => own, has: async (name: string) => name === 'kept', keys: async () => ['kept'] };

describe('the files that web-llm finds in its caches', () => {
  afterEach(() => vi.unstubAllGlobals());

  it('are those of the download, by either name of the list of shards', async () => {
    vi.stubGlobal('caches', storage);
    const { base, hide } = showFiles(files);
    const cache = await caches.open('webllm/config');
    expect(await (await cache.match(new Request(`${base}mlc-chat-config.json`)))?.text()).toBe('{}');
    expect(await (await cache.match(`${base}ndarray-cache.json`))?.text()).toBe('{"records":[]}');
    expect((await cache.keys()).map(({ url }) => url)).toEqual([...files.keys()].map((name) => base + name));
    hide();
  });

  it('[H2] are all there is: what is missing is not fetched', async () => {
    vi.stubGlobal('caches', storage);
    vi.stubGlobal('fetch', () => expect.unreachable('it was fetched'));
    const { base, hide } = showFiles(files);
    const cache = await caches.open('webllm/model');
    expect(await cache.match(`${base}params_shard_0.bin`)).toBeUndefined();
    await expect(cache.add(`${base}params_shard_0.bin`)).rejects.toThrow('nothing is fetched');
    await expect(cache.put(`${base}x`, new Response())).rejects.toThrow('nothing is fetched');
    hide();
  });

  it('are gone when the load is over, and the storage is the browser’s own again', async () => {
    vi.stubGlobal('caches', storage);
    const first = showFiles(files);
    const second = showFiles(files);
    const cache = await caches.open('webllm/model');
    expect(await caches.has('kept')).toBe(true);
    expect(await caches.open('shoal-models')).toBe(own);
    first.hide();
    first.hide();
    await expect(cache.match(`${first.base}mlc-chat-config.json`)).rejects.toMatchObject({ name: 'AbortError' });
    expect(await cache.match(`${second.base}mlc-chat-config.json`)).toBeDefined();
    expect(caches).not.toBe(storage);
    second.hide();
    expect(caches).toBe(storage);
  });

  it('are there where the page may store nothing', async () => {
    vi.stubGlobal('caches', undefined);
    const { base, hide } = showFiles(files);
    const cache = await caches.open('webllm/wasm');
    expect(await cache.match(`${base}mlc-chat-config.json`)).toBeDefined();
    await expect(caches.open('another')).rejects.toMatchObject({ name: 'SecurityError' });
    hide();
    expect(globalThis.caches).toBeUndefined();
  });
});
