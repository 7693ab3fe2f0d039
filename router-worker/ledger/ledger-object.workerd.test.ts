import { env, evictDurableObject, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test';
import { describe, expect, it } from 'vitest';
import { newAccountName } from '../accounts/api-key.ts';
import type { HoldOrder } from '../billing/cashier.ts';
import { SqlPurseStore } from '../billing/purse-store.ts';
import { PURSE_STORE_EXAM } from '../billing/purse-store-exam.ts';
import { sessionStub, unwrap } from '../pool/session-calls.ts';
import { Ledger } from './ledger.ts';
import { ledgerStub } from './ledger-address.ts';
import { LEDGER_STORE_EXAM } from './ledger-store-exam.ts';
import { SqlLedgerStore } from './sql-ledger-store.ts';

const TERMS = { prices: {}, level: 'none', wanted: 1, sla: 'standard', promptTokens: 1, tokens: 1 } as const;

function hold(task: string, account: string, amount: number): HoldOrder {
  return { task, payer: { account, key: null, budget: null, allowance: null }, amount, terms: TERMS };
}

async function anAccount(credits: number): Promise<string> {
  const account = newAccountName();
  unwrap(await ledgerStub(env).credit({ id: `credit of ${account}`, account, amount: credits }));
  return account;
}

const money = async (account: string) => unwrap(await ledgerStub(env).account(account));
const health = async () => unwrap(await ledgerStub(env).health());

describe('the SQL ledger store', () => {
  it.each(LEDGER_STORE_EXAM.map((examCase, index) => ({ ...examCase, index })))('$title', async ({ run, index }) => {
    const stub = env.LEDGER.get(env.LEDGER.idFromName(`exam ${index}`));
    await runInDurableObject(stub, (_, { storage }) =>
      run(new SqlLedgerStore(storage.sql, (act) => storage.transactionSync(act))),
    );
  });
});

/** The tables that had other columns, or were not there, before tabs were paired with accounts; and what such a ledger held. */
const BEFORE_PAIRING = `
  CREATE TABLE transfer (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, task TEXT, content TEXT NOT NULL, result TEXT NOT NULL, at INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE TABLE entry (
    transfer TEXT NOT NULL, leg INTEGER NOT NULL, account TEXT NOT NULL, amount INTEGER NOT NULL, PRIMARY KEY (transfer, leg)
  ) WITHOUT ROWID;
  CREATE TABLE balance (account TEXT PRIMARY KEY, amount INTEGER NOT NULL) WITHOUT ROWID;
  CREATE TABLE mean_pay (class TEXT PRIMARY KEY, mean REAL NOT NULL, count INTEGER NOT NULL) WITHOUT ROWID;
  INSERT INTO mean_pay VALUES ('c', 10, 20000);
  INSERT INTO balance VALUES ('network:faucet', -1000), ('user:ann', 670), ('network:fees', 30), ('tab:t', 150), ('escrow:t/c', 150);
  INSERT INTO transfer VALUES ('given', 'credit', NULL, '{"account":"ann","amount":1000}', 'null', 1);
`;

describe('a ledger of an earlier release', () => {
  it('[M1] [M6] [O7] opens with all that it held, pays, and gives what waited to whoever its tab is paired with', async () => {
    await runInDurableObject(env.LEDGER.get(env.LEDGER.idFromName('earlier')), (_, { storage }) => {
      storage.sql.exec(
        'DROP TABLE mean_pay; DROP TABLE payee; DROP TABLE tab_sums; DROP TABLE transfer; DROP TABLE entry; DROP TABLE balance;',
      );
      storage.sql.exec(BEFORE_PAIRING);
      const open = () =>
        new Ledger(new SqlLedgerStore(storage.sql, (act) => storage.transactionSync(act)), () => 1_000);
      const none = { payee: null, collected: 0, lost: 0, today: 0, step: 1 };
      expect(open().tabMoney('t')).toEqual({ ...none, waiting: 150, held: 150 });
      const ledger = open(); // Twice: what was added is there already.
      ledger.credit({ id: 'given', account: 'ann', amount: 1_000 });
      ledger.draw(
        { id: 'd', grant: 'g', account: 'ann', key: null, need: 100, want: 100 },
        { budget: null, allowance: null },
      );
      const pays = [{ tab: 't', class: 'c', role: 'answer', amount: 10 }] as const;
      expect(ledger.settle([{ kind: 'settle', id: 's', grant: 'g', task: 'x', charge: 20, pays }])).toEqual([
        { status: 'done' },
      ]);
      ledger.pair({ id: 'p', tab: 't', account: 'ben' });
      expect(ledger.tabMoney('t')).toEqual({ ...none, payee: 'ben', waiting: 0, held: 128, collected: 128, step: 64 });
      expect([ledger.account('ann').balance, ledger.account('ben').free]).toEqual([650, 128]);
      expect(ledger.health()).toMatchObject({ healthy: true, sum: 0 });
    });
  });
});

describe('the SQL purse store', () => {
  it.each(PURSE_STORE_EXAM.map((examCase, index) => ({ ...examCase, index })))('$title', async ({ run, index }) => {
    const stub = env.SESSION.get(env.SESSION.idFromName(`purse exam ${index}`));
    await runInDurableObject(stub, (_, { storage }) => run(new SqlPurseStore(storage.sql)));
  });
});

describe('the ledger object', () => {
  it('[M2] lets one of two sessions that race for the last credit win', async () => {
    const account = await anAccount(100);
    const sessions = ['one', 'two'].map((name) => sessionStub(env, `${name} of ${account}`));
    const replies = await Promise.all(sessions.map((session, i) => session.hold(hold(`race ${i}`, account, 100))));
    expect(replies.map((reply) => (reply.ok ? 'held' : reply.error.code)).sort()).toEqual([
      'held',
      'insufficient_quota',
    ]);
    expect(await money(account)).toEqual({ free: 0, held: 100, balance: 100 });
    expect(await health()).toMatchObject({ healthy: true, sum: 0 });
  });

  it('[M1] forgets nothing by eviction: the same transfer again changes nothing', async () => {
    const account = await anAccount(100);
    const order = { id: `d ${account}`, grant: `g ${account}`, account, key: null, need: 30, want: 30 };
    const first = await ledgerStub(env).draw(order, { budget: null, allowance: null });
    await evictDurableObject(ledgerStub(env));
    expect(await ledgerStub(env).draw(order, { budget: null, allowance: null })).toEqual(first);
    expect(await ledgerStub(env).draw({ ...order, want: 31 }, { budget: null, allowance: null })).toMatchObject({
      ok: false,
      error: { code: 'transfer_conflict' },
    });
    expect(await money(account)).toEqual({ free: 70, held: 30, balance: 100 });
  });

  it('[M4] gives grants of lost sessions back by its alarm', async () => {
    const account = await anAccount(100);
    const order = { id: `d ${account}`, grant: `g ${account}`, account, key: null, need: 30, want: 30 };
    unwrap(await ledgerStub(env).draw(order, { budget: null, allowance: null }));
    await runInDurableObject(ledgerStub(env), async (_, { storage }) => {
      expect(await storage.getAlarm()).toBeGreaterThan(Date.now());
      storage.sql.exec('UPDATE held_grant SET expires_at = 1 WHERE id = ?', order.grant);
    });
    await runDurableObjectAlarm(ledgerStub(env));
    expect(await money(account)).toEqual({ free: 100, held: 0, balance: 100 });
    expect(await health()).toMatchObject({ healthy: true, sum: 0 });
  });
});

describe('the money of a session object', () => {
  it('[M3] survives eviction, and is spent without the ledger while the grant suffices', async () => {
    const account = await anAccount(1_000);
    const session = sessionStub(env, `session of ${account}`);
    unwrap(await session.hold(hold('first', account, 100)));
    const drawn = (await money(account)).held;
    expect(drawn).toBe(125); // An eighth of what is there.
    await evictDurableObject(session);
    unwrap(await session.hold(hold('first', account, 100)));
    unwrap(await session.hold(hold('second', account, 25)));
    expect((await money(account)).held).toBe(drawn);
    unwrap(await session.releaseHold('first'));
    unwrap(await session.hold(hold('third', account, 90)));
    expect((await money(account)).held).toBe(drawn);
  });

  it('[M4] goes back to its owner when it is not used', async () => {
    const account = await anAccount(1_000);
    const session = sessionStub(env, `idle session of ${account}`);
    unwrap(await session.hold(hold('first', account, 100)));
    await runInDurableObject(session, async (_, { storage }) => {
      expect(await storage.getAlarm()).toBeGreaterThan(Date.now());
      storage.sql.exec("UPDATE purse SET state = json_set(state, '$.holds[0].at', 1, '$.usedAt', 1)");
    });
    await runDurableObjectAlarm(session); // The task was never begun: its hold is released.
    await runInDurableObject(session, (_, { storage }) => {
      storage.sql.exec("UPDATE purse SET state = json_set(state, '$.usedAt', 1)");
    });
    await runDurableObjectAlarm(session);
    expect(await money(account)).toEqual({ free: 1_000, held: 0, balance: 1_000 });
    await runInDurableObject(session, (_, { storage }) => {
      expect(storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 'purse'").toArray().length).toBeLessThan(2);
    });
  });
});
