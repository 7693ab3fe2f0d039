import { type Bytes, concatBytes, fromUtf8, randomBytes, utf8 } from '../../shared/bytes.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { RouterKeys } from '../keys/router-keys.ts';

/** Bytes of the nonce of AES-GCM (NIST SP 800-38D §8.2), random for each answer: it is the first part of what is stored. */
const NONCE_BYTES = 12;

/**
 * Seals a kept answer for storage: AES-256-GCM under a key of its session, bound to its task. The router holds that key, derived from its own secret: this keeps
 * text out of a copy of the storage, and not from whoever runs the router.
 */
export async function sealAnswer(keys: RouterKeys, session: string, tail: TaskTail, text: string): Promise<Bytes> {
  const nonce = randomBytes(NONCE_BYTES);
  const key = await keyOf(keys, session);
  return concatBytes(nonce, new Uint8Array(await crypto.subtle.encrypt(gcm(nonce, tail), key, utf8(text))));
}

/** Throws when it was not sealed so. */
export async function openAnswer(keys: RouterKeys, session: string, tail: TaskTail, sealed: Bytes): Promise<string> {
  const key = await keyOf(keys, session);
  const opened = await crypto.subtle.decrypt(gcm(sealed.slice(0, NONCE_BYTES), tail), key, sealed.slice(NONCE_BYTES));
  return fromUtf8(new Uint8Array(opened));
}

function gcm(iv: Bytes, tail: TaskTail) {
  return { name: 'AES-GCM', iv, additionalData: utf8(tail) };
}

async function keyOf(keys: RouterKeys, session: string): Promise<CryptoKey> {
  const material = await keys.mac('kept-answers', session);
  return crypto.subtle.importKey('raw', material, 'AES-GCM', false, ['encrypt', 'decrypt']);
}
