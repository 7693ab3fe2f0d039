/**
 * The closed vocabulary of errors. Each code carries its policy: the HTTP status, OpenAI's error type, whether the same
 * request may succeed later, and what the person can do next. Codes survive every hop: tab, router, client.
 */
interface ErrorPolicy {
  readonly status: number;
  readonly type:
    | 'invalid_request_error'
    | 'server_error'
    | 'not_found_error'
    | 'insufficient_quota'
    | 'rate_limit_error';
  readonly retryable: boolean;
  readonly next: string;
}

export const ERROR_POLICIES = {
  invalid_json: bad('Send one JSON object with content-type application/json.'),
  missing_field: bad('Add the named field.'),
  invalid_type: bad('Correct the type of the named field.'),
  invalid_value: bad('Correct the value of the named field.'),
  unknown_field: bad('Remove the named field, or check its spelling.'),
  unsupported_field: bad('Remove the named field: this network does not honour it yet.'),
  empty_messages: bad('Send at least one message, the last one with some text.'),
  invalid_multipart: bad('Send multipart/form-data with the parts purpose and file.'),
  context_length_exceeded: bad('Shorten the conversation, or choose a model with a longer context.'),
  insecure_transport: { ...bad('Use https:// and wss://. Plain http:// works on localhost only.'), status: 403 },
  body_too_slow: { ...bad('Send the body without pauses of more than 20 seconds.'), status: 408 },
  body_too_large: { ...bad('Send less in one request: 1 MiB is the limit.'), status: 413 },
  file_too_large: { ...bad('Split the file: 32 MiB is the limit.'), status: 413 },
  storage_full: { ...bad('Delete files that are not needed any more.'), status: 413 },
  unsupported_media_type: {
    ...bad('Send content-type application/json, or multipart/form-data for a file.'),
    status: 415,
  },
  model_not_found: missing('Choose one of the models that the message names, or GET /v1/models.'),
  task_not_found: missing('Check the id. Tasks are kept for 30 days.'),
  receipt_not_found: missing('Check the id. Receipts are kept for 30 days.'),
  session_not_found: missing('Check the id, and the key that set the session up; or set one up: POST /v1/sessions.'),
  receipt_pending: { ...missing('Not there yet: ask again in a moment.'), retryable: true },
  file_not_found: missing('Check the id, and that it is asked for with the apiKey that uploaded it. Files expire.'),
  batch_not_found: missing('Check the id, and that it is asked for with the apiKey that made the batch.'),
  route_not_found: missing('See the routes at /.well-known/shoal.json.'),
  method_not_allowed: { ...bad('Use the method that the Allow header names.'), status: 405 },
  tab_not_found: missing('Check the id.'),
  invalid_api_key: {
    ...bad('Use a key that the operator or POST /v1/keys gave out, or none where that is allowed.'),
    status: 401,
  },
  key_not_allowed: { ...bad('Use a key whose limits allow this, or change the request.'), status: 403 },
  key_not_found: missing('GET /v1/keys lists the keys of the account.'),
  insufficient_quota: {
    status: 402,
    type: 'insufficient_quota',
    retryable: false,
    next: 'GET /v1/account shows what is free and what is held. Ask for fewer tokens or a lower level, wait for work under way, or ask the operator for credits.',
  },
  rate_limit_exceeded: {
    status: 429,
    type: 'rate_limit_error',
    retryable: true,
    next: 'Try again after the time in Retry-After.',
  },
  transfer_conflict: { ...bad('Use a new id for a new transfer.'), status: 409 },
  operator_only: { ...bad('Use npm run tabs or npm run credits.'), status: 403 },
  task_token_invalid: { ...bad('Send the token of the lease record as shoal-task-token.'), status: 403 },
  session_mismatch: bad('Ask for what the session allows: GET /v1/sessions/:id shows it, PATCH changes it.'),
  price_above_ceiling: bad('Ask for fewer tokens, a lower level or a smaller model, or raise the price ceiling.'),
  session_exhausted: {
    ...bad(
      'Wait for tasks under way, they give back what they do not use; or raise the limit: PATCH /v1/sessions/:id.',
    ),
    status: 402,
  },
  session_busy: { ...bad('Try again after the time in Retry-After, or raise tabs.max.'), status: 429, retryable: true },
  too_many_sessions: { ...bad('Delete sessions that are not needed any more.'), status: 403 },
  sealed_body_invalid: bad('Seal the body again, with the published client.'),
  idempotency_mismatch: { ...bad('Use a new key for another request.'), status: 409 },
  idempotency_in_progress: {
    ...bad('Try again after the time in Retry-After, or follow the task that shoal-task names.'),
    status: 409,
    retryable: true,
  },
  idempotency_done: { ...bad('Use a new key to run it again, and store: true to have the answer kept.'), status: 409 },
  batch_over: { ...bad('Nothing: it has ended.'), status: 409 },
  too_many_batches: { ...bad('Wait until one has ended.'), status: 429, retryable: true },
  no_tab: busy('Open /join in Chrome, Edge or Firefox and lend a tab, or try again in a moment.'),
  overloaded: busy('Try again after the time in Retry-After.'),
  deadline_unreachable: busy('Try again after the time in Retry-After, or allow more time.'),
  router_not_configured: busy('The operator must set SHOAL_ROUTER_SECRET.'),
  tab_lost: failed(502, 'Send the request again.'),
  engine_failed: failed(502, 'Send the request again.'),
  integrity_failed: failed(502, 'Discard what arrived, and send the request again.'),
  answer_not_verified: failed(502, 'Send the request again, or at a lower level.'),
  deadline_exceeded: failed(504, 'Send the request again, or ask for fewer tokens.'),
  cancelled: {
    status: 499,
    type: 'invalid_request_error',
    retryable: false,
    next: 'Nothing: it was stopped as asked.',
  },
  version_unsupported: bad('Reload the page: it is older than the router.'),
  internal_error: failed(500, 'Send the request again. If it fails again, report the request id.'),
} as const satisfies Record<string, ErrorPolicy>;

