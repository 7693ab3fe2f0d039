import type { RateState } from '../accounts/rate-limit.ts';
import type { AppContext } from './context.ts';

const WHAT = ['requests', 'tokens'] as const;

/** OpenAI's names. */
export const RATE_HEADERS = WHAT.flatMap((what) =>
  ['limit', 'remaining', 'reset'].map((which) => `x-ratelimit-${which}-${what}`),
);

/** Tells what is left of the caller's rate, where a request was counted. */
export function setRateHeaders(c: AppContext): void {
  const rate = c.get('rate');
  if (rate === undefined) return;
  for (const [name, value] of headersOf(rate)) c.header(name, value);
}

function headersOf({ limits, remaining, resetMs }: RateState): [string, string][] {
  return WHAT.flatMap((what): [string, string][] => [
    [`x-ratelimit-limit-${what}`, String(limits[what])],
    [`x-ratelimit-remaining-${what}`, String(remaining[what])],
    [`x-ratelimit-reset-${what}`, `${resetMs[what] / 1000}s`],
  ]);
}
