import { Aes128Gcm, CipherSuite, DhkemX25519HkdfSha256, HkdfSha256 } from '@hpke/core';
import { type Bytes, toBase64Url, toBytes, utf8 } from '../bytes.ts';

/**
 * The one suite: HPKE base mode (RFC 9180), DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM. ChaCha20-Poly1305 is left out
 * because workerd and Node lack it natively. Nothing else imports the HPKE package.
 */
const suite = new CipherSuite({
  kem: new DhkemX25519HkdfSha256(),
  kdf: new HkdfSha256(),
  aead: new Aes128Gcm(),
});

export interface SealingKeys {
  readonly pair: CryptoKeyPair;
  /** Base64url of the 32-byte public key. */
  readonly publicKey: string;
}

export async function generateSealingKeys(): Promise<SealingKeys> {
  const pair = (await crypto.subtle.generateKey('X25519', false, ['deriveBits'])) as CryptoKeyPair;
  const raw = (await crypto.subtle.exportKey('raw', pair.publicKey)) as ArrayBuffer;
  return { pair, publicKey: toBase64Url(new Uint8Array(raw)) };
}

/** One side of an HPKE context: what was wrapped, and secrets that only the two sides can export. */
export interface SecretExporter {
  exportSecret(label: string, length: number): Promise<Bytes>;
}

function exporterOf(context: { export(label: ArrayBuffer, length: number): Promise<ArrayBuffer> }): SecretExporter {
  return {
    async exportSecret(label, length) {
      return new Uint8Array(await context.export(utf8(label).buffer, length));
    },
  };
}

export async function hpkeSeal(
  recipient: Bytes,
  info: Bytes,
  aad: Bytes,
  plaintext: Bytes,
): Promise<{ enc: Bytes; ciphertext: Bytes; exporter: SecretExporter }> {
  const recipientPublicKey = await suite.kem.deserializePublicKey(recipient.slice().buffer);
  const context = await suite.createSenderContext({ recipientPublicKey, info });
  const ciphertext = await context.seal(plaintext, aad);
  return { enc: toBytes(context.enc), ciphertext: toBytes(ciphertext), exporter: exporterOf(context) };
}

/** Throws (an error of the HPKE package) when the ciphertext, `info` or `aad` are not what was sealed to this key. */
export async function hpkeOpen(
  recipientKey: CryptoKeyPair,
  enc: Bytes,
  info: Bytes,
  aad: Bytes,
  ciphertext: Bytes,
): Promise<{ plaintext: Bytes; exporter: SecretExporter }> {
  const context = await suite.createRecipientContext({ recipientKey, enc: enc.slice().buffer, info });
  const plaintext = await context.open(ciphertext, aad);
  return { plaintext: toBytes(plaintext), exporter: exporterOf(context) };
}
