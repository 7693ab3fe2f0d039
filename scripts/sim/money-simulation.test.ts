import { describe, expect, it } from 'vitest';
import { simulateMoney } from './money-simulation.ts';

describe('the money, under lost and doubled calls and dying objects', () => {
  it.each([1, 2, 3])(
    '[M1] [M2] [M4] [M7] [O7] adds up at every step of seed %i, and every task is charged once',
    async (seed) => {
      const outcome = await simulateMoney({ seed, steps: 3_000 });
      expect(outcome.settled).toBeGreaterThan(100);
      expect(outcome.deaths).toBeGreaterThan(50);
      expect(outcome.doubled).toBeGreaterThan(100);
      expect(outcome.expiredGrants).toBeGreaterThan(0);
      expect(outcome.paired).toBeGreaterThan(0);
      expect(outcome.thrownAway).toBeGreaterThan(5);
    },
  );

  it('is the same run from the same seed', async () => {
    expect(await simulateMoney({ seed: 5, steps: 500 })).toEqual(await simulateMoney({ seed: 5, steps: 500 }));
  });
});
