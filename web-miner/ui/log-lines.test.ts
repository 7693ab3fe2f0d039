import { describe, expect, it } from 'vitest';
import type { Serving } from '../work/start-lending.ts';
import type { LendView } from './lend-view.ts';
import { linesBetween } from './log-lines.ts';
import { addSecond, CHART_SECONDS, chartPoints, type SpeedHistory } from './speed-history.ts';

const SERVING: Serving = {
  phase: 'serving',
  model: 'pup:q8_0',
  because: 'You chose it.',
  threads: 1,
  memoryBytes: 1e7,
  tab: {
    connection: { state: 'open' },
    tab: 'a key',
    working: null,
    counts: {
      answers: 0,
      checks: 0,
      stopped: 0,
      failed: 0,
      valid: 0,
      invalid: 0,
      disputed: 0,
      tokens: 0,
      promptTokens: 0,
      evaluatedTokens: 0,
      prefillMs: 0,
    },
    tokensPerSecond: null,
    speeds: { visible: 100, hidden: null },
    links: 0,
    direct: false,
    engineFailure: null,
  },
  budget: { may: true, share: 1 },
  bytesToday: 0,
  coming: null,
  missed: null,
  aside: null,
  tested: { at: 1, outcome: 'right' },
};

const withTab = (tab: Partial<Serving['tab']>): Serving => ({ ...SERVING, tab: { ...SERVING.tab, ...tab } });

describe('the log of a tab', () => {
  it.each<[string, LendView, LendView, readonly string[]]>([
    ['begins', { phase: 'testing', model: 'pup' }, SERVING, ['Serves pup:q8_0. You chose it.']],
    ['says nothing when nothing happened', SERVING, { ...SERVING, bytesToday: 5 }, []],
    ['names work when it begins', SERVING, withTab({ working: 'answer' }), ['Began to write an answer.']],
    [
      'names what was done',
      SERVING,
      withTab({ counts: { ...SERVING.tab.counts, answers: 1, valid: 1, tokens: 9 } }),
      ['Finished an answer: 9 tokens written so far.', 'An answer of this tab was checked, and found right.'],
    ],
    ['names a broken connection', SERVING, withTab({ tab: null }), ['The connection to the router broke.']],
    [
      'says why it does not work',
      SERVING,
      { ...SERVING, budget: { may: false, rule: 'paused', because: 'You paused it.', until: null } },
      ['Takes no work: You paused it.'],
    ],
    [
      'is silent about the short rests between two pieces of work',
      SERVING,
      { ...SERVING, budget: { may: false, rule: 'share', because: 'It rests.', until: 5 } },
      [],
    ],
    [
      'names a model that did not come, and when it is tried again',
      SERVING,
      { ...SERVING, missed: { model: 'large:q8_0', reason: 'It was too slow.', againAt: null } },
      ['large:q8_0 did not take over: It was too slow.'],
    ],
    ['names the end', SERVING, { phase: 'stopped' }, ['Stopped. The model was unloaded.']],
    ['names a failure', SERVING, { phase: 'failed', reason: 'No.', next: 'Yes.' }, ['Ended: No.']],
  ])('%s', (_, before, after, lines) => {
    expect(linesBetween(before, after)).toEqual(lines);
  });
});

describe('the chart of a minute', () => {
  it('keeps a minute, and puts the newest second at the right edge', () => {
    let history: SpeedHistory = [];
    for (let i = 0; i < 100; i++) history = addSecond(history, i);
    expect([history.length, history.at(-1)]).toEqual([CHART_SECONDS, 99]);
    expect(chartPoints([50, 100], 590, 40)).toBe('580.0,20.0 590.0,0.0');
    expect(chartPoints([0], 590, 40)).toBe('590.0,40.0');
    expect(chartPoints([], 590, 40)).toBe('');
  });
});
