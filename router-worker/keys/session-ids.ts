import { concatBytes, equalBytes, fromBase64Url, randomBytes, toBase64Url } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import type { RouterKeys } from './router-keys.ts';

/**
 * Ids of sessions that are set up: `sess_`, then the 16 random bytes that name the session's object, and 8 bytes of MAC. A forged id reaches no object, so that none
 * is made of what somebody typed.
 */
const NAME_BYTES = 16;
const MAC_BYTES = 8;
const SHAPE = /^sess_[A-Za-z0-9_-]{32}$/;

export function newSessionName(): string {
  return toBase64Url(randomBytes(NAME_BYTES));
}

export async function sessionIdOf(keys: RouterKeys, name: string): Promise<string> {
  return `sess_${toBase64Url(concatBytes(fromBase64Url(name), await macOf(keys, name)))}`;
}

/** The name of the session's object. Throws `session_not_found` for an id that this router did not make. */
export async function sessionOfId(keys: RouterKeys, id: string): Promise<string> {
  if (!SHAPE.test(id)) throw unknownSession();
  const bytes = fromBase64Url(id.slice('sess_'.length));
  const name = toBase64Url(bytes.subarray(0, NAME_BYTES));
  if (!equalBytes(await macOf(keys, name), bytes.subarray(NAME_BYTES))) throw unknownSession();
  return name;
}

export function unknownSession(): ShoalError {
  return new ShoalError('session_not_found', 'There is no session with this id.', { param: 'session' });
}

async function macOf(keys: RouterKeys, name: string) {
  return (await keys.mac('session-id', name)).subarray(0, MAC_BYTES);
}
