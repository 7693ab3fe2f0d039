import { AEAD_AES_128_GCM, CipherSuite, KDF_HKDF_SHA256, KEM_DHKEM_X25519_HKDF_SHA256 } from 'hpke';
import { type Bytes, toBase64Url, toBytes, utf8 } from '../bytes.ts';

/**
 * The one suite: HPKE base mode (RFC 9180), DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM. ChaCha20-Poly1305 is left out
 * because workerd and Node lack it natively. Nothing else imports the HPKE package.
 */
const suite = new CipherSuite(KEM_DHKEM_X25519_HKDF_SHA256, KDF_HKDF_SHA256, AEAD_AES_128_GCM);

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

/** One side of an HPKE context: secrets that only the two sides can export. */
export interface SecretExporter {
  exportSecret(label: string, length: number): Promise<Bytes>;
}

function exporterOf(context: { Export(label: Uint8Array, length: number): Promise<Uint8Array> }): SecretExporter {
  return { exportSecret: async (label, length) => toBytes(await context.Export(utf8(label), length)) };
}

export async function hpkeSeal(
  recipient: Bytes,
  info: Bytes,
  aad: Bytes,
  plaintext: Bytes,
): Promise<{ enc: Bytes; ciphertext: Bytes; exporter: SecretExporter }> {
  const publicKey = await suite.DeserializePublicKey(recipient);
  const { encapsulatedSecret, ctx } = await suite.SetupSender(publicKey, { info });
  const ciphertext = await ctx.Seal(plaintext, aad);
  return { enc: toBytes(encapsulatedSecret), ciphertext: toBytes(ciphertext), exporter: exporterOf(ctx) };
}

/** Throws (an error of the HPKE package) when the ciphertext, `info` or `aad` are not what was sealed to this key. */
export async function hpkeOpen(
  recipient: CryptoKeyPair,
  enc: Bytes,
  info: Bytes,
  aad: Bytes,
  ciphertext: Bytes,
): Promise<{ plaintext: Bytes; exporter: SecretExporter }> {
  const context = await suite.SetupRecipient(recipient, enc, { info });
  const plaintext = await context.Open(ciphertext, aad);
  return { plaintext: toBytes(plaintext), exporter: exporterOf(context) };
}
