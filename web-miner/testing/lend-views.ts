import type { LendView } from '../ui/lend-view.ts';
import type { Serving } from '../work/start-lending.ts';

/** What `/join` comes to show, beside what a test reaches by itself: each with a title of its own. `text` stands wherever a name or a reason comes from elsewhere. */
export function lendViews(text: string): readonly LendView[] {
  const progress = {
    loadedBytes: 40e6,
    totalBytes: 98e6,
    fromStoreBytes: 10e6,
    fetchedBytes: 30e6,
    keeping: 'no_room',
    bytesPerSecond: 2e6,
    secondsLeft: 29,
  } as const;
  const serving: Serving = {
    phase: 'serving',
    model: text,
    because: text,
    threads: 2,
    memoryBytes: 200e6,
    tab: {
      connection: { state: 'open' },
      tab: text,
      working: 'answer',
      counts: {
        answers: 3,
        checks: 1,
        stopped: 0,
        failed: 0,
        valid: 2,
        invalid: 0,
        disputed: 0,
        tokens: 300,
        promptTokens: 90,
        evaluatedTokens: 90,
        prefillMs: 50,
      },
      tokensPerSecond: 12.5,
      speeds: { visible: 12.5, hidden: 3 },
      links: 1,
      direct: true,
      engineFailure: null,
    },
    budget: { may: true, share: 1 },
    bytesToday: 98e6,
    coming: { model: text, progress },
    aside: null,
    tested: { at: 1, outcome: 'right' },
  };
  return [
    { phase: 'preparing' },
    { phase: 'downloading', model: text, progress },
    { phase: 'loading', model: text },
    { phase: 'testing', model: text },
    serving,
    {
      ...serving,
      tab: { ...serving.tab, working: null },
      budget: { may: false, rule: 'hours', because: text, until: 32_503_680_000_000 },
      coming: null,
    },
    { ...serving, tab: { ...serving.tab, working: null, engineFailure: text } },
    { ...serving, aside: 'finishing' },
    { phase: 'failed', reason: text, next: text },
  ];
}
