import * as v from 'valibot';
import { wrap } from '../sealing/envelope.ts';
import { signed } from '../signing/signed-statement.ts';
import { bytes16, key32, modelName } from './fields.ts';
import { sampling } from './lease.ts';
import { checks, level } from './level.ts';

/** The HTTP calls of a client that seals for itself. Their answers are the records of `stream-records.ts`. */

/** `POST /v1/tasks`: what the task needs, without its content. Answered by the task's stream. */
export const sealedTaskRequest = v.strictObject({
  model: modelName,
  /** Values left out come from the model's defaults; a seed left out is drawn by the router. */
  sampling: v.partial(sampling),
  /** The least that is wanted; left out: the router's default. */
  level: v.nullish(level),
  checks: v.nullish(checks),
  /** The client's Ed25519 key: it signs the envelope and the offers of its links. */
  client: key32,
  nonce: bytes16,
  /** Random, chosen by the client, the same for all tasks of one conversation. */
  session: bytes16,
  /** The tab that this client has a link to, if it has one. */
  prefer: v.nullable(key32),
});
export type SealedTaskRequest = v.InferOutput<typeof sealedTaskRequest>;

/** `POST /v1/tasks/:id/wraps`: the body key, wrapped for the checker that was drawn. */
export const wrapRequest = v.strictObject({ wrap });

/** `POST /v1/tasks/:id/links`: one offer; the response carries the answer, or null when the tab declined. */
export const linkRequest = v.strictObject({ lease: signed, link: bytes16, signal: signed });
export const linkResponse = v.object({ signal: v.nullable(signed) });

/** `POST /v1/tasks/:id/resend`: the frames from this number on again, by relay. `POST …/stream`: the stream once more, with them. */
export const framesRequest = v.strictObject({
  lease: signed,
  from: v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(1_000_000)),
});

export const STREAM_CONTENT_TYPE = 'application/vnd.shoal.stream';
export const ENVELOPE_CONTENT_TYPE = 'application/vnd.shoal.envelope';
export const TASK_TOKEN_HEADER = 'shoal-task-token';
/** Names the session of a request, as `shoal.session` in a chat request does. */
export const SESSION_HEADER = 'shoal-session';
