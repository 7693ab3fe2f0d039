import { describe, expect, it } from 'vitest';
import { MemoryLedgerStore } from '../testing/memory-ledger-store.ts';
import { depositOf, NO_PAY, withPay } from './deposit.ts';
import { GRANT_LIFE_MS, Ledger } from './ledger.ts';
import { LEDGER_STORE_EXAM } from './ledger-store-exam.ts';
import { checksAccount, escrowAccount, FEES, type LedgerOrder, type Pay, tabAccount } from './transfer.ts';

const FREE_OF_LIMITS = { budget: null, allowance: null };
const DAY_MS = 24 * 60 * 60 * 1000;

function aLedger() {
  const store = new MemoryLedgerStore();
  const clock = { at: 1_000 };
  const ledger = new Ledger(store, () => clock.at);
  const draw = (id: string, need: number, want = need, part: { grant?: string; key?: string; budget?: number } = {}) =>
    ledger.draw(
      { id, grant: part.grant ?? 'g', account: 'ann', key: part.key ?? null, need, want },
      { ...FREE_OF_LIMITS, budget: part.budget ?? null },
    );
  return { store, clock, ledger, draw };
}

const pay = (tab: string, amount: number, role: Pay['role'] = 'answer'): Pay => ({ tab, class: 'c', role, amount });
const settle = (id: string, charge: number, pays: readonly Pay[] = [], grant = 'g'): LedgerOrder => ({
  kind: 'settle',
  id,
  grant,
  task: `task of ${id}`,
  charge,
  pays,
});

describe('the ledger store in memory', () => {
  it.each(LEDGER_STORE_EXAM)('$title', ({ run }) => run(new MemoryLedgerStore()));
});

