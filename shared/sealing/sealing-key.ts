import { fromBase64Url } from '../bytes.ts';

let probe: CryptoKeyPair | null = null;

/** Whether a text is an X25519 public key that one can seal to: 32 bytes, and no point of low order (RFC 7748 §6.1). */
export async function isSealingKey(key: string): Promise<boolean> {
  probe ??= (await crypto.subtle.generateKey('X25519', false, ['deriveBits'])) as CryptoKeyPair;
  const { privateKey } = probe;
  try {
    const publicKey = await crypto.subtle.importKey('raw', fromBase64Url(key), 'X25519', false, []);
    const algorithm = { name: 'X25519', public: publicKey } as never; // The runtime's types name the field otherwise than it is.
    const shared = new Uint8Array(await crypto.subtle.deriveBits(algorithm, privateKey, 256));
    return shared.some((byte) => byte !== 0);
  } catch {
    return false;
  }
}
