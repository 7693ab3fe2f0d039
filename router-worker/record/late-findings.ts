import type { Finding, Role, Source } from './record.ts';

/** What was found of a tab by the pool that it has left. */
export interface LateFinding {
  readonly tab: string;
  readonly class: string;
  readonly finding: Finding;
  readonly role: Role;
  readonly source: Source;
}

/** Its number among those of the pool that sends it: each is taken down once. */
export interface NumberedFinding extends LateFinding {
  readonly number: number;
}

/** After a call that failed, ms. */
const RETRY_MS = 30_000;
/** After so long, ms, a pool that was handed records has written them. */
const SETTLED_MS = 5_000;
/** Findings that are handed on in one go. */
const BATCH = 100;

/**
 * What checks find of tabs whose records are in another pool by now: it follows them, each finding once, whatever dies on the way. A lie is not forgotten because
 * its tab moved before it was found out.
 */
export class LateFindings {
  readonly #sql: SqlStorage;
  readonly #send: (finding: NumberedFinding) => Promise<boolean>;
  #draining = false;

  /** `send`: to the pool that has the records; false when it does not have them yet. */
  constructor(sql: SqlStorage, send: (finding: NumberedFinding) => Promise<boolean>) {
    this.#sql = sql;
    this.#send = send;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS late_finding (number INTEGER PRIMARY KEY AUTOINCREMENT, state TEXT NOT NULL);
      CREATE TABLE IF NOT EXISTS heard_finding (pool INTEGER NOT NULL, tab TEXT NOT NULL, number INTEGER NOT NULL, PRIMARY KEY (pool, tab)) WITHOUT ROWID;
    `);
  }

  add(finding: LateFinding): void {
    this.#sql.exec('INSERT INTO late_finding (state) VALUES (?)', JSON.stringify(finding));
    void this.drain();
  }

  /** Whether a finding of another pool is news here. Asked once of each: it counts as heard then. */
  isNews(pool: number, { tab, number }: Pick<NumberedFinding, 'tab' | 'number'>): boolean {
    const query = 'SELECT number FROM heard_finding WHERE pool = ? AND tab = ?';
    const heard = this.#sql.exec<{ number: number }>(query, pool, tab).toArray()[0]?.number ?? 0;
    if (number <= heard) return false;
    this.#sql.exec('INSERT OR REPLACE INTO heard_finding (pool, tab, number) VALUES (?, ?, ?)', pool, tab, number);
    return true;
  }

  /** Looks again in a while, if anything waits: the records are just being handed over. */
  drainLater(): void {
    if (this.#waiting(0).length > 0) setTimeout(() => void this.drain(), SETTLED_MS);
  }

  /** Sends what waits. Never throws: what could not be sent is sent later; what the other pool has no records for yet, when the tab moves, or at the next start. */
  async drain(): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    let isBroken = false;
    /** Whose records are not there yet: what follows of the same tab waits too, or it would count as heard. */
    const left = new Set<string>();
    try {
      for (let after = 0; ; ) {
        const waiting = this.#waiting(after);
        if (waiting.length === 0) break;
        for (const finding of waiting) {
          after = finding.number;
          if (left.has(finding.tab)) continue;
          if (await this.#send(finding)) this.#sql.exec('DELETE FROM late_finding WHERE number = ?', finding.number);
          else left.add(finding.tab);
        }
      }
    } catch (cause) {
      console.error(JSON.stringify({ event: 'pool_unreachable', reason: String(cause) }));
      isBroken = true;
    } finally {
      this.#draining = false;
    }
    if (isBroken) setTimeout(() => void this.drain(), RETRY_MS); // If this object is gone by then, its next start sends it.
  }

  #waiting(after: number): NumberedFinding[] {
    const query = 'SELECT number, state FROM late_finding WHERE number > ? ORDER BY number LIMIT ?';
    const rows = this.#sql.exec<{ number: number; state: string }>(query, after, BATCH).toArray();
    return rows.map(({ number, state }) => ({ ...(JSON.parse(state) as LateFinding), number }));
  }
}
