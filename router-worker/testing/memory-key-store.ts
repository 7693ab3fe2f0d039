import type { KeyRecord } from '../accounts/key-record.ts';
import type { KeyStore } from '../accounts/key-store.ts';

/** A key store for tests without workerd. Sits the same exam as the SQL one. */
export class MemoryKeyStore implements KeyStore {
  readonly #keys = new Map<string, KeyRecord>();

  byDigest(digest: string): KeyRecord | null {
    return this.all().find((key) => key.digest === digest) ?? null;
  }

  byId(id: string): KeyRecord | null {
    return this.#keys.get(id) ?? null;
  }

  all(): KeyRecord[] {
    return [...this.#keys.values()];
  }

  save(key: KeyRecord): void {
    this.#keys.set(key.id, key);
  }
}
