import { afterEach, expect, it, vi } from 'vitest';
import { keepCheckOnly, keptCheckOnly } from './check-only-choice.ts';

afterEach(() => vi.unstubAllGlobals());

it('the choice to check only is kept for the next visit, and before the first there is none', () => {
  const kept = new Map<string, string>();
  vi.stubGlobal('localStorage', {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
  });
  expect(keptCheckOnly()).toBeNull();
  keepCheckOnly(true);
  expect(keptCheckOnly()).toBe(true);
  keepCheckOnly(false);
  expect(keptCheckOnly()).toBe(false);
});

it('a browser that keeps nothing stops nobody from choosing', () => {
  const refuse = () => {
    throw new DOMException('full', 'QuotaExceededError');
  };
  vi.stubGlobal('localStorage', { getItem: refuse, setItem: refuse });
  keepCheckOnly(true);
  expect(keptCheckOnly()).toBeNull();
});
