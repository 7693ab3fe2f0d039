/** What goes with the code of an error: the HTTP status, OpenAI's error type, whether the same request may succeed later, and what the person can do next. */
export interface ErrorPolicy {
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

export function bad(next: string) {
  return { status: 400, type: 'invalid_request_error', retryable: false, next } as const;
}
export function missing(next: string) {
  return { status: 404, type: 'not_found_error', retryable: false, next } as const;
}
export function busy(next: string) {
  return { status: 503, type: 'server_error', retryable: true, next } as const;
}
export function failed(status: number, next: string) {
  return { status, type: 'server_error', retryable: true, next } as const;
}
