import { ShoalError } from '../../shared/errors.ts';
import { MAX_SESSIONS_PER_OWNER } from '../../shared/limits.ts';

/** Ids of the sessions that one owner has set up. The sessions themselves know everything else. Synchronous, in the SQL of its object. */
export class SessionList {
  readonly #sql: SqlStorage;
  readonly #now: () => number;
  /** Whether there is a table: whoever only looks, under whatever name, leaves nothing behind. */
  #isMade: boolean;

  constructor(sql: SqlStorage, now: () => number) {
    this.#sql = sql;
    this.#now = now;
    this.#isMade = sql.exec("SELECT name FROM sqlite_master WHERE name = 'listed'").toArray().length > 0;
  }

  #make(): void {
    this.#sql.exec(
      'CREATE TABLE IF NOT EXISTS listed (seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, expires_at INTEGER NOT NULL)',
    );
    this.#isMade = true;
  }

  /** Throws `too_many_sessions`. */
  add(id: string, expiresAt: number): void {
    this.#make();
    this.prune();
    const [row] = this.#sql.exec<{ count: number }>('SELECT COUNT(*) AS count FROM listed').toArray();
    if ((row?.count ?? 0) >= MAX_SESSIONS_PER_OWNER) {
      throw new ShoalError(
        'too_many_sessions',
        `You have set up ${MAX_SESSIONS_PER_OWNER} sessions: no more at a time.`,
      );
    }
    this.#sql.exec('INSERT OR IGNORE INTO listed (id, expires_at) VALUES (?, ?)', id, expiresAt);
  }

  renew(id: string, expiresAt: number): void {
    if (this.#isMade) this.#sql.exec('UPDATE listed SET expires_at = ? WHERE id = ?', expiresAt, id);
  }

  remove(ids: readonly string[]): void {
    if (!this.#isMade) return;
    for (const id of ids) this.#sql.exec('DELETE FROM listed WHERE id = ?', id);
  }

  /** The newest first. Throws `session_not_found` for an `after` that is not among them. */
  page(after: string | null, limit: number): { readonly ids: string[]; readonly more: boolean } {
    let before = Number.MAX_SAFE_INTEGER;
    if (after !== null) {
      const [row] = this.#isMade
        ? this.#sql.exec<{ seq: number }>('SELECT seq FROM listed WHERE id = ?', after).toArray()
        : [];
      if (row === undefined) {
        throw new ShoalError('session_not_found', 'You have no session with this id.', { param: 'after' });
      }
      before = row.seq;
    }
    if (!this.#isMade) return { ids: [], more: false };
    const query = 'SELECT id FROM listed WHERE seq < ? AND expires_at > ? ORDER BY seq DESC LIMIT ?';
    const rows = this.#sql.exec<{ id: string }>(query, before, this.#now(), limit + 1).toArray();
    return { ids: rows.slice(0, limit).map(({ id }) => id), more: rows.length > limit };
  }

  /** Forgets what has expired. Gives the next instant at which there is something to forget; null when the list is empty. */
  prune(): number | null {
    if (!this.#isMade) return null;
    this.#sql.exec('DELETE FROM listed WHERE expires_at <= ?', this.#now());
    const [row] = this.#sql.exec<{ at: number | null }>('SELECT MIN(expires_at) AS at FROM listed').toArray();
    return row?.at ?? null;
  }
}
