import { expect, it } from 'vitest';
import { leastSure } from './choices.ts';

it('says of several answers no more than of the one that is least sure', () => {
  expect(leastSure(['verified', 'likely'])).toBe('likely');
  expect(leastSure(['likely', 'likely'])).toBe('likely');
  expect(leastSure(['likely', 'unverified'])).toBe('unverified');
  expect(leastSure(['likely', 'disputed', 'verified'])).toBe('disputed');
});
