import { type MeanPay, NO_PAY } from './deposit.ts';
import { dayOf, type LedgerStore, type LedgerTotals, type Posting, type StoredTransfer } from './ledger-store.ts';
import {
  escrowAccount,
  type Grant,
  type GrantState,
  type Payee,
  type StatementLine,
  type TransferKind,
} from './transfer.ts';

interface GrantRow extends Record<string, SqlStorageValue> {
  readonly id: string;
  readonly owner: string;
  readonly key: string | null;
  readonly state: string;
  readonly remaining: number;
  readonly expires_at: number;
}

export class SqlLedgerStore implements LedgerStore {
  readonly #sql: SqlStorage;
  readonly #transact: (act: () => void) => void;

  constructor(sql: SqlStorage, transact: (act: () => void) => void) {
    this.#sql = sql;
    this.#transact = transact;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS transfer (
        id TEXT PRIMARY KEY, kind TEXT NOT NULL, task TEXT, content TEXT NOT NULL, result TEXT NOT NULL, at INTEGER NOT NULL
      ) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS entry (
        transfer TEXT NOT NULL, leg INTEGER NOT NULL, account TEXT NOT NULL, amount INTEGER NOT NULL,
        PRIMARY KEY (transfer, leg)
      ) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS balance (account TEXT PRIMARY KEY, amount INTEGER NOT NULL) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS held_grant (
        id TEXT PRIMARY KEY, owner TEXT NOT NULL, key TEXT, state TEXT NOT NULL,
        remaining INTEGER NOT NULL, expires_at INTEGER NOT NULL
      ) WITHOUT ROWID;
      CREATE INDEX IF NOT EXISTS open_grant ON held_grant (expires_at) WHERE state = 'open';
      CREATE INDEX IF NOT EXISTS owners_grant ON held_grant (owner) WHERE state = 'open';
      CREATE TABLE IF NOT EXISTS key_spend (key TEXT PRIMARY KEY, amount INTEGER NOT NULL) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS trusted (escrow TEXT PRIMARY KEY) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS mean_pay (class TEXT PRIMARY KEY, mean REAL NOT NULL, count REAL NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS payee (tab TEXT PRIMARY KEY, account TEXT NOT NULL, by_order TEXT NOT NULL) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS tab_sums (
        tab TEXT PRIMARY KEY, collected INTEGER NOT NULL, lost INTEGER NOT NULL, day INTEGER NOT NULL, earned INTEGER NOT NULL,
        step INTEGER NOT NULL
      ) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS line (
        number INTEGER PRIMARY KEY AUTOINCREMENT, owner TEXT NOT NULL, transfer TEXT NOT NULL,
        amount INTEGER NOT NULL, balance INTEGER NOT NULL
      );
      CREATE INDEX IF NOT EXISTS line_of_owner ON line (owner, number);
    `);
    // Written before the mean was weighted by amount: it was of so many answers.
    const columns = sql.exec<{ name: string }>('PRAGMA table_info(mean_pay)').toArray();
    if (!columns.some(({ name }) => name === 'at')) {
      sql.exec('ALTER TABLE mean_pay ADD COLUMN at INTEGER NOT NULL DEFAULT 0');
    }
  }

  transfer(id: string): StoredTransfer | null {
    const query = 'SELECT id, kind, task, content, result, at FROM transfer WHERE id = ?';
    type Row = { id: string; kind: string; task: string | null; content: string; result: string; at: number };
    const row = this.#sql.exec<Row>(query, id).toArray()[0];
    return row === undefined ? null : { ...row, kind: row.kind as TransferKind };
  }

  balance(account: string): number {
    return this.#number('SELECT amount AS n FROM balance WHERE account = ?', account);
  }

  grant(id: string): Grant | null {
    const row = this.#sql.exec<GrantRow>('SELECT * FROM held_grant WHERE id = ?', id).toArray()[0];
    return row === undefined ? null : grantOf(row);
  }

  expired(at: number, limit: number): Grant[] {
    const query = "SELECT * FROM held_grant WHERE state = 'open' AND expires_at <= ? ORDER BY expires_at, id LIMIT ?";
    return this.#sql.exec<GrantRow>(query, at, limit).toArray().map(grantOf);
  }

  nextExpiry(): number | null {
    const query = "SELECT MIN(expires_at) AS at FROM held_grant WHERE state = 'open'";
    return this.#sql.exec<{ at: number | null }>(query).one().at;
  }

  heldFor(owner: string): number {
    return this.#number(
      "SELECT COALESCE(SUM(remaining), 0) AS n FROM held_grant WHERE owner = ? AND state = 'open'",
      owner,
    );
  }

  keySpent(key: string): number {
    return this.#number('SELECT amount AS n FROM key_spend WHERE key = ?', key);
  }

  isTrusted(escrow: string): boolean {
    return this.#number('SELECT COUNT(*) AS n FROM trusted WHERE escrow = ?', escrow) > 0;
  }

  meanPay(classId: string): MeanPay {
    const query = 'SELECT mean, count, at FROM mean_pay WHERE class = ?';
    return this.#sql.exec<{ mean: number; count: number; at: number }>(query, classId).toArray()[0] ?? NO_PAY;
  }

  payee(tab: string): Payee | null {
    const query = 'SELECT account, by_order FROM payee WHERE tab = ?';
    const row = this.#sql.exec<{ account: string; by_order: string }>(query, tab).toArray()[0];
    return row === undefined ? null : { account: row.account, order: row.by_order };
  }

  heldBack(tab: string): number {
    return this.#number(
      'SELECT COALESCE(SUM(amount), 0) AS n FROM balance WHERE account >= ? AND account < ?',
      ...escrowsOf(tab),
    );
  }

  classesOf(tab: string): string[] {
    const query = 'SELECT account FROM balance WHERE account >= ? AND account < ? ORDER BY account';
    const rows = this.#sql.exec<{ account: string }>(query, ...escrowsOf(tab)).toArray();
    return rows.map(({ account }) => account.slice(escrowAccount(tab, '').length));
  }

  tabSums(tab: string, at: number) {
    type Row = { collected: number; lost: number; day: number; earned: number; step: number };
    const row = this.#sql.exec<Row>('SELECT * FROM tab_sums WHERE tab = ?', tab).toArray()[0];
    if (row === undefined) return { collected: 0, lost: 0, earnedToday: 0, step: 1 };
    const { collected, lost, step } = row;
    return { collected, lost, earnedToday: row.day === dayOf(at) ? row.earned : 0, step };
  }

  post({ transfer, legs, lines, grant, keySpend, trust, meanPays, payee, tabs }: Posting): void {
    this.#transact(() => {
      const { id, kind, task, content, result, at } = transfer;
      this.#sql.exec(
        'INSERT INTO transfer (id, kind, task, content, result, at) VALUES (?, ?, ?, ?, ?, ?)',
        ...[id, kind, task, content, result, at],
      );
      for (const [leg, { account, amount }] of legs.entries()) {
        this.#sql.exec(
          'INSERT INTO entry (transfer, leg, account, amount) VALUES (?, ?, ?, ?)',
          id,
          leg,
          account,
          amount,
        );
        this.#add('balance', 'account', account, amount);
      }
      for (const { owner, amount } of lines) {
        const latest = 'SELECT balance AS n FROM line WHERE owner = ? ORDER BY number DESC LIMIT 1';
        this.#sql.exec(
          'INSERT INTO line (owner, transfer, amount, balance) VALUES (?, ?, ?, ?)',
          ...[owner, id, amount, this.#number(latest, owner) + amount],
        );
      }
      if (grant !== null) {
        this.#sql.exec(
          'INSERT OR REPLACE INTO held_grant (id, owner, key, state, remaining, expires_at) VALUES (?, ?, ?, ?, ?, ?)',
          ...[grant.id, grant.account, grant.key, grant.state, grant.remaining, grant.expiresAt],
        );
      }
      if (keySpend !== null) this.#add('key_spend', 'key', keySpend.key, keySpend.amount);
      if (trust?.isTrusted === true) this.#sql.exec('INSERT OR IGNORE INTO trusted (escrow) VALUES (?)', trust.escrow);
      if (trust?.isTrusted === false) this.#sql.exec('DELETE FROM trusted WHERE escrow = ?', trust.escrow);
      for (const { class: classId, mean, count, at: paidAt } of meanPays) {
        this.#sql.exec(
          'INSERT OR REPLACE INTO mean_pay (class, mean, count, at) VALUES (?, ?, ?, ?)',
          ...[classId, mean, count, paidAt],
        );
      }
      if (payee !== null) this.#setPayee(payee.tab, payee.payee);
      for (const { tab, earned, collected, lost, step } of tabs) {
        this.#sql.exec(
          `INSERT INTO tab_sums (tab, collected, lost, day, earned, step) VALUES (?, ?, ?, ?, ?, COALESCE(?6, 1)) ON CONFLICT (tab) DO UPDATE SET
            collected = collected + excluded.collected, lost = lost + excluded.lost,
            earned = excluded.earned + CASE WHEN day = excluded.day THEN earned ELSE 0 END, day = excluded.day,
            step = COALESCE(?6, step)`,
          ...[tab, collected, lost, dayOf(at), earned, step],
        );
      }
    });
  }

  statement(owner: string, after: number, limit: number): StatementLine[] {
    type Row = Omit<StatementLine, 'kind'> & { readonly kind: string } & Record<string, SqlStorageValue>;
    const query = `SELECT number, transfer, kind, task, amount, balance, at FROM line JOIN transfer ON transfer.id = line.transfer
      WHERE owner = ? AND number > ? ORDER BY number LIMIT ?`;
    const rows = this.#sql.exec<Row>(query, owner, after, limit).toArray();
    return rows.map((row) => ({ ...row, kind: row.kind as TransferKind }));
  }

  totals(mayOwe: string): LedgerTotals {
    return {
      sum: this.#number('SELECT COALESCE(SUM(amount), 0) AS n FROM balance'),
      accounts: this.#number('SELECT COUNT(*) AS n FROM balance'),
      transfers: this.#number('SELECT COUNT(*) AS n FROM transfer'),
      overdrawn: this.#number('SELECT COUNT(*) AS n FROM balance WHERE amount < 0 AND account <> ?', mayOwe),
      openGrants: this.#number("SELECT COUNT(*) AS n FROM held_grant WHERE state = 'open'"),
      granted: this.#number("SELECT COALESCE(SUM(remaining), 0) AS n FROM held_grant WHERE state = 'open'"),
      held: this.#number(
        "SELECT COALESCE(SUM(amount), 0) AS n FROM balance WHERE account >= 'grant:' AND account < 'grant;'",
      ),
    };
  }

  #setPayee(tab: string, payee: Payee | null): void {
    if (payee === null) this.#sql.exec('DELETE FROM payee WHERE tab = ?', tab);
    else {
      this.#sql.exec(
        'INSERT OR REPLACE INTO payee (tab, account, by_order) VALUES (?, ?, ?)',
        ...[tab, payee.account, payee.order],
      );
    }
  }

  /** The one number of a query; 0 without a row. */
  #number(query: string, ...bindings: SqlStorageValue[]): number {
    return this.#sql.exec<{ n: number }>(query, ...bindings).toArray()[0]?.n ?? 0;
  }

  #add(table: 'balance' | 'key_spend', column: 'account' | 'key', name: string, amount: number): void {
    this.#sql.exec(
      `INSERT INTO ${table} (${column}, amount) VALUES (?, ?) ON CONFLICT (${column}) DO UPDATE SET amount = amount + excluded.amount`,
      ...[name, amount],
    );
  }
}

/** The first account in which something of a tab is held back, and what follows the last, as keys are ordered. */
function escrowsOf(tab: string): [string, string] {
  const first = escrowAccount(tab, '');
  return [first, `${first.slice(0, -1)}0`];
}

function grantOf(row: GrantRow): Grant {
  return {
    id: row.id,
    account: row.owner,
    key: row.key,
    state: row.state as GrantState,
    remaining: row.remaining,
    expiresAt: row.expires_at,
  };
}