function bad(next: string) {
  return { status: 400, type: 'invalid_request_error', retryable: false, next } as const;
}
function missing(next: string) {
  return { status: 404, type: 'not_found_error', retryable: false, next } as const;
}
function busy(next: string) {
  return { status: 503, type: 'server_error', retryable: true, next } as const;
}
function failed(status: number, next: string) {
  return { status, type: 'server_error', retryable: true, next } as const;
}

export type ErrorCode = keyof typeof ERROR_POLICIES;

export const ERROR_CODES = Object.keys(ERROR_POLICIES) as [ErrorCode, ...ErrorCode[]];

export function isErrorCode(text: unknown): text is ErrorCode {
  return typeof text === 'string' && Object.hasOwn(ERROR_POLICIES, text);
}

/** What crosses a hop: OpenAI's error object plus the next step. */
export interface WireError {
  readonly message: string;
  readonly type: string;
  readonly param: string | null;
  readonly code: ErrorCode;
  readonly next_step: string;
  /** When the same request may succeed, ms from now; null when nobody knows. */
  readonly retry_after_ms: number | null;
}

export interface ShoalErrorOptions {
  /** Path of the field that is at fault, as in `messages[0].content`. */
  readonly param?: string | null;
  /** When the same request may succeed, ms from now. */
  readonly retryAfterMs?: number | null;
  readonly cause?: unknown;
}

export class ShoalError extends Error {
  override readonly name = 'ShoalError';
  readonly code: ErrorCode;
  readonly param: string | null;
  readonly retryAfterMs: number | null;

  constructor(code: ErrorCode, message: string, options: ShoalErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.param = options.param ?? null;
    this.retryAfterMs = options.retryAfterMs ?? null;
  }

  get status(): number {
    return ERROR_POLICIES[this.code].status;
  }
  get retryable(): boolean {
    return ERROR_POLICIES[this.code].retryable;
  }
  get nextStep(): string {
    return ERROR_POLICIES[this.code].next;
  }

  toWire(): WireError {
    return {
      message: this.message,
      type: ERROR_POLICIES[this.code].type,
      param: this.param,
      code: this.code,
      next_step: this.nextStep,
      retry_after_ms: this.retryAfterMs,
    };
  }

  /** Reads what another party sent. An unknown code becomes `internal_error`: its text is kept, its policy is not ours. */
  static fromWire(wire: { readonly [Field in keyof WireError]?: unknown }): ShoalError {
    const message = typeof wire.message === 'string' ? wire.message.slice(0, 2000) : 'no message';
    return new ShoalError(isErrorCode(wire.code) ? wire.code : 'internal_error', message, {
      param: typeof wire.param === 'string' ? wire.param.slice(0, 200) : null,
      retryAfterMs: typeof wire.retry_after_ms === 'number' ? wire.retry_after_ms : null,
    });
  }

  /** The error itself when it is one of ours, else `internal_error`. The cause is kept for the log and never sent. */
  static from(cause: unknown): ShoalError {
    if (cause instanceof ShoalError) return cause;
    return new ShoalError('internal_error', 'Something went wrong on our side.', { cause });
  }
}
