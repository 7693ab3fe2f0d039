import { describe, expect, it } from 'vitest';
import { expectedWait } from './expected-wait.ts';

const busy = (tokens: number, forMs: number, speed: number | null = 10) => ({ speed, leases: [{ tokens, forMs }] });
const free = { speed: null, leases: [] };

describe('the expected wait', () => {
  it('is nothing where a tab is free for whoever comes', () => {
    expect(expectedWait([busy(100, 0), free], 0, 50)).toBe(0);
    expect(expectedWait([free, free, free], 2, 50)).toBe(0);
  });

  it('is until the first answer ends', () => {
    expect(expectedWait([busy(100, 4_000), busy(100, 1_000)], 0, 50)).toBe(6_000);
    expect(expectedWait([busy(10, 60_000)], 0, 50)).toBe(0);
  });

  it('counts those who are ahead', () => {
    expect(expectedWait([busy(100, 4_000), busy(100, 1_000)], 1, 50)).toBe(9_000);
    expect(expectedWait([free], 1, 50)).toBe(null);
    expect(expectedWait([{ speed: 10, leases: [] }], 2, 50)).toBe(10_000);
  });

  it('takes the mean for a tab that was not measured, and is unknown where none was', () => {
    expect(expectedWait([busy(100, 0, null), busy(200, 0, 20)], 0, 50)).toBe(5_000);
    expect(expectedWait([busy(100, 0, null)], 0, 50)).toBe(null);
    expect(expectedWait([], 0, 50)).toBe(null);
  });
});
