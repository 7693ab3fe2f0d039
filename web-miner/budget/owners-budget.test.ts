import { expect, it } from 'vitest';
import { type BudgetSettings, DEFAULT_BUDGET } from './budget-settings.ts';
import { OwnersBudget } from './owners-budget.ts';

const KEPT = { ...DEFAULT_BUDGET, onlyInForeground: true };

function owned() {
  const rules: BudgetSettings[] = [];
  return { rules, budget: new OwnersBudget((settings) => rules.push(settings)) };
}

it('tells a tab that started before the browser had read what was kept', async () => {
  const { rules, budget } = owned();
  const kept = Promise.withResolvers<{ settings: BudgetSettings }>();
  const read = budget.read(kept.promise);
  expect(rules).toEqual([]);
  kept.resolve({ settings: KEPT });
  await read;
  expect(rules).toEqual([KEPT]);
});

it('does not let what was kept undo what its owner changed meanwhile, even back to where it was', async () => {
  const { rules, budget } = owned();
  const kept = Promise.withResolvers<{ settings: BudgetSettings }>();
  const read = budget.read(kept.promise);
  budget.change(DEFAULT_BUDGET);
  kept.resolve({ settings: KEPT });
  await read;
  expect(rules).toEqual([DEFAULT_BUDGET]);
});