describe('the ledger', () => {
  it('[M1] does a transfer once, and refuses another one under its id', () => {
    const { ledger, draw, store } = aLedger();
    ledger.credit({ id: 'c', account: 'ann', amount: 100 });
    ledger.credit({ id: 'c', account: 'ann', amount: 100 });
    expect(() => ledger.credit({ id: 'c', account: 'ann', amount: 99 })).toThrow('with another content');
    const first = draw('d', 40);
    expect(draw('d', 40)).toEqual(first);
    expect(() => draw('d', 41)).toThrow('with another content');
    expect(() => ledger.credit({ id: 'd', account: 'ann', amount: 1 })).toThrow('with another content');
    const orders = [settle('s', 10, [pay('t', 9)])];
    expect([ledger.settle(orders), ledger.settle(orders)]).toEqual([[{ status: 'done' }], [{ status: 'done' }]]);
    expect(() => ledger.settle([settle('s', 10, [pay('t', 8)])])).toThrow('with another content');
    expect([ledger.account('ann'), store.balance(FEES)]).toEqual([{ free: 60, held: 30, balance: 90 }, 1]);
    expect(ledger.health()).toMatchObject({ healthy: true, sum: 0, issued: 100, transfers: 3 });
  });

  it('writes its orders in a form that does not change', () => {
    const { ledger, draw, store } = aLedger();
    ledger.credit({ id: 'c', account: 'ann', amount: 100 });
    draw('d', 40);
    ledger.settle([settle('s', 10, [pay('t', 9)])]);
    expect(['c', 'd', 's'].map((id) => [store.transfer(id)?.content, store.transfer(id)?.result])).toEqual([
      ['{"account":"ann","amount":100}', 'null'],
      [
        '{"grant":"g","account":"ann","key":null,"need":40,"want":40}',
        `{"status":"granted","amount":40,"expiresAt":${1_000 + GRANT_LIFE_MS}}`,
      ],
      [
        '{"grant":"g","task":"task of s","charge":10,"pays":[{"tab":"t","class":"c","role":"answer","amount":9}]}',
        '{"status":"done"}',
      ],
    ]);
  });

  it('gives credits in whole numbers above zero only', () => {
    const { ledger } = aLedger();
    for (const amount of [0, -1, 0.5, Number.NaN, 2 ** 53]) {
      expect(() => ledger.credit({ id: `c${amount}`, account: 'ann', amount })).toThrow('a whole number above 0');
    }
  });

  it('[M2] gives a session what it needs or nothing, and leaves something for others where it can', () => {
    const { ledger, draw } = aLedger();
    ledger.credit({ id: 'c', account: 'ann', amount: 800 });
    expect(draw('1', 10, 500)).toMatchObject({ status: 'granted', amount: 100 });
    expect(draw('2', 600, 5_000)).toMatchObject({ status: 'granted', amount: 600 });
    expect(draw('3', 101)).toEqual({ status: 'refused', why: 'balance', free: 100 });
    expect(draw('4', 100, 100, { grant: 'other' })).toMatchObject({ status: 'granted', amount: 100 });
    expect(draw('5', 1)).toEqual({ status: 'refused', why: 'balance', free: 0 });
    expect(draw('6', 0)).toMatchObject({ status: 'granted', amount: 0 });
    expect(ledger.account('ann')).toEqual({ free: 0, held: 800, balance: 800 });
  });

  it('[M8] lets a key spend its budget and no more, with what its sessions hold', () => {
    const { ledger, draw } = aLedger();
    ledger.credit({ id: 'c', account: 'ann', amount: 1_000 });
    expect(draw('1', 60, 60, { key: 'k', budget: 100 })).toMatchObject({ amount: 60 });
    expect(draw('2', 50, 50, { key: 'k', budget: 100 })).toEqual({ status: 'refused', why: 'budget', free: 40 });
    ledger.settle([settle('s', 30), { kind: 'close', id: 'x', grant: 'g' }]);
    expect(ledger.keySpent('k')).toBe(30);
    expect(draw('3', 70, 90, { key: 'k', budget: 100, grant: 'g2' })).toMatchObject({ amount: 70 });
    expect(() => draw('4', 1, 1, { key: 'other', grant: 'g2' })).toThrow('with another content');
  });

  it('[M6] holds half of a tab’s pay back until it is trusted in the class and its deposit is together', () => {
    const { ledger, draw, store } = aLedger();
    ledger.credit({ id: 'c', account: 'ann', amount: 1_000_000 });
    draw('d', 500_000);
    const balances = () => [tabAccount('t'), escrowAccount('t', 'c')].map((account) => store.balance(account));
    const earn = (id: string, tab: string, amount: number) => ledger.settle([settle(id, amount, [pay(tab, amount)])]);
    const trusted = { tab: 't', class: 'c', standing: 'trusted' } as const;
    earn('1', 't', 101);
    expect(balances()).toEqual([50, 51]);
    ledger.standing({ ...trusted, id: 'r', class: 'other' });
    ledger.standing({ ...trusted, id: 'r2' });
    expect(balances()).toEqual([50, 51]); // The deposit is 80 times the mean of what answers are paid.
    earn('2', 't', 10_000);
    expect(balances()).toEqual([5_050, 5_051]);
    const others = Array.from({ length: 9_000 }, () => 10);
    for (const [i, amount] of others.entries()) earn(`others ${i}`, 'u', amount);
    ledger.standing({ ...trusted, id: 'r3' });
    const deposit = depositOf([101, 10_000, ...others].reduce((mean, paid) => withPay(mean, paid, 1_000), NO_PAY));
    expect(deposit).toBeLessThan(10_101);
    expect(balances()).toEqual([10_101 - deposit, deposit]);
    earn('3', 't', 10);
    expect(balances()[0]).toBeGreaterThanOrEqual(10_111 - deposit);
    ledger.standing({ ...trusted, id: 'r4', standing: 'untrusted' });
    const [, held = 0] = balances();
    earn('4', 't', 10);
    expect(balances()[1]).toBe(held + 5);
  });

  it('[M6] takes what was held back from a tab that cheated, never more', () => {
    const { ledger, draw, store } = aLedger();
    ledger.credit({ id: 'c', account: 'ann', amount: 1_000 });
    draw('d', 500);
    ledger.settle([settle('1', 100, [pay('t', 100)])]);
    for (const id of ['f', 'f', 'g']) ledger.standing({ id, tab: 't', class: 'c', standing: 'fraud' });
    expect([store.balance(tabAccount('t')), store.balance(escrowAccount('t', 'c')), store.balance(FEES)]).toEqual([
      50, 0, 50,
    ]);
    expect(ledger.health()).toMatchObject({ healthy: true, fees: 50 });
  });

  it('[O7] lets a tab’s pay wait for an owner, then gives it, and all that follows, to the account it is paired with', () => {
    const { ledger, draw, store, clock } = aLedger();
    ledger.credit({ id: 'c', account: 'ann', amount: 100_000 });
    draw('d', 50_000);
    const earn = (id: string, amount: number) => ledger.settle([settle(id, amount, [pay('t', amount)])]);
    for (let i = 0; i < 40; i++) earn(`${i}`, 10); // 200 are free, 200 held back.
    const step = 64; // The power of two at or above four mean pays.
    const before = { payee: null, waiting: 192, held: 192, collected: 0, lost: 0, today: 384, step };
    expect(ledger.tabMoney('t')).toEqual(before);
    const order = { id: 'p', tab: 't', account: 'ben' };
    for (let i = 0; i < 2; i++) ledger.pair(order);
    expect(ledger.tabMoney('t')).toEqual({ ...before, payee: 'ben', waiting: 0, collected: 192 });
    clock.at += DAY_MS;
    for (let i = 0; i < 12; i++) earn(`later ${i}`, 10); // 8 waited still; 60 more.
    expect(ledger.tabMoney('t')).toMatchObject({ waiting: 0, held: 256, collected: 256, today: 64 });
    expect(
      store.statement('ben', 0, 9).map(({ kind, task, amount, balance }) => [kind, task, amount, balance]),
    ).toEqual([
      ['collect', null, 192, 192],
      ['collect', null, 64, 256],
    ]);
    expect([ledger.account('ben').free, store.balance(tabAccount('t'))]).toEqual([256, 4]);
    expect(ledger.health()).toMatchObject({ healthy: true, sum: 0 });
  });

  it('[O7] gives the account what is freed when the tab is trusted, too', () => {
    const { ledger, draw, store } = aLedger();
    ledger.credit({ id: 'c', account: 'ann', amount: 100_000 });
    draw('d', 50_000);
    ledger.pair({ id: 'p', tab: 't', account: 'ben' });
    for (let i = 0; i < 400; i++) ledger.settle([settle(`${i}`, 10, [pay('t', 10)])]);
    ledger.standing({ id: 'r', tab: 't', class: 'c', standing: 'trusted' });
    const deposit = 800; // Of 80 mean pays.
    expect(store.balance(escrowAccount('t', 'c'))).toBe(deposit);
    expect(ledger.account('ben').free).toBe(Math.floor((4_000 - deposit) / 64) * 64);
  });

  it('[O7] [K16] tells nothing, and gives nothing, by the task', () => {
    const { ledger, draw } = aLedger();
    ledger.credit({ id: 'c', account: 'ann', amount: 100_000 });
    draw('d', 50_000);
    ledger.pair({ id: 'p', tab: 't', account: 'ben' });
    const seen = Array.from({ length: 64 }, (_, i) => {
      ledger.settle([settle(`${i}`, 10, [pay('t', 10)])]);
      return JSON.stringify([ledger.tabMoney('t'), ledger.account('ben')]);
    });
    expect(new Set(seen).size).toBeLessThan(64 / 4);
  });

  it('[O7] [K16] names no task to the account, and tells no single pay of a dear class by earning in a cheap one', () => {
    const { ledger, draw } = aLedger();
    ledger.credit({ id: 'c', account: 'ann', amount: 100_000 });
    draw('d', 50_000);
    ledger.pair({ id: 'p', tab: 't', account: 'ben' });
    const seen = Array.from({ length: 32 }, (_, i) => {
      ledger.settle([settle(`dear ${i}`, 1_000, [pay('t', 1_000)])]);
      ledger.settle([settle(`cheap ${i}`, 2, [{ ...pay('t', 2), class: 'cheap' }])]);
      return JSON.stringify([ledger.tabMoney('t'), ledger.account('ben')]);
    });
    expect(new Set(seen).size).toBeLessThan(32 / 3);
    const lines = ledger.statement('ben', 0, 99);
    expect(lines.length).toBeGreaterThan(1);
    expect(lines.filter(({ transfer }) => /dear|cheap/.test(transfer))).toEqual([]);
  });

  it('[O7] takes nothing back that was given to an owner: a lie costs what is held', () => {
    const { ledger, draw, store } = aLedger();
    ledger.credit({ id: 'c', account: 'ann', amount: 10_000 });
    draw('d', 5_000);
    ledger.pair({ id: 'p', tab: 't', account: 'ben' });
    for (let i = 0; i < 32; i++) ledger.settle([settle(`${i}`, 16, [pay('t', 16)])]);
    ledger.standing({ id: 'f', tab: 't', class: 'c', standing: 'fraud' });
    expect(ledger.tabMoney('t')).toMatchObject({ waiting: 0, held: 0, collected: 256, lost: 256 });
    expect([ledger.account('ben').free, store.balance(FEES)]).toEqual([256, 256]);
  });

  it('[O6] pairs a tab with one account at a time, and with none once it left', () => {
    const { ledger, draw, store } = aLedger();
    ledger.credit({ id: 'c', account: 'ann', amount: 1_000 });
    draw('d', 500);
    const bens = { id: 'p', tab: 't', account: 'ben' };
    ledger.pair(bens);
    expect(() => ledger.pair({ id: 'q', tab: 't', account: 'eve' })).toThrow('paired with another account');
    expect([ledger.leave('t', 'eve'), ledger.leave('t', 'ben'), ledger.leave('t', 'ben')]).toEqual([
      false,
      true,
      false,
    ]);
    ledger.pair(bens); // Told again, long after.
    for (let i = 0; i < 16; i++) ledger.settle([settle(`${i}`, 16, [pay('t', 16)])]);
    expect([ledger.payeeOf('t'), store.balance(tabAccount('t')), ledger.account('ben').free]).toEqual([null, 128, 0]);
    ledger.pair({ id: 'q', tab: 't', account: 'eve' });
    expect([ledger.payeeOf('t'), ledger.account('eve').free]).toEqual(['eve', 128]);
    expect(ledger.health()).toMatchObject({ healthy: true, sum: 0 });
  });

  it('[M10] pays checks that nobody was charged for out of the fees of the same payer, as far as they go', () => {
    const { ledger, draw, store } = aLedger();
    for (const account of ['ann', 'bob']) ledger.credit({ id: account, account, amount: 1_000 });
    ledger.credit({ id: 'n', account: 'ann', amount: 51, isForChecks: true });
    draw('d', 500);
    ledger.draw({ id: 'b', grant: 'bobs', account: 'bob', key: null, need: 500, want: 500 }, FREE_OF_LIMITS);
    const all = (tab: string) => store.balance(tabAccount(tab)) + store.balance(escrowAccount(tab, 'c'));
    const pots = () => [store.balance(checksAccount('ann')), store.balance(checksAccount('bob')), store.balance(FEES)];
    ledger.settle([settle('0', 100, [pay('x', 95)], 'bobs')]);
    expect(pots()).toEqual([51, 4, 1]);
    ledger.settle([settle('1', 100, [pay('a', 90), pay('b', 40, 'check'), pay('c', 40, 'check')])]);
    expect([all('a'), all('b'), all('c'), ...pots()]).toEqual([90, 30, 30, 0, 4, 2]);
    ledger.settle([settle('2', 0, [pay('b', 40, 'check')])]);
    expect([all('b'), ...pots()]).toEqual([30, 0, 4, 2]);
    ledger.settle([settle('4', 100, [pay('a', 95)]), settle('5', 0, [pay('b', 3, 'check')])]);
    expect([all('b'), ...pots()]).toEqual([33, 1, 4, 3]);
    expect(ledger.account('ann').balance).toBe(800);
    expect(ledger.health()).toMatchObject({ healthy: true, sum: 0 });
    expect(() => ledger.settle([settle('3', 10, [pay('a', 11)])])).toThrow('paid more than its task was charged');
  });

  it('[M4] takes back what a lost session held, and honours what it says later as far as the balance covers it', () => {
    const { ledger, draw, clock } = aLedger();
    ledger.credit({ id: 'c', account: 'ann', amount: 100 });
    draw('d', 80, 80, { key: 'k' });
    ledger.settle([settle('1', 10)]);
    clock.at += GRANT_LIFE_MS - 1;
    expect([ledger.expire(), ledger.nextExpiry()]).toEqual([0, clock.at + 1]);
    clock.at += 1;
    expect([ledger.expire(), ledger.expire(), ledger.nextExpiry()]).toEqual([1, 0, null]);
    expect([ledger.account('ann'), ledger.keySpent('k')]).toEqual([{ free: 90, held: 0, balance: 90 }, 10]);
    expect(draw('again', 10, 10, { grant: 'new' })).toMatchObject({ status: 'granted' });
    expect(ledger.settle([settle('late', 70), settle('too late', 11)])).toEqual([
      { status: 'done' },
      { status: 'refused' },
    ]);
    expect(ledger.settle([{ kind: 'close', id: 'x', grant: 'g' }])).toEqual([{ status: 'done' }]);
    expect(ledger.health()).toMatchObject({ healthy: true, openGrants: 1, granted: 10, held: 10 });
  });

  it('[M4] gives a closed grant back whole, with what the session never heard of', () => {
    const { ledger, draw } = aLedger();
    ledger.credit({ id: 'c', account: 'ann', amount: 100 });
    draw('1', 20);
    draw('its reply was lost', 30);
    ledger.settle([settle('s', 5), { kind: 'close', id: 'x', grant: 'g' }]);
    expect(ledger.account('ann')).toEqual({ free: 95, held: 0, balance: 95 });
    expect(draw('2', 10)).toEqual({ status: 'over' });
  });

  it('[M9] fills somebody without an account up once a day, and does not let it grow', () => {
    const { ledger, store, clock } = aLedger();
    const draw = (id: string, need: number) =>
      ledger.draw({ id, grant: id, account: 'anon', key: null, need, want: need }, { budget: null, allowance: 100 });
    expect(draw('1', 101)).toEqual({ status: 'refused', why: 'balance', free: 100 });
    expect(draw('2', 60)).toMatchObject({ status: 'granted' });
    expect(draw('3', 60)).toMatchObject({ status: 'refused', free: 40 });
    clock.at += DAY_MS;
    expect(draw('4', 61)).toMatchObject({ status: 'refused', free: 40 });
    ledger.settle([settle('s', 60, [], '2')]);
    clock.at += DAY_MS;
    expect(draw('5', 100)).toMatchObject({ status: 'granted' });
    expect(store.statement('anon', 0, 9).map(({ kind, amount, balance }) => [kind, amount, balance])).toEqual([
      ['allowance', 100, 100],
      ['settle', -60, 40],
      ['allowance', 60, 100],
    ]);
  });

  it('keeps a statement of what came and went for good', () => {
    const { ledger, draw } = aLedger();
    ledger.credit({ id: 'c', account: 'ann', amount: 100 });
    draw('d', 50);
    ledger.settle([settle('1', 10), settle('free of charge', 0), settle('2', 15)]);
    ledger.settle([{ kind: 'close', id: 'x', grant: 'g' }]);
    const lines = ledger.statement('ann', 0, 10);
    expect(lines.map(({ kind, task, amount, balance }) => [kind, task, amount, balance])).toEqual([
      ['credit', null, 100, 100],
      ['settle', 'task of 1', -10, 90],
      ['settle', 'task of 2', -15, 75],
    ]);
    expect(ledger.statement('ann', lines[1]!.number, 10)).toEqual(lines.slice(2));
    expect(ledger.account('ann').balance).toBe(lines.at(-1)!.balance);
  });
});
