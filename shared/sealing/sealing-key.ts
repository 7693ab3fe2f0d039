import { type Bytes, fromBase64Url, toHex } from '../bytes.ts';

/**
 * The points of low order on Curve25519, u-coordinates, little endian, without the bit that X25519 ignores: 0, 1, the two of order 8, and p−1, p, p+1
 * (D. J. Bernstein, "Curve25519: new Diffie–Hellman speed records", 2006; "validate" at cr.yp.to/ecdh.html). Sealing to one of them fails.
 */
const LOW_ORDER: ReadonlySet<string> = new Set([
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
]);

/** Whether a text is an X25519 public key that one can seal to: 32 bytes, and no point of low order. */
export function isSealingKey(key: string): boolean {
  let bytes: Bytes;
  try {
    bytes = fromBase64Url(key).slice();
  } catch {
    return false;
  }
  if (bytes.byteLength !== 32) return false;
  bytes[31] = (bytes[31] ?? 0) & 0x7f;
  return !LOW_ORDER.has(toHex(bytes));
}
