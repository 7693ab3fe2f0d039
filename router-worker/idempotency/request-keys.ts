import { type Bytes, toBytes } from '../../shared/bytes.ts';
import { MAX_MAP_MS } from '../../shared/limits.ts';

/** How long a key is remembered, ms: longer than anybody tries again. */
export const KEY_KEPT_MS = 24 * 60 * 60 * 1000;

/**
 * How long a request may run before its key is free again, ms: the longest document, and the checks of its last answer. Only a Worker that died without a word needs it.
 */
export const KEY_RUNS_MS = MAX_MAP_MS + 20 * 60 * 1000;

/** Most keys of one owner: beyond, the oldest are forgotten. */
export const MAX_KEYS = 10_000;

/** Largest response that is kept, and all of one owner's, bytes: beyond, the oldest are dropped, and their keys only name their tasks. */
export const MAX_KEPT_RESPONSE_BYTES = 1024 * 1024;
export const MAX_KEPT_BYTES = 64 * 1024 * 1024;

/** What is remembered of a response. */
export interface KeptResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Null: it was not asked to be kept, or is not any more. */
  readonly body: Bytes | null;
}

/** What a request with a key is to do. */
export type Admission =
  /** It is the first, or the one before came to nothing. */
  | { readonly do: 'run' }
  | { readonly do: 'refuse'; readonly why: 'other_body' }
  /** The first one runs; `task` as soon as it is known. */
  | { readonly do: 'refuse'; readonly why: 'running'; readonly task: string | null }
  | { readonly do: 'replay'; readonly task: string | null; readonly response: KeptResponse };

interface KeyRow extends Record<string, SqlStorageValue> {
  request: string;
  until: number;
  task: string | null;
  response: string | null;
  body: ArrayBuffer | null;
}

/** Idempotency keys of one owner, by digest. A request that succeeded is not run again under its key; one that failed left no trace. */
export class RequestKeys {
  readonly #sql: SqlStorage;
  readonly #now: () => number;
  readonly #most: number;

  constructor(sql: SqlStorage, now: () => number, most = MAX_KEYS) {
    this.#sql = sql;
    this.#now = now;
    this.#most = most;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS request_key (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        digest TEXT NOT NULL UNIQUE,
        request TEXT NOT NULL,
        until INTEGER NOT NULL,
        task TEXT,
        response TEXT,
        body BLOB
      );
    `);
  }

  /** `request`: digest of what is asked. */
  admit(digest: string, request: string): Admission {
    const at = this.#now();
    this.forget(at);
    const query = 'SELECT request, until, task, response, body FROM request_key WHERE digest = ?';
    const row = this.#sql.exec<KeyRow>(query, digest).toArray()[0];
    if (row === undefined) {
      this.#makeRoom();
      const insert = 'INSERT INTO request_key (digest, request, until) VALUES (?, ?, ?)';
      this.#sql.exec(insert, digest, request, at + KEY_RUNS_MS);
      return { do: 'run' };
    }
    if (row.request !== request) return { do: 'refuse', why: 'other_body' };
    if (row.response === null) return { do: 'refuse', why: 'running', task: row.task };
    const told = JSON.parse(row.response) as Omit<KeptResponse, 'body'>;
    return { do: 'replay', task: row.task, response: { ...told, body: row.body === null ? null : toBytes(row.body) } };
  }

  /** The task of a running request has its name. */
  named(digest: string, task: string): void {
    this.#sql.exec('UPDATE request_key SET task = ? WHERE digest = ? AND response IS NULL', task, digest);
  }

  succeeded(digest: string, { status, headers, body }: KeptResponse): void {
    const isKept = body !== null && body.byteLength <= MAX_KEPT_RESPONSE_BYTES;
    this.#sql.exec(
      'UPDATE request_key SET response = ?, body = ?, until = ? WHERE digest = ?',
      ...[JSON.stringify({ status, headers }), isKept ? body : null, this.#now() + KEY_KEPT_MS, digest],
    );
    if (isKept) this.#dropOldBodies();
  }

  /** It came to nothing: the next request with this key runs. */
  failed(digest: string): void {
    this.#sql.exec('DELETE FROM request_key WHERE digest = ? AND response IS NULL', digest);
  }

  forget(at: number): void {
    this.#sql.exec('DELETE FROM request_key WHERE until <= ?', at);
  }

  nextDueAt(): number | null {
    return this.#sql.exec<{ at: number | null }>('SELECT MIN(until) AS at FROM request_key').one().at;
  }

  #makeRoom(): void {
    const { count } = this.#sql.exec<{ count: number }>('SELECT COUNT(*) AS count FROM request_key').one();
    const surplus = count - this.#most + 1;
    if (surplus <= 0) return;
    const oldest = 'SELECT number FROM request_key ORDER BY response IS NULL, number LIMIT ?';
    this.#sql.exec(`DELETE FROM request_key WHERE number IN (${oldest})`, surplus);
  }

  #dropOldBodies(): void {
    const kept = this.#sql
      .exec<{ number: number; bytes: number }>(
        'SELECT number, LENGTH(body) AS bytes FROM request_key WHERE body IS NOT NULL ORDER BY number DESC',
      )
      .toArray();
    let total = 0;
    for (const { number, bytes } of kept) {
      total += bytes;
      if (total > MAX_KEPT_BYTES) this.#sql.exec('UPDATE request_key SET body = NULL WHERE number = ?', number);
    }
  }
}
