/** How a socket comes back: full jitter, so that a thousand tabs do not return in the same instant after a deploy. */
export interface BackoffPolicy {
  readonly firstMs: number;
  readonly maxMs: number;
}

export const SOCKET_BACKOFF: BackoffPolicy = { firstMs: 500, maxMs: 30_000 };

/**
 * Delay before attempt `attempt` (0, 1, 2 …), ms, for a random number `draw` in 0 … 1: at least a fifth of
 * min(maxMs, firstMs · 2^attempt), at most all of it.
 */
export function backoffDelayMs(policy: BackoffPolicy, attempt: number, draw: number): number {
  const ceiling = Math.min(policy.maxMs, policy.firstMs * 2 ** Math.min(attempt, 20));
  return Math.round(ceiling * (0.2 + 0.8 * draw));
}
