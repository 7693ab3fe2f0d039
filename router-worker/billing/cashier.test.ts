import { describe, expect, it } from 'vitest';
import { GRANT_LIFE_MS, Ledger } from '../ledger/ledger.ts';
import { MemoryLedgerStore } from '../testing/memory-ledger-store.ts';
import { MemoryPurseStore } from '../testing/memory-purse-store.ts';
import type { Bill, Terms } from './bill.ts';
import { Cashier } from './cashier.ts';
import { IDLE_GRANT_MS, LONGEST_TASK_MS, type Payer } from './grant.ts';
import { PURSE_STORE_EXAM } from './purse-store-exam.ts';

const TERMS: Terms = { prices: {}, level: 'none', wanted: 1, sla: 'standard', promptTokens: 1, tokens: 1 };
const ANN: Payer = { account: 'ann', key: null, budget: null, allowance: null };

/** One session of Ann's, and the ledger with what she has. */
function aSession(credits: number) {
  const clock = { at: 1_000_000 };
  const ledger = new Ledger(new MemoryLedgerStore(), () => clock.at);
  ledger.credit({ id: 'c', account: 'ann', amount: credits });
  const calls: string[] = [];
  const faults = { before: false, after: false };
  const endedAt = clock.at;
  const bills = new Map<string, number | null>();
  const store = new MemoryPurseStore();
  const logged: string[] = [];
  /** Tasks whose receipts say that they were thrown away. */
  const signedAgain = new Set<string>();
  const over = async <T>(name: string, act: () => T): Promise<T> => {
    calls.push(name);
    if (faults.before) throw new Error('nobody answers');
    const result = act();
    if (faults.after) throw new Error('the reply was lost');
    return result;
  };
  const cashier = new Cashier({
    store,
    ledger: {
      draw: (order, limits) => over('draw', () => ledger.draw(order, limits)),
      settle: (orders) => over('settle', () => ledger.settle(orders)),
    },
    tasks: {
      standing: (task) => (!bills.has(task) ? 'unknown' : bills.get(task) === null ? 'open' : 'ended'),
      endedAt: (task) => (bills.get(task) == null ? null : endedAt),
      saysDiscarded: (task) => signedAgain.has(task),
      bill: (task, hold): Bill => ({
        task,
        endedAt: clock.at,
        tokens: { prompt: 1, completion: 1 },
        perToken: 1,
        percent: { level: 100, sla: 100 },
        held: hold.amount,
        charged: hold.discarded === true ? 0 : (bills.get(task) ?? 0),
        pays: [],
      }),
    },
    now: () => clock.at,
    newName: () => 'name',
    wake: () => undefined,
    log: (event, fields) => logged.push(`${event} ${fields.task}`),
  });
  const hold = (task: string, amount: number, payer = ANN, wordMs: number | null = null) =>
    cashier.hold({ task, payer, amount, terms: TERMS, ...(wordMs !== null && { wordMs }) });
  const ann = () => ledger.account('ann');
  return { clock, ledger, cashier, hold, bills, calls, faults, store, ann, logged, signedAgain };
}

describe('the purse store in memory', () => {
  it.each(PURSE_STORE_EXAM)('$title', ({ run }) => run(new MemoryPurseStore()));
});

