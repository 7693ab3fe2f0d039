import { CacheManager } from '@wllama/wllama/esm/index.js';

/**
 * The package wants a place for models before it starts, and takes none but the origin's private files: a browser without those could not lend. It is handed models as blobs, kept
 * by `models/`, and never keeps one itself.
 */
export function noEngineCache(): CacheManager {
  return new CacheManager([
    {
      isSupported: () => true,
      read: async () => null,
      write: () => Promise.reject(new Error('The engine keeps no files.')),
      getSize: async () => -1,
      list: async () => [],
      delete: async () => undefined,
    },
  ]);
}
