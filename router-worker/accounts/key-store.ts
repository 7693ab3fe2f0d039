import type { KeyRecord } from './key-record.ts';

/** The keys of one account: synchronous. Revoked ones stay, so that a statement can name them. */
export interface KeyStore {
  byDigest(digest: string): KeyRecord | null;
  byId(id: string): KeyRecord | null;
  /** In the order in which they were first saved. */
  all(): KeyRecord[];
  save(key: KeyRecord): void;
}

export class SqlKeyStore implements KeyStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS api_key (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, digest TEXT NOT NULL UNIQUE, state TEXT NOT NULL
      );
    `);
  }

  byDigest(digest: string): KeyRecord | null {
    return this.#one('SELECT state FROM api_key WHERE digest = ?', digest);
  }

  byId(id: string): KeyRecord | null {
    return this.#one('SELECT state FROM api_key WHERE id = ?', id);
  }

  all(): KeyRecord[] {
    const rows = this.#sql.exec<{ state: string }>('SELECT state FROM api_key ORDER BY number').toArray();
    return rows.map(({ state }) => readRecord(state));
  }

  save(key: KeyRecord): void {
    this.#sql.exec(
      'INSERT INTO api_key (id, digest, state) VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET state = excluded.state',
      ...[key.id, key.digest, JSON.stringify(key)],
    );
  }

  #one(query: string, name: string): KeyRecord | null {
    const row = this.#sql.exec<{ state: string }>(query, name).toArray()[0];
    return row === undefined ? null : readRecord(row.state);
  }
}

/** A limit that did not exist when a key was kept does not hold for it. */
function readRecord(state: string): KeyRecord {
  const kept = JSON.parse(state) as Omit<KeyRecord, 'level'> & Partial<Pick<KeyRecord, 'level'>>;
  return { ...kept, level: kept.level ?? null };
}
