import * as v from 'valibot';
import type { BudgetRule } from '../budget/may-work.ts';
import type { LendingPhase } from '../work/start-lending.ts';

/** What another tab of this browser says of itself, as far as a viewer draws it. It may be a page of an earlier release, or any page of this origin. */

const figure = v.pipe(v.number(), v.minValue(0));
const perhaps = v.nullable(figure);

const progress = v.object({
  loadedBytes: figure,
  totalBytes: figure,
  fromStoreBytes: figure,
  fetchedBytes: figure,
  keeping: v.picklist(['kept', 'no_storage', 'no_room']),
  bytesPerSecond: figure,
  secondsLeft: perhaps,
});
const comingModel = { model: v.string(), progress, halted: v.nullable(v.string()) };

const connection = v.variant('state', [
  v.object({ state: v.literal('connecting'), attempt: figure }),
  v.object({ state: v.literal('open') }),
  v.object({ state: v.literal('waiting'), attempt: figure, retryAtMs: figure }),
  v.object({ state: v.literal('closed'), code: figure, reason: v.string() }),
]);

const RULES = [
  'paused',
  'away',
  'offline',
  'foreground',
  'plugged_in',
  'hours',
  'idle',
  'pressure',
  'data',
  'cooling',
  'share',
] as const satisfies readonly BudgetRule[];

const serving = v.object({
  phase: v.literal('serving'),
  model: v.string(),
  because: v.string(),
  threads: figure,
  memoryBytes: figure,
  tab: v.object({
    connection,
    tab: v.nullable(v.string()),
    working: v.nullable(v.picklist(['answer', 'check'])),
    counts: v.object({
      answers: figure,
      checks: figure,
      stopped: figure,
      failed: figure,
      valid: figure,
      invalid: figure,
      disputed: figure,
      tokens: figure,
      promptTokens: figure,
      evaluatedTokens: figure,
      prefillMs: figure,
    }),
    tokensPerSecond: perhaps,
    speeds: v.object({ visible: perhaps, hidden: perhaps }),
    links: figure,
    direct: v.boolean(),
    engineFailure: v.nullable(v.string()),
  }),
  budget: v.variant('may', [
    v.object({ may: v.literal(true), share: figure }),
    v.object({ may: v.literal(false), rule: v.picklist(RULES), because: v.string(), until: perhaps }),
  ]),
  bytesToday: figure,
  coming: v.nullable(v.object(comingModel)),
  missed: v.nullable(v.object({ model: v.string(), reason: v.string(), againAt: perhaps })),
  aside: v.nullable(v.picklist(['changing', 'testing', 'finishing'])),
  tested: v.object({ at: figure, outcome: v.picklist(['right', 'steady', 'slow', 'wrong']) }),
});

const shownPhase = v.variant('phase', [
  serving,
  v.object({ phase: v.picklist(['preparing', 'stopped']) }),
  v.object({ phase: v.literal('downloading'), ...comingModel }),
  v.object({ phase: v.picklist(['loading', 'testing', 'joining']), model: v.string() }),
  v.object({ phase: v.literal('failed'), reason: v.string(), next: v.string() }),
]);

/** Null where none lends any more. What cannot be read says no more than that somebody lends: it is taken for a tab that prepares. */
export function readShownPhase(shown: unknown): LendingPhase | null {
  if (shown === null) return null;
  const read = v.safeParse(shownPhase, shown);
  return read.success ? read.output : { phase: 'preparing' };
}
