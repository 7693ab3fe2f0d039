import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { DEFAULT_SETTINGS } from './chat-settings.ts';
import { type KeptSettings, keepSettings, keptSettings } from './kept-settings.ts';

const FIRST: KeptSettings = { model: null, direct: false, settings: DEFAULT_SETTINGS };
const kept = new Map<string, string>();

beforeEach(() => {
  kept.clear();
  vi.stubGlobal('localStorage', {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => kept.set(key, value),
  });
});
afterEach(() => vi.unstubAllGlobals());

it('how a visitor asks is there at the next visit, and as the router has it at the first', () => {
  expect(keptSettings()).toEqual(FIRST);
  const chosen: KeptSettings = {
    model: 'smollm2-135m-instruct',
    direct: true,
    settings: { ...DEFAULT_SETTINGS, level: 'cross', isPrivate: false, system: 'Be brief.', seed: 7, answers: 3 },
  };
  keepSettings(chosen);
  expect(keptSettings()).toEqual(chosen);
});

it('what cannot be read, or would ask for what the page does not offer, counts for nothing', () => {
  for (const text of [
    '{',
    '[]',
    '{"model":1}',
    JSON.stringify({ ...FIRST, settings: { ...DEFAULT_SETTINGS, answers: 99 } }),
  ]) {
    kept.set('shoal-chat-settings', text);
    expect(keptSettings(), text).toEqual(FIRST);
  }
});

it('a browser that keeps nothing stops nobody from choosing', () => {
  const refuse = () => {
    throw new DOMException('switched off', 'SecurityError');
  };
  vi.stubGlobal('localStorage', { getItem: refuse, setItem: refuse });
  keepSettings(FIRST);
  expect(keptSettings()).toEqual(FIRST);
});
