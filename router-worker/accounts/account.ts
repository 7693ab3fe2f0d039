import { randomBytes, toBase64Url } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import { wrongKey } from './api-key.ts';
import { type KeyLimits, type KeyRecord, type KeyUse, refuseUse } from './key-record.ts';
import type { KeyStore } from './key-store.ts';
import { RateLimiter, type RateLimits, type RateTaken } from './rate-limit.ts';

/** Most keys of one account, the revoked ones among them: they are listed in one response. */
const MAX_KEYS = 1_000;

/** One account: its keys, and how fast it asks. Anonymous ones have no keys. */
export class Account {
  readonly #open: () => KeyStore;
  readonly #now: () => number;
  readonly #rate = new RateLimiter();

  /** The store is opened when a key is looked for: somebody without an account leaves nothing behind. */
  constructor(open: () => KeyStore, now: () => number) {
    this.#open = open;
    this.#now = now;
  }

  /** The key of a request, if it may be used for that. Throws `invalid_api_key` or `key_not_allowed`. */
  authenticate(digest: string, use: KeyUse): KeyRecord {
    const key = this.#open().byDigest(digest);
    if (key === null) throw wrongKey();
    refuseUse(key, use, this.#now());
    return key;
  }

  /** A key that was let in before, by its id, if it may still run this model. Its page was looked at then. Throws as {@link authenticate}. */
  mayStillRun(id: string, model: string | null): KeyRecord {
    const key = this.#open().byId(id);
    if (key === null) throw wrongKey();
    refuseUse({ ...key, origins: null }, { model, origin: null }, this.#now());
    return key;
  }

  /** Counts a request of so many tokens. */
  count(limits: RateLimits, tokens: number): RateTaken {
    return this.#rate.take(limits, tokens, this.#now());
  }

  /** Keeps a new key, by its digest. Throws `overloaded` when there are too many. */
  addKey(digest: string, name: string, limits: KeyLimits): KeyRecord {
    if (this.#open().all().length >= MAX_KEYS) {
      throw new ShoalError('overloaded', `An account has ${MAX_KEYS} keys at most.`);
    }
    const id = `key_${toBase64Url(randomBytes(12))}`;
    const key: KeyRecord = { id, digest, name, createdAt: this.#now(), revokedAt: null, ...limits };
    this.#open().save(key);
    return key;
  }

  keys(): KeyRecord[] {
    return this.#open().all();
  }

  /** Throws `key_not_found`. A key that is revoked already stays so since then. */
  revoke(id: string): KeyRecord {
    const key = this.#open().byId(id);
    if (key === null) throw new ShoalError('key_not_found', 'This account has no such key.');
    const revoked = { ...key, revokedAt: key.revokedAt ?? this.#now() };
    this.#open().save(revoked);
    return revoked;
  }
}
