/** A second of a tab's life: tokens per second while it wrote, 0 while it did not. */
export type SpeedHistory = readonly number[];

/** Seconds that the chart shows. */
export const CHART_SECONDS = 60;

export function addSecond(history: SpeedHistory, speed: number): SpeedHistory {
  return [...history.slice(-(CHART_SECONDS - 1)), speed];
}

/** Points of a line in a box of `width` by `height`, the newest at the right edge, as SVG takes them. */
export function chartPoints(history: SpeedHistory, width: number, height: number): string {
  const most = Math.max(1, ...history);
  const step = width / (CHART_SECONDS - 1);
  const from = width - (history.length - 1) * step;
  return history
    .map((speed, index) => `${(from + index * step).toFixed(1)},${(height - (speed / most) * height).toFixed(1)}`)
    .join(' ');
}
