import { randomBytes, toBase64Url } from '../../shared/bytes.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import { WEBHOOK_DEADLINE_MS, type WebhookOutcome } from './send-webhook.ts';

/** Events of one session that may wait; of what comes then nobody is told, and it counts as failed. */
export const MAX_WAITING_EVENTS = 1_000;

/** Pauses before the second and later attempts, ms: some four hours in all. After the last one the event is given up. */
export const RETRY_AFTER_MS: readonly number[] = [5_000, 30_000, 120_000, 600_000, 3_600_000, 10_800_000];

/** An event is sent so long after it happened, ms: an answer that is kept with it is there by then. */
export const EVENT_AFTER_MS = 1_000;

/** Attempts at a time: a slow receiver does not hold up all others of its own session. */
const AT_ONCE = 8;

/** If the object dies during an attempt, it is made again after so long, ms. */
const LOST_AFTER_MS = 2 * WEBHOOK_DEADLINE_MS;

export type WebhookEventType = 'task.answered' | 'task.ended' | 'task.not_begun';

/** An event as it is remembered: no text of anybody. */
export interface WebhookEvent {
  /** `msg_…`, the same at every attempt: by it a receiver knows a repetition. */
  readonly id: string;
  readonly type: WebhookEventType;
  readonly tail: TaskTail;
  /** When it happened, epoch ms. */
  readonly at: number;
  readonly data: Readonly<Record<string, unknown>>;
}

/** What the owner sees of it. */
export interface WebhookCounts {
  readonly waiting: number;
  readonly delivered: number;
  readonly failed: number;
  /** Of the last attempt that came to nothing; null after one that did not. */
  readonly last_failure: string | null;
}

export interface WebhookQueuePorts {
  readonly sql: SqlStorage;
  readonly now: () => number;
  /** Something is to be done at this instant. */
  readonly wake: (at: number) => void;
  /** One attempt. Never throws. */
  readonly send: (event: WebhookEvent) => Promise<WebhookOutcome>;
}

interface EventRow extends Record<string, SqlStorageValue> {
  readonly number: number;
  readonly id: string;
  readonly type: WebhookEventType;
  readonly tail: TaskTail;
  readonly at: number;
  readonly data: string;
  /** Begun. */
  readonly attempts: number;
  readonly due_at: number;
}

/** Events that a receiver is to hear of, each until it was taken or given up. Stored before it is sent. A session without a webhook has no table. */
export class WebhookQueue {
  readonly #ports: WebhookQueuePorts;
  #isMade: boolean;
  #isSending = false;

  constructor(ports: WebhookQueuePorts) {
    this.#ports = ports;
    const query = "SELECT name FROM sqlite_master WHERE name = 'webhook_event'";
    this.#isMade = ports.sql.exec(query).toArray().length > 0;
  }

  tell(type: WebhookEventType, tail: TaskTail, data: Readonly<Record<string, unknown>>): void {
    const { sql, now, wake } = this.#ports;
    this.#make();
    if (this.counts().waiting >= MAX_WAITING_EVENTS) {
      sql.exec("UPDATE webhook_count SET failed = failed + 1, last_failure = 'too many wait'");
      return;
    }
    const at = now();
    sql.exec(
      'INSERT INTO webhook_event (id, type, tail, at, data, attempts, due_at) VALUES (?, ?, ?, ?, ?, 0, ?)',
      ...[`msg_${toBase64Url(randomBytes(16))}`, type, tail, at, JSON.stringify(data), at + EVENT_AFTER_MS],
    );
    wake(at + EVENT_AFTER_MS);
  }

  /** Makes the attempts that are due, and arms the next. One call at a time does something. Never throws. */
  async drain(): Promise<void> {
    if (!this.#isMade || this.#isSending) return;
    const { sql, now, wake } = this.#ports;
    this.#isSending = true;
    try {
      for (;;) {
        const query = 'SELECT * FROM webhook_event WHERE due_at <= ? ORDER BY due_at, number LIMIT ?';
        const due = sql.exec<EventRow>(query, now(), AT_ONCE).toArray();
        if (due.length === 0) break;
        await Promise.all(due.map((row) => this.#attempt(row)));
      }
    } finally {
      this.#isSending = false;
      const next = this.nextDueAt();
      if (next !== null) wake(next);
    }
  }

  counts(): WebhookCounts {
    if (!this.#isMade) return { waiting: 0, delivered: 0, failed: 0, last_failure: null };
    const { sql } = this.#ports;
    const { waiting } = sql.exec<{ waiting: number }>('SELECT COUNT(*) AS waiting FROM webhook_event').one();
    const query = 'SELECT delivered, failed, last_failure FROM webhook_count';
    return { waiting, ...sql.exec<{ delivered: number; failed: number; last_failure: string | null }>(query).one() };
  }

  /** Nobody is to hear of anything any more. What is on its way arrives. */
  clear(): void {
    if (this.#isMade) this.#ports.sql.exec('DELETE FROM webhook_event');
  }

  /** The next instant at which {@link drain} has something to do; null when nothing waits. */
  nextDueAt(): number | null {
    if (!this.#isMade) return null;
    return this.#ports.sql.exec<{ at: number | null }>('SELECT MIN(due_at) AS at FROM webhook_event').one().at;
  }

  async #attempt({ number, id, type, tail, at, data, attempts }: EventRow): Promise<void> {
    const { sql, now, send } = this.#ports;
    const begun = 'UPDATE webhook_event SET attempts = attempts + 1, due_at = ? WHERE number = ?';
    sql.exec(begun, now() + LOST_AFTER_MS, number);
    const outcome = await send({ id, type, tail, at, data: JSON.parse(data) as WebhookEvent['data'] });
    if (outcome.isTaken) {
      sql.exec('DELETE FROM webhook_event WHERE number = ?', number);
      sql.exec('UPDATE webhook_count SET delivered = delivered + 1, last_failure = NULL');
      return;
    }
    const pauseMs = outcome.isFinal ? undefined : RETRY_AFTER_MS[attempts];
    sql.exec('UPDATE webhook_count SET last_failure = ?', outcome.why);
    if (pauseMs !== undefined) {
      sql.exec('UPDATE webhook_event SET due_at = ? WHERE number = ?', now() + pauseMs, number);
      return;
    }
    sql.exec('DELETE FROM webhook_event WHERE number = ?', number);
    sql.exec('UPDATE webhook_count SET failed = failed + 1');
  }

  #make(): void {
    if (this.#isMade) return;
    this.#ports.sql.exec(`
      CREATE TABLE IF NOT EXISTS webhook_event (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL,
        type TEXT NOT NULL,
        tail TEXT NOT NULL,
        at INTEGER NOT NULL,
        data TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        due_at INTEGER NOT NULL
      );
      CREATE TABLE IF NOT EXISTS webhook_count (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        delivered INTEGER NOT NULL,
        failed INTEGER NOT NULL,
        last_failure TEXT
      );
      INSERT OR IGNORE INTO webhook_count (one, delivered, failed) VALUES (1, 0, 0);
    `);
    this.#isMade = true;
  }
}
