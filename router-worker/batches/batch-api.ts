import * as v from 'valibot';
import { ShoalError } from '../../shared/errors.ts';
import { shownText } from '../../shared/protocol/fields.ts';
import {
  FILE_KEPT_MS,
  MAX_METADATA_KEY_LENGTH,
  MAX_METADATA_KEYS,
  MAX_METADATA_VALUE_LENGTH,
  MAX_WINDOW_MS,
  MIN_FILE_KEPT_MS,
  MIN_WINDOW_MS,
} from './batch-limits.ts';

/** OpenAI's shapes of files and batches. Instants are whole seconds. */

export interface FileObject {
  readonly id: string;
  readonly object: 'file';
  readonly bytes: number;
  readonly created_at: number;
  readonly expires_at: number;
  readonly filename: string;
  readonly purpose: 'batch' | 'batch_output';
  /** Deprecated at OpenAI, but a required field of its clients' types. */
  readonly status: 'processed';
}

export const BATCH_STATUSES = [
  'validating',
  'failed',
  'in_progress',
  'finalizing',
  'completed',
  'expired',
  'cancelling',
  'cancelled',
] as const;
export type BatchStatus = (typeof BATCH_STATUSES)[number];

export interface BatchFault {
  readonly code: string;
  /** Counted from 1 in the input file; null when it is no single line's. */
  readonly line: number | null;
  readonly message: string;
  readonly param: string | null;
}

export interface BatchObjectView {
  readonly id: string;
  readonly object: 'batch';
  readonly endpoint: string;
  readonly errors: { readonly object: 'list'; readonly data: readonly BatchFault[] } | null;
  readonly input_file_id: string;
  readonly completion_window: string;
  readonly status: BatchStatus;
  readonly output_file_id: string | null;
  readonly error_file_id: string | null;
  readonly created_at: number;
  readonly in_progress_at: number | null;
  readonly expires_at: number;
  readonly finalizing_at: number | null;
  readonly completed_at: number | null;
  readonly failed_at: number | null;
  readonly expired_at: number | null;
  readonly cancelling_at: number | null;
  readonly cancelled_at: number | null;
  readonly request_counts: { readonly total: number; readonly completed: number; readonly failed: number };
  readonly metadata: Readonly<Record<string, string>> | null;
}

export interface ListPage<T> {
  readonly object: 'list';
  readonly data: readonly T[];
  readonly first_id: string | null;
  readonly last_id: string | null;
  readonly has_more: boolean;
}

export function listPage<T extends { readonly id: string }>(data: readonly T[], hasMore: boolean): ListPage<T> {
  return {
    object: 'list',
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: hasMore,
  };
}

/** Paths that a line may ask for. Each is answered by the router's own HTTP surface, so a new one needs its name here and nothing else. */
export const BATCH_ENDPOINTS = ['/v1/chat/completions', '/v1/completions', '/v1/embeddings'] as const;
export type BatchEndpoint = (typeof BATCH_ENDPOINTS)[number];

const WINDOW = /^(\d{1,4})([mh])$/;

const expiresAfter = v.strictObject({
  anchor: v.literal('created_at'),
  seconds: v.pipe(v.number(), v.safeInteger(), v.minValue(MIN_FILE_KEPT_MS / 1000), v.maxValue(FILE_KEPT_MS / 1000)),
});

const createRequest = v.strictObject({
  input_file_id: v.pipe(v.string(), v.maxLength(64)),
  endpoint: v.picklist(BATCH_ENDPOINTS),
  completion_window: v.pipe(
    v.string(),
    v.regex(WINDOW),
    v.check((text) => {
      const ms = windowMs(text);
      return ms >= MIN_WINDOW_MS && ms <= MAX_WINDOW_MS;
    }),
  ),
  metadata: v.nullish(
    v.pipe(
      v.record(v.pipe(shownText(MAX_METADATA_KEY_LENGTH), v.minLength(1)), shownText(MAX_METADATA_VALUE_LENGTH)),
      v.check((metadata) => Object.keys(metadata).length <= MAX_METADATA_KEYS),
    ),
  ),
  output_expires_after: v.nullish(expiresAfter),
});

export interface BatchRequest {
  readonly inputFile: string;
  readonly endpoint: BatchEndpoint;
  /** As it was written, and in ms. */
  readonly window: string;
  readonly windowMs: number;
  readonly metadata: Readonly<Record<string, string>> | null;
  /** How long its output and error file are kept, ms. */
  readonly outputKeptMs: number;
}

const ALLOWED: Readonly<Record<string, string>> = {
  endpoint: `one of ${BATCH_ENDPOINTS.join(', ')}`,
  completion_window: "'24h', or less, in whole hours or minutes: '90m'",
  metadata: 'at most 16 short texts by name',
  output_expires_after: "{anchor: 'created_at', seconds}, an hour to 30 days",
};

/** Throws `missing_field`, `unknown_field` or `invalid_value`, by name. */
export function parseBatchRequest(body: unknown): BatchRequest {
  const parsed = v.safeParse(createRequest, body);
  if (!parsed.success) {
    const [issue] = parsed.issues;
    const param = v.getDotPath(issue);
    if (param === null) throw new ShoalError('invalid_json', 'The body must be one JSON object.');
    const [field = ''] = param.split('.');
    if (issue.expected === 'never') {
      throw new ShoalError('unknown_field', `The field '${param}' is unknown.`, { param });
    }
    if (issue.input === undefined) throw new ShoalError('missing_field', `The field '${param}' is missing.`, { param });
    const allowed = ALLOWED[field];
    const hint = allowed === undefined ? '' : ` Allowed is ${allowed}.`;
    throw new ShoalError('invalid_value', `The field '${param}' has a value that is not allowed.${hint}`, { param });
  }
  const { input_file_id, endpoint, completion_window, metadata, output_expires_after } = parsed.output;
  return {
    inputFile: input_file_id,
    endpoint,
    window: completion_window,
    windowMs: windowMs(completion_window),
    metadata: metadata ?? null,
    outputKeptMs: (output_expires_after?.seconds ?? FILE_KEPT_MS / 1000) * 1000,
  };
}

function windowMs(text: string): number {
  const [, count = '0', unit] = WINDOW.exec(text) ?? [];
  return Number(count) * (unit === 'h' ? 60 : 1) * 60 * 1000;
}
