import { expect, it } from 'vitest';
import { MAX_BATCH_WAIT_MS } from '../../shared/limits.ts';
import { Ledger } from '../ledger/ledger.ts';
import { MemoryLedgerStore } from '../testing/memory-ledger-store.ts';
import { MemoryPurseStore } from '../testing/memory-purse-store.ts';
import type { Bill, Terms } from './bill.ts';
import { Cashier } from './cashier.ts';

const TERMS: Terms = { prices: {}, level: 'none', wanted: 1, sla: 'batch', promptTokens: 1, tokens: 1 };
const ANN = { account: 'ann', key: null, budget: null, allowance: null };

it('[M3] holds the money of a request of class batch for as long as that may wait for a tab', async () => {
  const clock = { at: 1_000_000 };
  const ledger = new Ledger(new MemoryLedgerStore(), () => clock.at);
  ledger.credit({ id: 'c', account: 'ann', amount: 8_000 });
  let standing: 'unknown' | 'open' | 'ended' = 'unknown';
  const cashier = new Cashier({
    store: new MemoryPurseStore(),
    ledger: {
      draw: async (order, limits) => ledger.draw(order, limits),
      settle: async (orders) => ledger.settle(orders),
    },
    tasks: {
      standing: () => standing,
      endedAt: () => null,
      saysDiscarded: () => false,
      bill: (task, hold): Bill => ({
        task,
        endedAt: clock.at,
        tokens: { prompt: 1, completion: 1 },
        perToken: 1,
        percent: { level: 100, sla: 100 },
        held: hold.amount,
        charged: 60,
        pays: [],
      }),
    },
    now: () => clock.at,
    newName: () => 'name',
    wake: () => undefined,
    log: () => undefined,
  });
  await cashier.hold({ task: '1', payer: ANN, amount: 100, terms: TERMS });
  // It stands in line for a tab, and the session's alarm goes off meanwhile.
  clock.at += MAX_BATCH_WAIT_MS - 1_000;
  await cashier.sweep();
  standing = 'open'; // It got its tab.
  clock.at += 20_000;
  await cashier.sweep();
  standing = 'ended';
  await cashier.sweep();
  expect(cashier.price('1')).toMatchObject({ status: 'settled', charged: 60 });
  expect(ledger.account('ann').balance).toBe(7_940);
});
