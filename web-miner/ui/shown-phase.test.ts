import { describe, expect, it } from 'vitest';
import { HOSTILE_TEXTS } from '../testing/hostile-texts.ts';
import type { Serving } from '../work/start-lending.ts';
import { readShownPhase } from './shown-phase.ts';

const SERVING: Serving = {
  phase: 'serving',
  model: 'shoal-pup-3m:q8_0',
  because: 'You chose it.',
  threads: 1,
  memoryBytes: 1e7,
  tab: {
    connection: { state: 'waiting', attempt: 2, retryAtMs: 5 },
    tab: 'T'.repeat(43),
    working: 'check',
    counts: {
      answers: 1,
      checks: 2,
      stopped: 0,
      failed: 0,
      valid: 1,
      invalid: 0,
      disputed: 0,
      tokens: 30,
      promptTokens: 9,
      evaluatedTokens: 9,
      prefillMs: 12.5,
    },
    tokensPerSecond: 12.5,
    speeds: { visible: 12.5, hidden: null },
    links: 1,
    direct: true,
    engineFailure: null,
  },
  budget: { may: false, rule: 'share', because: 'It rests.', until: 5 },
  bytesToday: 7,
  coming: {
    model: 'smol:q8_0',
    halted: 'You paused it.',
    progress: {
      loadedBytes: 1,
      totalBytes: 2,
      fromStoreBytes: 0,
      fetchedBytes: 1,
      keeping: 'kept',
      bytesPerSecond: 1,
      secondsLeft: null,
    },
  },
  missed: { model: 'large:q8_0', reason: 'It was too slow.', againAt: null },
  aside: 'testing',
  tested: { at: 5, outcome: 'right' },
};

describe('what another tab of the browser says of itself', () => {
  it.each([
    SERVING,
    { ...SERVING, coming: null, aside: null, budget: { may: true, share: 1 } },
    { phase: 'preparing' },
    { phase: 'downloading', ...SERVING.coming },
    { phase: 'loading', model: 'm' },
    { phase: 'testing', model: 'm' },
    { phase: 'joining', model: 'm' },
    { phase: 'failed', reason: 'r', next: 'n' },
    { phase: 'stopped' },
    null,
  ])('is read as it is', (phase) => {
    expect(readShownPhase(phase)).toEqual(phase);
  });

  it.each([
    undefined,
    'serving',
    7,
    [],
    {},
    { phase: 'serving' },
    { ...SERVING, tab: { ...SERVING.tab, counts: {} } },
    { ...SERVING, tab: { ...SERVING.tab, connection: { state: 'gone' } } },
    { ...SERVING, memoryBytes: Number.NaN },
    { ...SERVING, coming: { model: 'm', progress: null } },
    { phase: 'downloading', model: 'm' },
    { phase: HOSTILE_TEXTS[0] },
  ])('and cannot be read says only that somebody lends', (shown) => {
    expect(readShownPhase(shown)).toEqual({ phase: 'preparing' });
  });
});
