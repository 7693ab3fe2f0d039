import { afterEach, expect, it, vi } from 'vitest';
import { keepDirectChoice, keptDirectChoice } from './direct-choice.ts';

afterEach(() => vi.unstubAllGlobals());

it('the choice of direct links is kept for the next visit, and is no before the first', () => {
  const kept = new Map<string, string>();
  vi.stubGlobal('localStorage', {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
  });
  expect(keptDirectChoice()).toBe(false);
  keepDirectChoice(true);
  expect(keptDirectChoice()).toBe(true);
  keepDirectChoice(false);
  expect(keptDirectChoice()).toBe(false);
});

it('a browser that keeps nothing stops nobody from choosing', () => {
  const refuse = () => {
    throw new DOMException('full', 'QuotaExceededError');
  };
  vi.stubGlobal('localStorage', { getItem: refuse, setItem: refuse });
  expect(() => keepDirectChoice(false)).not.toThrow();
  expect(keptDirectChoice()).toBe(false);
});
