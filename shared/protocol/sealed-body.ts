import * as z from 'zod/mini';
import { type Bytes, sha256, utf8 } from '../bytes.ts';
import { MAX_MESSAGES, MAX_STOP_LENGTH, MAX_STOP_STRINGS } from '../limits.ts';
import { bytes16 } from './fields.ts';
import { sampling } from './lease.ts';

export const chatMessage = z.strictObject({
  role: z.enum(['system', 'user', 'assistant']),
  content: z.string(),
});
export type ChatMessage = z.infer<typeof chatMessage>;

/** What a sealed body holds: everything that a tab needs and nobody else may read. */
export const sealedBody = z.object({
  v: z.literal(1),
  /** Salts the prompt's digest and the answer's digest chain, so that neither can be guessed from a short text. */
  salt: bytes16,
  messages: z.array(chatMessage).check(z.minLength(1), z.maxLength(MAX_MESSAGES)),
  stop: z.array(z.string().check(z.minLength(1), z.maxLength(MAX_STOP_LENGTH))).check(z.maxLength(MAX_STOP_STRINGS)),
  sampling,
});
export type SealedBody = z.infer<typeof sealedBody>;

/** Salted SHA-256 of a prompt: the messages in order, roles included, and the stop strings. */
export async function promptDigest(salt: Bytes, body: Pick<SealedBody, 'messages' | 'stop'>): Promise<Bytes> {
  const pairs = body.messages.map((message) => [message.role, message.content]);
  return sha256(utf8('shoal/prompt/v1\n'), salt, utf8(JSON.stringify([pairs, body.stop])));
}
