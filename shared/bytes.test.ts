import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concatBytes, equalBytes, fromBase64Url, fromUtf8, toBase64Url, utf8 } from './bytes.ts';

describe('bytes', () => {
  it('come back from base64url as they were', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => equalBytes(fromBase64Url(toBase64Url(bytes)), bytes)),
    );
  });

  it('have one spelling only: padding, other alphabets and stray bits are refused', () => {
    for (const text of ['AA==', 'A', 'AB', '+/aa', 'aa a', 'é']) {
      if (text === 'AB') expect(() => fromBase64Url(text)).toThrow('canonical');
      else expect(() => fromBase64Url(text)).toThrow(TypeError);
    }
  });

  it('are joined in order', () => {
    expect(fromUtf8(concatBytes(utf8('sea'), utf8(''), utf8('weed')))).toBe('seaweed');
  });

  it('that are not UTF-8 are refused, not repaired', () => {
    expect(() => fromUtf8(new Uint8Array([0xff, 0xfe]))).toThrow();
  });
});
