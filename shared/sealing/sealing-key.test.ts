import { describe, expect, it } from 'vitest';
import { type Bytes, toBase64Url } from '../bytes.ts';
import { generateSealingKeys } from './hpke.ts';
import { isSealingKey } from './sealing-key.ts';

const LOW_ORDER = [
  '00'.repeat(32),
  `01${'00'.repeat(31)}`,
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
  `ec${'ff'.repeat(30)}7f`,
  `ed${'ff'.repeat(30)}7f`,
  `ee${'ff'.repeat(30)}7f`,
  `00${'00'.repeat(30)}80`,
].map((hex): Bytes => Uint8Array.from(Buffer.from(hex, 'hex')));

describe('a key to seal to', () => {
  it('is any that a tab makes, and none of low order or of another size', async () => {
    expect(isSealingKey((await generateSealingKeys()).publicKey)).toBe(true);
    for (const bytes of [...LOW_ORDER, new Uint8Array(31).fill(7), new Uint8Array(0)]) {
      expect(isSealingKey(toBase64Url(bytes))).toBe(false);
    }
    expect(isSealingKey('not base64url!')).toBe(false);
  });

  it('refuses exactly what the curve itself refuses: a shared secret of zeros', async () => {
    const { pair } = await generateSealingKeys();
    for (const bytes of LOW_ORDER) {
      const shared = async () => {
        const point = await crypto.subtle.importKey('raw', bytes, 'X25519', false, []);
        const secret = await crypto.subtle.deriveBits({ name: 'X25519', public: point } as never, pair.privateKey, 256);
        if (new Uint8Array(secret).every((byte) => byte === 0)) throw new Error('zeros');
      };
      await expect(shared()).rejects.toThrow();
    }
  });
});
