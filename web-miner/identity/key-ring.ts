import { generateSealingKeys, type SealingKeys } from '../../shared/sealing/hpke.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';
import type { TabIdentity } from './tab-identity.ts';

/** One-time keys that a tab remembers at most: what it posted and what is on its way, twice over. */
const MAX_ONE_TIME_KEYS = 64;

/** The keys that others may seal to: a standing one, and one-time keys that are forgotten when used, for forward secrecy. */
export class KeyRing {
  readonly #identity: TabIdentity;
  readonly #oneTime = new Map<string, CryptoKeyPair>();

  constructor(identity: TabIdentity) {
    this.#identity = identity;
  }

  standingStatement(): Promise<Signed> {
    return this.#statement(this.#identity.standing, false);
  }

  /** Fresh one-time keys, signed. */
  async issue(count: number): Promise<Signed[]> {
    return Promise.all(
      Array.from({ length: count }, async () => {
        const keys = await generateSealingKeys();
        this.#oneTime.set(keys.publicKey, keys.pair);
        if (this.#oneTime.size > MAX_ONE_TIME_KEYS) this.#oneTime.delete(this.#oneTime.keys().next().value ?? '');
        return this.#statement(keys, true);
      }),
    );
  }

  /** The private half for a public key; a one-time key is given out once. */
  take(publicKey: string): CryptoKeyPair | null {
    if (publicKey === this.#identity.standing.publicKey) return this.#identity.standing.pair;
    const pair = this.#oneTime.get(publicKey) ?? null;
    this.#oneTime.delete(publicKey);
    return pair;
  }

  #statement(keys: SealingKeys, oneTime: boolean): Promise<Signed> {
    return this.#identity.signer.sign('tab-key', JSON.stringify({ v: 1, key: keys.publicKey, oneTime }));
  }
}
