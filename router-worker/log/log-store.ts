import { type Bytes, toBytes } from '../../shared/bytes.ts';
import type { TreeNode } from './log-tree.ts';

/** What the log keeps: synchronous, and append-only. */
export interface LogStore {
  size(): number;
  /** Throws when the subtree is not complete. */
  node(level: number, index: number): Bytes;
  /** Number of an entry, counted from 0; null when it is not in the log. */
  indexOf(entry: Uint8Array): number | null;
  entries(from: number, limit: number): Bytes[];
  /** Writes entries and the nodes that become complete with them at once. Throws, and writes nothing, when one is there already. */
  append(entries: readonly Uint8Array[], nodes: readonly TreeNode[]): void;
}

export class SqlLogStore implements LogStore {
  readonly #sql: SqlStorage;
  readonly #transact: (act: () => void) => void;

  constructor(sql: SqlStorage, transact: (act: () => void) => void) {
    this.#sql = sql;
    this.#transact = transact;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS entry (number INTEGER PRIMARY KEY, digest BLOB NOT NULL UNIQUE);
      CREATE TABLE IF NOT EXISTS node (
        level INTEGER NOT NULL,
        number INTEGER NOT NULL,
        hash BLOB NOT NULL,
        PRIMARY KEY (level, number)
      ) WITHOUT ROWID;
    `);
  }

  size(): number {
    const row = this.#sql.exec<{ size: number | null }>('SELECT MAX(number) + 1 AS size FROM entry').toArray()[0];
    return row?.size ?? 0;
  }

  node(level: number, index: number): Bytes {
    const query = 'SELECT hash FROM node WHERE level = ? AND number = ?';
    return toBytes(this.#sql.exec<{ hash: ArrayBuffer }>(query, level, index).one().hash);
  }

  indexOf(entry: Uint8Array): number | null {
    const query = 'SELECT number FROM entry WHERE digest = ?';
    return this.#sql.exec<{ number: number }>(query, toBytes(entry)).toArray()[0]?.number ?? null;
  }

  entries(from: number, limit: number): Bytes[] {
    const query = 'SELECT digest FROM entry WHERE number >= ? ORDER BY number LIMIT ?';
    return this.#sql
      .exec<{ digest: ArrayBuffer }>(query, from, limit)
      .toArray()
      .map(({ digest }) => toBytes(digest));
  }

  append(entries: readonly Uint8Array[], nodes: readonly TreeNode[]): void {
    this.#transact(() => {
      const size = this.size();
      for (const [i, entry] of entries.entries()) {
        this.#sql.exec('INSERT INTO entry (number, digest) VALUES (?, ?)', size + i, toBytes(entry));
      }
      for (const { level, index, hash } of nodes) {
        this.#sql.exec('INSERT INTO node (level, number, hash) VALUES (?, ?, ?)', level, index, toBytes(hash));
      }
    });
  }
}
