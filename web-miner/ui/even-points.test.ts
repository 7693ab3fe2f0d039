import { describe, expect, it } from 'vitest';
import { evenPoints, SPANS } from './even-points.ts';

const MINUTE = 60_000;
const RUNNING = 1_000 * 3_600_000;
const NOW = RUNNING + 30_500;

describe('points at even steps', () => {
  it('are as many as the span has, and those that nobody saw are empty', () => {
    const at = (ago: number) => RUNNING - ago * MINUTE;
    const even = evenPoints([{ at: at(3) }, { at: at(1) }], 'minutes', NOW);
    expect(even).toHaveLength(121);
    expect(even.slice(-4)).toEqual([
      { at: at(3), point: { at: at(3) }, isRunning: false },
      { at: at(2), point: null, isRunning: false },
      { at: at(1), point: { at: at(1) }, isRunning: false },
      { at: at(0), point: null, isRunning: true },
    ]);
  });

  it('end with the step that runs, and leave out what is older than the span', () => {
    for (const span of ['minutes', 'hours'] as const) {
      const { stepMs, shownMs } = SPANS[span];
      const running = { at: Math.floor(NOW / stepMs) * stepMs };
      const old = { at: running.at - shownMs - stepMs };
      const even = evenPoints([old, running], span, NOW);
      expect(even.filter(({ point }) => point !== null)).toEqual([{ ...running, point: running, isRunning: true }]);
      expect(even[0]?.at).toBe(running.at - shownMs);
    }
  });
});
