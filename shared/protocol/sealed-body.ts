import * as v from 'valibot';
import { type Bytes, sha256, utf8 } from '../bytes.ts';
import { MAX_MESSAGES, MAX_STOP_LENGTH, MAX_STOP_STRINGS } from '../limits.ts';
import { bytes16, unicodeText } from './fields.ts';
import { NOT_SAMPLED, sampling } from './lease.ts';
import { taskKind } from './task-kind.ts';

export const chatMessage = v.strictObject({
  role: v.picklist(['system', 'user', 'assistant']),
  content: unicodeText,
});
export type ChatMessage = v.InferOutput<typeof chatMessage>;

/** What a sealed body holds: everything that a tab needs and nobody else may read. */
export const sealedBody = v.object({
  v: v.literal(1),
  kind: v.optional(taskKind, 'chat'),
  /** Salts the prompt's digest and the answer's digest chain, so that neither can be guessed from a short text. */
  salt: bytes16,
  /** Of a task that embeds: the texts, each a message of the user. */
  messages: v.pipe(v.array(chatMessage), v.minLength(1), v.maxLength(MAX_MESSAGES)),
  stop: v.pipe(
    v.array(v.pipe(unicodeText, v.minLength(1), v.maxLength(MAX_STOP_LENGTH))),
    v.maxLength(MAX_STOP_STRINGS),
  ),
  sampling,
});
export type SealedBody = v.InferOutput<typeof sealedBody>;

/** Whether a body has its kind's form. What does not apply to texts that are embedded has one value, so that the same texts are one task. */
export function hasFormOfKind({ kind, messages, stop, sampling: asked }: SealedBody): boolean {
  if (kind === 'chat') return true;
  const isPinned = Object.entries(NOT_SAMPLED).every(([field, value]) => asked[field as keyof typeof asked] === value);
  return isPinned && stop.length === 0 && messages.every(({ role }) => role === 'user');
}

/** Salted SHA-256 of a prompt: the messages in order, roles included, and the stop strings. */
export async function promptDigest(salt: Bytes, body: Pick<SealedBody, 'messages' | 'stop'>): Promise<Bytes> {
  const pairs = body.messages.map((message) => [message.role, message.content]);
  return sha256(utf8('shoal/prompt/v1\n'), salt, utf8(JSON.stringify([pairs, body.stop])));
}
