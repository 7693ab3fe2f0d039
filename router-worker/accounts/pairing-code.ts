import { type Bytes, randomBytes } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import type { RouterKeys } from '../keys/router-keys.ts';

/**
 * A code that pairs a tab with an account: 12 letters that can be read aloud and typed, `7K2M-Q9XD-04TR`. Eight are random (40 bits), four of MAC (20 bits), so that a
 * guess reaches no object. It names nobody, says nothing, and lasts for minutes.
 */
const RANDOM_BYTES = 5;
const MAC_LETTERS = 4;
/** Crockford's base32: no letter is taken for another. */
const LETTERS = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const SHAPE = /^[0-9A-HJKMNP-TV-Z]{12}$/;
const GROUP = /.{4}(?=.)/g;

export async function mintPairingCode(keys: RouterKeys): Promise<string> {
  const random = lettersOf(randomBytes(RANDOM_BYTES));
  return random + (await macOf(keys, random));
}

/** As it is shown: in groups of four. */
export function shownCode(code: string): string {
  return code.replace(GROUP, '$&-');
}

/** The code as somebody typed it, verified. Throws `pairing_not_found` for one that this router did not make. */
export async function readPairingCode(keys: RouterKeys, typed: string): Promise<string> {
  const code = typed.slice(0, 100).toUpperCase().replace(/[\s-]/g, '').replaceAll('O', '0').replace(/[IL]/g, '1');
  if (!SHAPE.test(code)) throw unknownCode();
  const random = code.slice(0, -MAC_LETTERS);
  if ((await macOf(keys, random)) !== code.slice(-MAC_LETTERS)) throw unknownCode();
  return code;
}

export function unknownCode(): ShoalError {
  return new ShoalError('pairing_not_found', 'This code is unknown, was used, or is over.', { param: 'code' });
}

async function macOf(keys: RouterKeys, random: string): Promise<string> {
  return lettersOf((await keys.mac('pairing', random)).subarray(0, RANDOM_BYTES)).slice(0, MAC_LETTERS);
}

/** A letter for every five bits; the bytes are a whole number of them. */
function lettersOf(bytes: Bytes): string {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, '0')).join('');
  return (bits.match(/.{5}/g) ?? []).map((five) => LETTERS[Number.parseInt(five, 2)]).join('');
}
