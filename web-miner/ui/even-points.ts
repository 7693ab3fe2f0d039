/** Spans of the history: how far apart its points are, and how much of it is shown, ms. */
export const SPANS = {
  minutes: { stepMs: 60_000, shownMs: 2 * 3_600_000 },
  hours: { stepMs: 3_600_000, shownMs: 7 * 24 * 3_600_000 },
} as const;
export type Span = keyof typeof SPANS;

/** One step of a span. */
export interface Step<T> {
  readonly at: number;
  /** What was seen there; null: nobody looked. */
  readonly point: T | null;
  /** It is not over: what is counted in it goes on growing, and half a minute looks like a fall. */
  readonly isRunning: boolean;
}

/**
 * The steps of a span up to the one that runs, the oldest first. The history leaves out those in which nobody looked; drawn as it comes, a line would lead through hours of which
 * nothing is known.
 */
export function evenPoints<T extends { readonly at: number }>(
  points: readonly T[],
  span: Span,
  now: number,
): readonly Step<T>[] {
  const { stepMs, shownMs } = SPANS[span];
  const running = Math.floor(now / stepMs) * stepMs;
  const seen = new Map(points.map((point) => [Math.floor(point.at / stepMs) * stepMs, point]));
  const length = shownMs / stepMs + 1;
  return Array.from({ length }, (_, i) => {
    const at = running - (length - 1 - i) * stepMs;
    return { at, point: seen.get(at) ?? null, isRunning: at === running };
  });
}
