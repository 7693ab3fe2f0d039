import { describe, expect, it } from 'vitest';
import { toBase64Url } from '../bytes.ts';
import { generateSealingKeys } from './hpke.ts';
import { isSealingKey } from './sealing-key.ts';

describe('a key to seal to', () => {
  it('is any that a tab makes, and none of low order or of another size', async () => {
    expect(await isSealingKey((await generateSealingKeys()).publicKey)).toBe(true);
    const one = new Uint8Array(32);
    one[0] = 1;
    for (const bytes of [new Uint8Array(32), one, new Uint8Array(31).fill(7), new Uint8Array(0)]) {
      expect(await isSealingKey(toBase64Url(bytes))).toBe(false);
    }
    expect(await isSealingKey('not base64url!')).toBe(false);
  });
});
