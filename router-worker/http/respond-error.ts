import { ShoalError } from '../../shared/errors.ts';
import { ERROR_POLICIES } from '../../shared/refusals.ts';

/** An error as OpenAI's clients expect it. Causes of our own faults go to the log, never to the client. */
export function respondError(cause: unknown, requestId: string): Response {
  const error = ShoalError.from(cause);
  if (error.code === 'internal_error') {
    const reason = error.cause instanceof Error ? (error.cause.stack ?? error.cause.message) : String(error.cause);
    console.error(JSON.stringify({ event: 'request_failed', request: requestId, reason }));
  }
  const headers = new Headers({ 'content-type': 'application/json; charset=utf-8', 'x-request-id': requestId });
  if (error.retryAfterMs !== null) headers.set('retry-after', String(Math.ceil(error.retryAfterMs / 1000)));
  else if (ERROR_POLICIES[error.code].status === 503) headers.set('retry-after', '15');
  return new Response(JSON.stringify({ error: error.toWire() }), { status: error.status, headers });
}
