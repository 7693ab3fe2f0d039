import { generateSealingKeys, type SealingKeys } from '../../shared/sealing/hpke.ts';
import { generateSigningKeys, type Signer, signerOf } from '../../shared/signing/signed-statement.ts';

/** Who a tab is: an Ed25519 key to sign with, an X25519 key to be sealed to. Private halves cannot leave the browser. */
export interface TabIdentity {
  readonly signer: Signer;
  readonly standing: SealingKeys;
}

/** Persisted as it is in IndexedDB: keys are stored as key objects, not as bytes. */
export interface StoredIdentity {
  readonly version: 1;
  readonly signing: CryptoKeyPair;
  readonly signingPublic: string;
  readonly sealing: CryptoKeyPair;
  readonly sealingPublic: string;
}

export async function createStoredIdentity(): Promise<StoredIdentity> {
  const signing = await generateSigningKeys();
  const sealing = await generateSealingKeys();
  return {
    version: 1,
    signing: signing.pair,
    signingPublic: signing.publicKey,
    sealing: sealing.pair,
    sealingPublic: sealing.publicKey,
  };
}

export function identityFrom(stored: StoredIdentity): TabIdentity {
  return {
    signer: signerOf(stored.signing.privateKey, stored.signingPublic),
    standing: { pair: stored.sealing, publicKey: stored.sealingPublic },
  };
}
