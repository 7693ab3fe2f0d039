import type { Served } from './world.ts';

/** What one scheduler did at one load. Times in ms. */
export interface Figures {
  readonly scheduler: string;
  readonly load: number;
  readonly requests: number;
  /** From the request to its first token. */
  readonly waitP50: number;
  readonly waitP99: number;
  /** From the request to the tab that begins it. */
  readonly startP50: number;
  readonly startP99: number;
  readonly endP50: number;
  readonly endP99: number;
  /** Jain's index of what the accounts got: the mean of work over time. 1: all the same. */
  readonly fairness: number;
  /** Median of |said − was| ÷ was, of the first token; null where nothing was said. */
  readonly etaError: number | null;
  readonly hedged: number;
  readonly lost: number;
  readonly seconds: number;
}

export function figuresOf(
  served: readonly Served[],
  rest: Pick<Figures, 'scheduler' | 'load' | 'hedged' | 'lost' | 'seconds'>,
): Figures {
  const sorted = (value: (one: Served) => number) => served.map(value).sort((a, b) => a - b);
  const waits = sorted(({ firstTokenMs }) => firstTokenMs);
  const starts = sorted(({ startMs }) => startMs);
  const ends = sorted(({ endMs }) => endMs);
  const errors = served
    .flatMap(({ etaMs, firstTokenMs }) => (etaMs === null ? [] : [Math.abs(etaMs - firstTokenMs) / firstTokenMs]))
    .sort((a, b) => a - b);
  return {
    ...rest,
    requests: served.length,
    waitP50: quantile(waits, 0.5),
    waitP99: quantile(waits, 0.99),
    startP50: quantile(starts, 0.5),
    startP99: quantile(starts, 0.99),
    endP50: quantile(ends, 0.5),
    endP99: quantile(ends, 0.99),
    fairness: jain([...meanRates(served).values()]),
    etaError: errors.length === 0 ? null : quantile(errors, 0.5),
  };
}

/** (Σx)² ÷ (n Σx²): Jain, Chiu and Hawe, 1984. */
export function jain(shares: readonly number[]): number {
  const sum = shares.reduce((total, share) => total + share, 0);
  const squares = shares.reduce((total, share) => total + share ** 2, 0);
  return squares === 0 ? 1 : sum ** 2 / (shares.length * squares);
}

/** What each account got: tokens over the time from the request to the end, tokens per second, over all its requests. */
function meanRates(served: readonly Served[]): Map<string, number> {
  const sums = new Map<string, { tokens: number; ms: number }>();
  for (const { request, endMs } of served) {
    const sum = sums.get(request.account) ?? { tokens: 0, ms: 0 };
    sum.tokens += request.promptTokens + request.outputTokens;
    sum.ms += endMs;
    sums.set(request.account, sum);
  }
  return new Map([...sums].map(([account, { tokens, ms }]) => [account, (1000 * tokens) / ms]));
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
}
