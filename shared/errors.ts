import { bad, busy, type ErrorPolicy, failed, missing } from './error-policy.ts';
import type { REFUSALS } from './refusals.ts';

/**
 * The closed vocabulary of errors. Each code carries its policy. Codes survive every hop: tab, router, client. What a router alone refuses is in
 * `refusals.ts`.
 */
export const ERRORS = {
  invalid_json: bad('Send one JSON object with content-type application/json.'),
  missing_field: bad('Add the named field.'),
  invalid_type: bad('Correct the type of the named field.'),
  invalid_value: bad('Correct the value of the named field.'),
  unknown_field: bad('Remove the named field, or check its spelling.'),
  unsupported_field: bad('Remove the named field: this network does not honour it yet.'),
  empty_messages: bad('Send at least one message, the last one with some text.'),
  context_length_exceeded: bad('Shorten the conversation, or choose a model with a longer context.'),
  insecure_transport: { ...bad('Use https:// and wss://. Plain http:// works on localhost only.'), status: 403 },
  body_too_large: { ...bad('Send less in one request: 1 MiB is the limit.'), status: 413 },
  model_not_found: missing('Choose one of the models that the message names, or GET /v1/models.'),
  task_not_found: missing('Check the id. Tasks are kept for 30 days.'),
  receipt_not_found: missing('Check the id. Receipts are kept for 30 days.'),
  receipt_pending: { ...missing('Not there yet: ask again in a moment.'), retryable: true },
  route_not_found: missing('See the routes at /.well-known/shoal.json.'),
  sealed_body_invalid: bad('Seal the body again, with the published client.'),
  no_tab: busy('Open /join in Chrome, Edge or Firefox and lend a tab, or try again in a moment.'),
  overloaded: busy('Try again after the time in Retry-After.'),
  tab_lost: failed(502, 'Send the request again.'),
  engine_failed: failed(502, 'Send the request again.'),
  integrity_failed: failed(502, 'Discard what arrived, and send the request again.'),
  answer_disputed: failed(502, 'Discard what arrived, and send the request again.'),
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

export type ErrorCode = keyof typeof ERRORS | keyof typeof REFUSALS;

const policies = new Map<string, ErrorPolicy>(Object.entries(ERRORS));

/** Makes more codes known here: see `refusals.ts`. */
export function addPolicies(more: Readonly<Record<string, ErrorPolicy>>): void {
  for (const [code, policy] of Object.entries(more)) policies.set(code, policy);
}

/** Whether a code is known here. */
export function isErrorCode(text: unknown): text is ErrorCode {
  return typeof text === 'string' && policies.has(text);
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
  /** Of a code that is known elsewhere only; left out: as known here. */
  readonly policy?: ErrorPolicy;
}

export class ShoalError extends Error {
  override readonly name = 'ShoalError';
  readonly code: ErrorCode;
  readonly param: string | null;
  readonly retryAfterMs: number | null;
  readonly #policy: ErrorPolicy;

  constructor(code: ErrorCode, message: string, options: ShoalErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.param = options.param ?? null;
    this.retryAfterMs = options.retryAfterMs ?? null;
    this.#policy = options.policy ?? policies.get(code) ?? ERRORS.internal_error;
  }

  get status(): number {
    return this.#policy.status;
  }
  get retryable(): boolean {
    return this.#policy.retryable;
  }
  get nextStep(): string {
    return this.#policy.next;
  }

  toWire(): WireError {
    return {
      message: this.message,
      type: this.#policy.type,
      param: this.param,
      code: this.code,
      next_step: this.nextStep,
      retry_after_ms: this.retryAfterMs,
    };
  }

  /**
   * Reads what another party sent. A code that only a router says keeps the next step that came along; what is no code becomes `internal_error`: its text is
   * kept, its policy is not ours.
   */
  static fromWire(wire: { readonly [Field in keyof WireError]?: unknown }): ShoalError {
    const { code, message, param, retry_after_ms: retryAfterMs, next_step: next } = wire;
    const options = {
      param: typeof param === 'string' ? param.slice(0, 200) : null,
      retryAfterMs: typeof retryAfterMs === 'number' ? retryAfterMs : null,
    };
    const text = typeof message === 'string' ? message.slice(0, 2000) : 'no message';
    if (isErrorCode(code)) return new ShoalError(code, text, options);
    if (typeof code !== 'string' || typeof next !== 'string' || !/^[a-z_]{1,64}$/.test(code)) {
      return new ShoalError('internal_error', text, options);
    }
    const policy = { ...bad(next.slice(0, 500)), retryable: options.retryAfterMs !== null };
    return new ShoalError(code as ErrorCode, text, { ...options, policy });
  }

  /** The error itself when it is one of ours, else `internal_error`. The cause is kept for the log and never sent. */
  static from(cause: unknown): ShoalError {
    if (cause instanceof ShoalError) return cause;
    return new ShoalError('internal_error', 'Something went wrong on our side.', { cause });
  }
}
