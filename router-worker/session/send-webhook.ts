import { type Bytes, utf8 } from '../../shared/bytes.ts';
import { toBase64 } from '../keys/webhook-secret.ts';

/** How long a receiver may take, ms. */
export const WEBHOOK_DEADLINE_MS = 10_000;

/** One attempt to tell a receiver of an event. */
export interface WebhookMessage {
  readonly url: string;
  /** Of the event: the same at every attempt. */
  readonly id: string;
  readonly body: string;
  /** `whsec_…` */
  readonly secret: string;
  /** Of this attempt, epoch ms. */
  readonly at: number;
}

/** What came of an attempt. `isFinal`: it is not tried again. */
export type WebhookOutcome =
  | { readonly isTaken: true }
  | { readonly isTaken: false; readonly why: string; readonly isFinal: boolean };

/**
 * Sends an event, signed as Standard Webhooks wants it (spec/standard-webhooks.md: HMAC-SHA-256 of `id.timestamp.body`, header `webhook-signature: v1,…`). Follows no redirect:
 * that could lead anywhere. Reads nothing of the response but its status. Never throws.
 */
export async function sendWebhook(send: typeof fetch, message: WebhookMessage): Promise<WebhookOutcome> {
  const { url, id, body, secret, at } = message;
  const timestamp = String(Math.floor(at / 1000));
  const abort = new AbortController();
  // Cleared when there is a response: a timer keeps the object awake.
  const clock = setTimeout(() => abort.abort(), WEBHOOK_DEADLINE_MS);
  try {
    const response = await send(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'user-agent': 'shoal-webhook/1',
        'webhook-id': id,
        'webhook-timestamp': timestamp,
        'webhook-signature': `v1,${toBase64(await signature(secret, `${id}.${timestamp}.${body}`))}`,
      },
      body,
      redirect: 'manual',
      signal: abort.signal,
    });
    await response.body?.cancel().catch(() => undefined);
    if (response.ok) return { isTaken: true };
    // 410: the receiver wants nothing of it any more, says the specification.
    return { isTaken: false, why: `status ${response.status}`, isFinal: response.status === 410 };
  } catch {
    return { isTaken: false, why: abort.signal.aborted ? 'no response in time' : 'not reached', isFinal: false };
  } finally {
    clearTimeout(clock);
  }
}

async function signature(secret: string, text: string): Promise<Bytes> {
  const material = Uint8Array.from(atob(secret.replace(/^whsec_/, '')), (letter) => letter.charCodeAt(0));
  const key = await crypto.subtle.importKey('raw', material, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign']);
  return new Uint8Array(await crypto.subtle.sign('HMAC', key, utf8(text)));
}
