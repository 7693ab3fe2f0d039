import type { Bytes } from '../../shared/bytes.ts';
import type { RouterKeys } from './router-keys.ts';

/**
 * The secret by which events of a session are signed, as Standard Webhooks writes it: `whsec_`, then 32 bytes in base64. Of this session and this address, so nothing has to be
 * stored, and another address has another one.
 */
export async function webhookSecret(keys: RouterKeys, session: string, url: string): Promise<string> {
  return `whsec_${toBase64(await keys.mac('webhook', `${session}\n${url}`))}`;
}

/** Base64 with padding (RFC 4648 §4), as the specification of Standard Webhooks has it. */
export function toBase64(bytes: Bytes): string {
  return btoa(String.fromCharCode(...bytes));
}
