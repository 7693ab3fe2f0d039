import * as v from 'valibot';
import { ShoalError } from '../errors.ts';
import { MAP_MS, MAX_DOCUMENT_BYTES, MAX_MAP_MS } from '../limits.ts';
import { checking, samplingFields, samplingOf, sessionName, stopsOf, tokens } from './chat-api.ts';
import { fieldError, isRecord } from './field-errors.ts';
import { unicodeText } from './fields.ts';
import type { Sampling } from './lease.ts';
import type { Level } from './level.ts';

/** `POST /v1/map`: one instruction for each part of a long document, and one that makes a whole of what came back. */

const whole = (low: number, high: number) =>
  v.optional(v.nullable(v.pipe(v.number(), v.safeInteger(), v.minValue(low), v.maxValue(high))));

const mapRequest = v.strictObject({
  model: v.pipe(v.string(), v.minLength(1), v.maxLength(128)),
  document: unicodeText,
  /** Said of each part, before its text. */
  instruction: v.pipe(unicodeText, v.minLength(1)),
  /** Said of what came back; null: the parts' answers are the result. */
  reduce: v.nullable(v.pipe(unicodeText, v.minLength(1))),
  stream: v.optional(v.nullable(v.boolean())),
  ...samplingFields,
  /** For each part's answer, and for each answer to `reduce`. */
  max_tokens: tokens,
  /** Size of a part with its overlap, in one of two units; by default what the model's context has room for. */
  part_tokens: whole(16, 1_000_000),
  part_bytes: whole(64, MAX_DOCUMENT_BYTES),
  /** How much of the part before it each part begins with, at most. */
  overlap_bytes: whole(0, MAX_DOCUMENT_BYTES),
  deadline_ms: whole(1_000, MAX_MAP_MS),
  user: v.optional(v.string()),
  shoal: v.optional(v.strictObject({ ...checking, session: sessionName })),
});

export interface MapRequest {
  readonly model: string;
  readonly document: string;
  readonly instruction: string;
  readonly reduce: string | null;
  readonly stop: readonly string[];
  readonly stream: boolean;
  readonly maxTokens: number | null;
  readonly partTokens: number | null;
  readonly partBytes: number | null;
  readonly overlapBytes: number | null;
  readonly deadlineMs: number;
  readonly level: Level | null;
  readonly checks: 1 | 2 | 3;
  readonly awaitVerdict: boolean;
  readonly sampling: Partial<Sampling>;
}

/** Parses the body of a map. Throws an error of the vocabulary that names the field at fault. */
export function parseMapRequest(body: unknown): MapRequest {
  if (!isRecord(body)) throw new ShoalError('invalid_json', 'The body must be one JSON object.');
  const parsed = v.safeParse(mapRequest, body);
  if (!parsed.success) throw fieldError(parsed.issues[0], body);
  const request = parsed.output;
  if (request.document.trim() === '') {
    throw new ShoalError('empty_messages', 'The document has no text.', { param: 'document' });
  }
  if (request.part_tokens != null && request.part_bytes != null) {
    throw new ShoalError('invalid_value', "Say 'part_tokens' or 'part_bytes', not both.", { param: 'part_bytes' });
  }
  return {
    model: request.model,
    document: request.document,
    instruction: request.instruction,
    reduce: request.reduce,
    stop: stopsOf(request),
    stream: request.stream ?? false,
    maxTokens: request.max_tokens ?? null,
    partTokens: request.part_tokens ?? null,
    partBytes: request.part_bytes ?? null,
    overlapBytes: request.overlap_bytes ?? null,
    deadlineMs: request.deadline_ms ?? MAP_MS,
    level: request.shoal?.level ?? null,
    checks: request.shoal?.checks ?? 1,
    awaitVerdict: request.shoal?.await_verdict ?? false,
    sampling: samplingOf(request),
  };
}
