import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DEPOSIT_TASKS, depositOf, type MeanPay, NO_PAY, withPay } from './deposit.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/** So many answers of one size, evenly over this time. */
function paid(before: MeanPay, amount: number, times: number, overMs = 0): MeanPay {
  let mean = before;
  const from = before.at;
  for (let i = 1; i <= times; i++) mean = withPay(mean, amount, from + (overMs * i) / times);
  return mean;
}

describe('the mean pay that a deposit is reckoned by', () => {
  it('is what all answers are paid where all are paid the same, however many', () => {
    for (const times of [1, 7, 5_000]) {
      const mean = paid(NO_PAY, 300, times);
      expect([mean.mean, depositOf(mean)]).toEqual([300, 300 * DEPOSIT_TASKS]);
    }
  });

  it('[M6] is not moved by thousands of tiny answers', () => {
    const honest = paid(NO_PAY, 1_000, 2_000, DAY_MS);
    const after = paid(honest, 1, 20_000, DAY_MS / 24);
    expect(after.mean).toBeGreaterThan(0.97 * honest.mean);
  });

  it('[M6] falls by half in a week at most, whatever money is spent on it, and honest answers bring it back', () => {
    const honest = paid(NO_PAY, 1_000, 2_000, DAY_MS);
    const spent = paid(honest, 20, 1_000_000, DAY_MS);
    expect(spent.mean / honest.mean).toBeCloseTo(0.5 ** (1 / 7), 2);
    expect(paid(spent, 1_000, 3_000, DAY_MS).mean).toBeGreaterThan(0.97 * honest.mean);
  });

  it('[M6] is not made much larger by a few huge answers', () => {
    const honest = paid(NO_PAY, 1_000, 2_000, DAY_MS);
    expect(paid(honest, 1_000_000, 10).mean).toBeLessThan(1.15 * honest.mean);
  });

  it('finds the size of a class whose first answers were chosen by somebody', () => {
    expect(paid(paid(NO_PAY, 1, 30), 1_000, 30).mean).toBeGreaterThan(700);
    expect(paid(paid(NO_PAY, 1_000_000, 1), 1_000, 9_000).mean).toBeLessThan(110_000);
  });

  it('stays between the least and the most that was paid', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ amount: fc.integer({ min: 1, max: 1e9 }), afterMs: fc.nat(DAY_MS) }), { minLength: 1 }),
        (answers) => {
          let mean = NO_PAY;
          for (const { amount, afterMs } of answers) mean = withPay(mean, amount, mean.at + afterMs);
          const amounts = answers.map(({ amount }) => amount);
          expect(mean.mean).toBeGreaterThanOrEqual(Math.min(...amounts) * 0.999_999);
          expect(mean.mean).toBeLessThanOrEqual(Math.max(...amounts) * 1.000_001);
          expect(mean.count).toBeGreaterThan(0);
        },
      ),
      { seed: 11 },
    );
  });
});
