import { expect, it } from 'vitest';
import { DEFAULT_BUDGET } from '../budget/budget-settings.ts';
import { keepBudget, keepData, loadBudget } from './budget-store.ts';
import { loadIdentity } from './identity-store.ts';

/** Node has no IndexedDB, as some private windows have none. */
it('a browser without IndexedDB lends under a name that lasts as long as the page, and under the rules of the page', async () => {
  expect(globalThis.indexedDB).toBeUndefined();
  const { identity, kept } = await loadIdentity();
  expect([kept, identity.signer.publicKey]).toEqual([false, expect.stringMatching(/^[\w-]{43}$/)]);
  expect(await loadBudget()).toMatchObject({ settings: DEFAULT_BUDGET });
  expect(await keepBudget({ ...DEFAULT_BUDGET, onlyInForeground: true })).toBe(false);
  await keepData({ day: '2026-11-22', bytes: 1 });
});
