import { expect, it } from 'vitest';
import { GrowingPauses } from './growing-pauses.ts';

it('waits twice as long after each failure, up to a longest time, and from the beginning after a success', () => {
  const pauses = new GrowingPauses(10, 35);
  expect(pauses.isPaused('a', 0)).toBe(false);
  expect([pauses.failed('a', 0), pauses.failed('a', 100), pauses.failed('a', 200), pauses.failed('a', 300)]).toEqual([
    10, 120, 235, 335,
  ]);
  expect([pauses.isPaused('a', 334), pauses.isPaused('a', 335), pauses.isPaused('b', 300)]).toEqual([
    true,
    false,
    false,
  ]);
  pauses.succeeded('a');
  expect(pauses.failed('a', 400)).toBe(410);
});

it('waits for ever after a failure for good', () => {
  const pauses = new GrowingPauses(10, 35);
  pauses.failedForGood('a');
  expect(pauses.isPaused('a', Number.MAX_SAFE_INTEGER)).toBe(true);
});
