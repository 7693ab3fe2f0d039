import { randomBytes, toBase64Url } from '../../shared/bytes.ts';
import type { Standing } from '../../shared/checking/standing.ts';
import type { StandingOrder } from '../ledger/transfer.ts';

/** Orders that are handed to the ledger in one call. */
const BATCH = 100;

/** After a call that failed, ms. */
const RETRY_MS = 30_000;

/**
 * Tells the ledger how tabs stand: what was held back of their pay is released, or lost. An order is written down before it is sent, and repeated under the same id
 * until the ledger has taken it.
 */
export class StandingOutbox {
  readonly #sql: SqlStorage;
  readonly #send: (orders: readonly StandingOrder[]) => Promise<unknown>;
  #draining = false;

  constructor(sql: SqlStorage, send: (orders: readonly StandingOrder[]) => Promise<unknown>) {
    this.#sql = sql;
    this.#send = send;
    sql.exec('CREATE TABLE IF NOT EXISTS standing_order (number INTEGER PRIMARY KEY, state TEXT NOT NULL)');
  }

  /** Of a finding: the only way into quarantine is a lie that was proven. */
  changed(tab: string, classId: string, standing: Standing): void {
    const isFraud = standing === 'quarantined' || standing === 'banned';
    const order: StandingOrder = {
      id: `standing:${toBase64Url(randomBytes(16))}`,
      tab,
      class: classId,
      standing: isFraud ? 'fraud' : standing === 'trusted' ? 'trusted' : 'untrusted',
    };
    this.#sql.exec('INSERT INTO standing_order (state) VALUES (?)', JSON.stringify(order));
    void this.drain();
  }

  /** What the ledger has not taken yet of this tab: it goes along when the tab's records move, under the same ids. */
  waitingOf(tab: string): StandingOrder[] {
    const rows = this.#sql.exec<{ state: string }>('SELECT state FROM standing_order ORDER BY number').toArray();
    return rows.map(({ state }) => JSON.parse(state) as StandingOrder).filter((order) => order.tab === tab);
  }

  /** Sends these too, after what waits: whoever had them before may send them as well, and the ledger takes each once. */
  take(orders: readonly StandingOrder[]): void {
    for (const order of orders) {
      this.#sql.exec('INSERT INTO standing_order (state) VALUES (?)', JSON.stringify(order));
    }
    if (orders.length > 0) void this.drain();
  }

  /** Sends what waits, in its order. Never throws: what could not be sent is sent later. */
  async drain(): Promise<void> {
    if (this.#draining) return;
    this.#draining = true;
    try {
      for (let batch = this.#waiting(); batch.length > 0; batch = this.#waiting()) {
        await this.#send(batch.map(({ order }) => order));
        for (const { number } of batch) this.#sql.exec('DELETE FROM standing_order WHERE number = ?', number);
      }
    } catch (cause) {
      console.error(JSON.stringify({ event: 'ledger_unreachable', reason: String(cause) }));
      setTimeout(() => void this.drain(), RETRY_MS); // If this object is gone by then, its next start sends it.
    } finally {
      this.#draining = false;
    }
  }

  #waiting(): { readonly number: number; readonly order: StandingOrder }[] {
    const query = 'SELECT number, state FROM standing_order ORDER BY number LIMIT ?';
    const rows = this.#sql.exec<{ number: number; state: string }>(query, BATCH).toArray();
    return rows.map(({ number, state }) => ({ number, order: JSON.parse(state) as StandingOrder }));
  }
}