describe('the cashier of a session', () => {
  it('[M5] waits for the word on a part, charges what was given, and nothing for what was thrown away', async () => {
    const { hold, cashier, bills, ann, clock, signedAgain } = aSession(8_000);
    for (const part of ['given', 'discarded', 'stopped', 'silent']) await hold(part, 100, ANN, 10_000);
    signedAgain.add('stopped').add('discarded');
    cashier.tell(['stopped'], 'discarded'); // Before its end.
    cashier.tell(['stopped'], 'given'); // The first word counts.
    for (const part of ['given', 'discarded', 'stopped', 'silent']) bills.set(part, 60);
    await cashier.sweep();
    expect(ann().balance).toBe(8_000);
    expect(cashier.nextDueAt()).toBe(clock.at + 10_000);
    cashier.tell(['given'], 'given');
    cashier.tell(['discarded'], 'discarded');
    await cashier.sweep();
    expect([ann().balance, cashier.price('given')?.charged, cashier.price('discarded')?.charged]).toEqual([
      7_940, 60, 0,
    ]);
    clock.at += 10_000;
    await cashier.sweep();
    cashier.tell(['silent'], 'discarded'); // Too late.
    expect([ann().balance, cashier.price('silent')?.charged, cashier.price('stopped')?.charged]).toEqual([
      7_880, 60, 0,
    ]);
  });

  it('[M5] waits for the word on an answer that several tabs wrote at, and charges nothing that was said to be free', async () => {
    const { hold, cashier, bills, ann, clock, signedAgain } = aSession(8_000);
    for (const task of ['early', 'late', 'given', 'silent', 'plain']) await hold(task, 100);
    cashier.tell(['early'], 'discarded'); // Before it is known that a word is awaited.
    for (const task of ['early', 'late', 'given', 'silent']) cashier.awaitWord(task, 30_000);
    for (const task of ['early', 'late', 'given', 'silent', 'plain']) bills.set(task, 60);
    await cashier.sweep();
    expect([ann().balance, cashier.price('plain')?.charged]).toEqual([7_940, 60]);
    expect([cashier.unsaid, cashier.toSayDiscarded]).toEqual([['early', 'late', 'given', 'silent'], ['early']]);
    cashier.tell(['late'], 'discarded');
    cashier.tell(['given'], 'given');
    cashier.tell(['late'], 'given'); // The first word counts.
    await cashier.sweep();
    expect([ann().balance, cashier.toSayDiscarded]).toEqual([7_880, ['early', 'late']]);
    signedAgain.add('early').add('late');
    await cashier.sweep();
    expect([cashier.price('early')?.charged, cashier.price('late')?.charged, cashier.unsaid]).toEqual([
      0,
      0,
      ['silent'],
    ]);
    clock.at += 30_000;
    cashier.tell(['silent'], 'discarded'); // Too late: its receipt is out.
    await cashier.sweep();
    expect([ann().balance, cashier.price('silent')?.charged, cashier.unsaid]).toEqual([7_820, 60, []]);
  });

  it('[M3] asks the ledger once, and then spends what it has', async () => {
    const { hold, calls, ann } = aSession(8_000);
    await hold('1', 100);
    await hold('1', 100);
    for (const task of ['2', '3', '4', '5', '6', '7', '8']) await hold(task, 100);
    expect([calls, ann()]).toEqual([['draw'], { free: 7_200, held: 800, balance: 8_000 }]);
    await hold('9', 100);
    expect(calls).toEqual(['draw', 'draw']);
  });

  it('[M7] begins tasks under a grant that suffices while nobody hears the ledger, and no others', async () => {
    const { hold, faults, cashier, bills, ann } = aSession(8_000);
    await hold('1', 100);
    faults.before = true;
    await hold('2', 100);
    await expect(hold('3', 5_000)).rejects.toMatchObject({ code: 'overloaded', retryAfterMs: 5_000 });
    bills.set('1', 60).set('2', null);
    await expect(cashier.sweep()).rejects.toThrow();
    expect(cashier.price('1')).toMatchObject({ status: 'settled', charged: 60, returned: 40 });
    expect(ann().balance).toBe(8_000);
    faults.before = false;
    await cashier.sweep();
    expect(ann().balance).toBe(7_940);
  });

  it('[M1] [M7] repeats what it does not know the outcome of under the same id', async () => {
    const { hold, faults, cashier, bills, ann } = aSession(8_000);
    faults.after = true;
    await expect(hold('1', 100)).rejects.toMatchObject({ code: 'overloaded' });
    faults.after = false;
    await hold('1', 100);
    bills.set('1', 60);
    faults.after = true;
    await expect(cashier.sweep()).rejects.toThrow('the reply was lost');
    await expect(cashier.sweep()).rejects.toThrow('the reply was lost');
    faults.after = false;
    await cashier.sweep();
    expect(ann()).toEqual({ free: 7_200, held: 740, balance: 7_940 });
  });

  it('refuses what neither balance nor grant cover, and says what there is', async () => {
    const { hold, calls, bills, ann } = aSession(100);
    await hold('1', 80);
    await expect(hold('2', 30)).rejects.toMatchObject({
      code: 'insufficient_quota',
      message: 'This request may cost up to 30 micro-credits. There are 20 free.',
    });
    bills.set('1', 60);
    await hold('2', 30); // The first one has ended, and cost less.
    expect([calls, ann()]).toEqual([['draw', 'draw', 'draw'], { free: 10, held: 90, balance: 100 }]);
  });

  it('says when it is the key’s budget that does not reach', async () => {
    const { hold } = aSession(100);
    await expect(hold('1', 30, { ...ANN, key: 'k', budget: 20 })).rejects.toThrow(
      'The budget of this key leaves 20 free.',
    );
  });

  it('gives two tasks that begin at once what each needs', async () => {
    const { hold, ann } = aSession(100);
    await Promise.all([hold('1', 40), hold('2', 60)]);
    expect(ann()).toEqual({ free: 0, held: 100, balance: 100 });
    const held = await Promise.allSettled([hold('3', 1)]);
    expect(held.map(({ status }) => status)).toEqual(['rejected']);
  });

  it('[M4] releases what was held for a task that never began, at once when told or after two minutes', async () => {
    const { hold, cashier, bills, calls, clock } = aSession(100);
    await hold('1', 100);
    cashier.release('1');
    await hold('2', 100);
    bills.set('2', null);
    cashier.release('2'); // It began: nothing is released.
    await expect(hold('3', 1)).rejects.toMatchObject({ code: 'insufficient_quota' });
    bills.delete('2');
    clock.at += 120_000;
    await cashier.sweep();
    await hold('4', 100);
    expect(calls.filter((call) => call === 'settle')).toEqual([]);
  });

  it('[M4] gives an idle grant back, and begins another one when it is asked again', async () => {
    const { hold, cashier, bills, clock, ann, store } = aSession(100);
    await hold('1', 60);
    bills.set('1', 10);
    expect(cashier.nextDueAt()).toBe(null);
    await cashier.sweep();
    expect(cashier.nextDueAt()).toBe(clock.at + IDLE_GRANT_MS);
    clock.at += IDLE_GRANT_MS;
    await cashier.sweep();
    expect([ann(), store.purses(), cashier.nextDueAt()]).toEqual([{ free: 90, held: 0, balance: 90 }, [], null]);
  });

  it('draws again before a task that could outlive its grant', async () => {
    const { hold, calls, clock, ledger, bills } = aSession(8_000);
    await hold('1', 100);
    clock.at += GRANT_LIFE_MS - LONGEST_TASK_MS + 1;
    bills.set('1', null);
    await hold('2', 100);
    expect(calls).toEqual(['draw', 'draw']);
    expect(ledger.nextExpiry()).toBe(clock.at + GRANT_LIFE_MS);
  });

  it('[M4] writes off what the owner has spent elsewhere after the grant had expired', async () => {
    const { hold, cashier, bills, clock, ledger, logged, ann } = aSession(100);
    await hold('1', 60);
    await hold('2', 30);
    clock.at += GRANT_LIFE_MS;
    ledger.expire();
    bills.set('1', 60).set('2', 30);
    ledger.draw(
      { id: 'elsewhere', grant: 'other', account: 'ann', key: null, need: 50, want: 50 },
      { budget: null, allowance: null },
    );
    await cashier.sweep();
    expect([logged, ann()]).toEqual([['settlement_written_off 1'], { free: 20, held: 50, balance: 70 }]);
  });

  it('tells what a task costs: what is held, then what it came to', async () => {
    const { hold, cashier, bills } = aSession(100);
    expect(cashier.price('1')).toBe(null);
    await hold('1', 60);
    expect(cashier.price('1')).toMatchObject({ unit: 'micro-credit', status: 'held', held: 60, charged: null });
    bills.set('1', 10);
    await cashier.sweep();
    expect(cashier.price('1')).toMatchObject({ status: 'settled', held: 60, charged: 10, returned: 50 });
  });
});
