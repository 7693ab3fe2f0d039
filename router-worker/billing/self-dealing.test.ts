import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Level } from '../../shared/protocol/level.ts';
import { Ledger } from '../ledger/ledger.ts';
import { escrowAccount, type LedgerOrder, tabAccount } from '../ledger/transfer.ts';
import { ended, judged, type Scene, terms, unchecked } from '../testing/ended-task.ts';
import { MemoryLedgerStore } from '../testing/memory-ledger-store.ts';
import { billOf, type Terms } from './bill.ts';

const CREDITS = 100_000_000;
/** Everybody who works for the scenes of `ended`. */
const TABS = ['tab', ...[0, 1, 2, 3, 4, 5].map((i) => `checker ${i}`)];

interface Played {
  readonly scene: Scene;
  readonly terms: Terms;
  readonly discarded: boolean;
}

/** What one person who pays, answers and checks was charged for these tasks, and what came back to its tabs, with what is held back of it. */
function deal(tasks: readonly Played[]): { readonly charged: number; readonly back: number } {
  const store = new MemoryLedgerStore();
  const ledger = new Ledger(store, () => 1_000);
  ledger.credit({ id: 'stranger', account: 'stranger', amount: CREDITS });
  ledger.credit({ id: 'dealer', account: 'dealer', amount: CREDITS });
  for (const account of ['stranger', 'dealer']) {
    const order = { id: `draw ${account}`, grant: account, account, key: null, need: CREDITS, want: CREDITS };
    ledger.draw(order, { budget: null, allowance: null });
  }
  // Others have paid fees before: none of them are for the dealer.
  ledger.settle([{ kind: 'settle', id: 'before', grant: 'stranger', task: 'before', charge: 1_000_000, pays: [] }]);
  for (const [i, { scene, terms: wanted, discarded }] of tasks.entries()) {
    const { task, receipt } = ended(scene, wanted);
    const { charged, pays } = billOf(task, receipt, { amount: 50_000, terms: wanted, discarded });
    const order: LedgerOrder = { kind: 'settle', id: `${i}`, grant: 'dealer', task: `${i}`, charge: charged, pays };
    ledger.settle([order]);
  }
  expect(ledger.health()).toMatchObject({ healthy: true });
  const back = TABS.flatMap((tab) => [tabAccount(tab), escrowAccount(tab, 'cls')]);
  return {
    charged: CREDITS - ledger.account('dealer').balance,
    back: back.reduce((sum, account) => sum + store.balance(account), 0),
  };
}

const LEVELS: readonly Level[] = ['none', 'basic', 'cross', 'strict'];

describe('whoever asks, answers and checks under several names', () => {
  it.each(LEVELS.flatMap((level) => [0, 0.025, 0.1, 0.5, 1].map((rate) => ({ level, rate }))))(
    '[M10] has less after it than before: $level, checked at $rate',
    ({ level, rate }) => {
      const tasks = Array.from({ length: 400 }, (_, i): Played => {
        const isChecked = level !== 'none' && Math.floor((i + 1) * rate) > Math.floor(i * rate);
        const why = level === 'none' ? 'not_asked' : level === 'basic' ? 'not_sampled' : 'nobody_fit';
        const scene: Scene = isChecked
          ? { verdict: judged('valid', 1, 0), checks: ['same'] }
          : { verdict: unchecked(why) };
        return { scene, terms: terms(level), discarded: false };
      });
      const { charged, back } = deal(tasks);
      if (charged > 0) expect(back / charged).toBeLessThanOrEqual(0.99);
      else expect(back).toBe(0);
    },
  );

  it('[M10] has less after it than before, whatever its tabs say of each other and whatever is thrown away', () => {
    const verdicts = [
      unchecked('not_asked'),
      unchecked('not_sampled'),
      unchecked('client_gone'),
      unchecked('nobody_fit'),
      judged('valid', 1, 0),
      judged('valid', 2, 1),
      judged('invalid', 0, 2),
      judged('disputed', 1, 2),
    ];
    const played = fc.record({
      scene: fc.record({
        verdict: fc.constantFrom(...verdicts),
        outcome: fc.constantFrom<NonNullable<Scene['outcome']>>({ value: 'answered' }, { value: 'cancelled' }),
        tokens: fc.tuple(fc.nat(500), fc.nat(500)),
        bytes: fc.nat(2_000),
        checks: fc.array(fc.constantFrom('same', 'other', null), { maxLength: 6 }),
        isPrivate: fc.boolean(),
      }),
      terms: fc
        .record({
          level: fc.constantFrom(...LEVELS),
          wanted: fc.integer({ min: 1, max: 3 }),
          sla: fc.constantFrom<Terms['sla']>('fast', 'standard', 'batch'),
        })
        .map(({ level, ...part }) => terms(level, part)),
      discarded: fc.boolean(),
    });
    fc.assert(
      fc.property(fc.array(played, { maxLength: 40 }), (tasks) => {
        const { charged, back } = deal(tasks);
        expect(back).toBeLessThanOrEqual(0.99 * charged);
      }),
      { seed: 17 },
    );
  });
});
