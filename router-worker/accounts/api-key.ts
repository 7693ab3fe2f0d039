import {
  type Bytes,
  concatBytes,
  equalBytes,
  fromBase64Url,
  randomBytes,
  sha256,
  toBase64Url,
  toHex,
  utf8,
} from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import type { RouterKeys } from '../keys/router-keys.ts';

/**
 * A key: `sk-shoal-` and 56 bytes, base64url: 16 that name the account, 32 random ones, 8 of MAC over both. A forged key reaches no object. At rest there is its
 * SHA-256 alone: of 256 random bits, nothing slower is needed.
 */
export const KEY_PREFIX = 'sk-shoal-';

const ACCOUNT_BYTES = 16;
const SECRET_BYTES = 32;
const MAC_BYTES = 8;

/** Names an account object and an account at the ledger: 16 bytes, base64url. */
export type AccountName = string;

export function newAccountName(): AccountName {
  return toBase64Url(randomBytes(ACCOUNT_BYTES));
}

/** A new key of an account. Whoever makes it shows it once, and keeps its digest. */
export async function mintKey(keys: RouterKeys, account: AccountName): Promise<string> {
  const named = concatBytes(fromBase64Url(account), randomBytes(SECRET_BYTES));
  return KEY_PREFIX + toBase64Url(concatBytes(named, await macOf(keys, named)));
}

/** The account that a key names, and the digest by which its account knows it. Throws `invalid_api_key` for what this router did not make. */
export async function readKey(
  keys: RouterKeys,
  key: string,
): Promise<{ readonly account: AccountName; readonly digest: string }> {
  let bytes: Bytes;
  try {
    bytes = fromBase64Url(key.slice(KEY_PREFIX.length));
  } catch {
    throw wrongKey();
  }
  const named = bytes.subarray(0, ACCOUNT_BYTES + SECRET_BYTES);
  const isOurs = key.startsWith(KEY_PREFIX) && bytes.byteLength === ACCOUNT_BYTES + SECRET_BYTES + MAC_BYTES;
  if (!isOurs || !equalBytes(await macOf(keys, named), bytes.subarray(named.byteLength))) throw wrongKey();
  return { account: toBase64Url(named.subarray(0, ACCOUNT_BYTES)), digest: await digestOf(key) };
}

export async function digestOf(key: string): Promise<string> {
  return toHex(await sha256(utf8(key)));
}

/** As OpenAI says it, without a word on why. */
export function wrongKey(): ShoalError {
  return new ShoalError('invalid_api_key', 'Incorrect API key provided.');
}

/** There is none at all. */
export function noKey(): ShoalError {
  return new ShoalError(
    'invalid_api_key',
    'You did not provide an API key: send it as Authorization: Bearer sk-shoal-….',
  );
}

async function macOf(keys: RouterKeys, named: Bytes): Promise<Bytes> {
  return (await keys.mac('api-key', toBase64Url(named))).subarray(0, MAC_BYTES);
}
