import { type Bytes, concatBytes, toBytes } from '../../shared/bytes.ts';
import { PIECE_BYTES } from './batch-limits.ts';

export type FilePurpose = 'batch' | 'batch_output';

export interface StoredFile {
  readonly id: string;
  /** `open`: being written, and nobody's to read. */
  readonly state: 'open' | 'ready';
  readonly purpose: FilePurpose;
  readonly filename: string;
  readonly bytes: number;
  readonly createdAt: number;
  readonly expiresAt: number;
}

interface FileRow extends Record<string, SqlStorageValue> {
  id: string;
  state: 'open' | 'ready';
  purpose: FilePurpose;
  filename: string;
  bytes: number;
  created_at: number;
  expires_at: number;
}

export interface ListQuery {
  readonly limit: number;
  readonly order: 'asc' | 'desc';
  /** Id after which the page begins; null: at the first. */
  readonly after: string | null;
}

/** Some pieces of a file, and where to go on; `next` is null at the end. */
export interface FilePart {
  readonly bytes: Bytes;
  readonly next: number | null;
}

/** A file that is written by line has room for so many pieces under each line's number. */
const PIECES_A_LINE = 4096;

/** Files of one owner. Their content lies in pieces, ordered by number; deleted, nothing of it is left. */
export class SqlFileStore {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS file (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        state TEXT NOT NULL,
        purpose TEXT NOT NULL,
        filename TEXT NOT NULL,
        bytes INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL
      );
      CREATE INDEX IF NOT EXISTS file_expiry ON file (expires_at);
      CREATE TABLE IF NOT EXISTS piece (
        file TEXT NOT NULL,
        number INTEGER NOT NULL,
        data BLOB NOT NULL,
        UNIQUE (file, number)
      );
    `);
  }

  create(file: Omit<StoredFile, 'bytes' | 'state'>): void {
    this.#sql.exec(
      `INSERT INTO file (id, state, purpose, filename, bytes, created_at, expires_at) VALUES (?, 'open', ?, ?, 0, ?, ?)`,
      ...[file.id, file.purpose, file.filename, file.createdAt, file.expiresAt],
    );
  }

  find(id: string): StoredFile | null {
    const row = this.#sql.exec<FileRow>('SELECT * FROM file WHERE id = ?', id).toArray()[0];
    return row === undefined ? null : fileOf(row);
  }

  /** The next piece of an upload, in order: all but the last have `PIECE_BYTES`. */
  writePiece(id: string, number: number, data: Bytes): void {
    this.#sql.exec('INSERT INTO piece (file, number, data) VALUES (?, ?, ?)', id, number, data);
    this.#sql.exec('UPDATE file SET bytes = bytes + ? WHERE id = ?', data.byteLength, id);
  }

  /** Adds the row of a line to a file that is sorted by line, in whatever order they come. */
  writeLine(id: string, line: number, data: Bytes): void {
    for (let at = 0, part = 0; at < data.byteLength; at += PIECE_BYTES, part++) {
      this.writePiece(id, line * PIECES_A_LINE + part, toBytes(data.slice(at, at + PIECE_BYTES)));
    }
  }

  seal(id: string, named: Pick<StoredFile, 'filename' | 'purpose' | 'expiresAt'>): void {
    const { filename, purpose, expiresAt } = named;
    const query = `UPDATE file SET state = 'ready', filename = ?, purpose = ?, expires_at = ? WHERE id = ?`;
    this.#sql.exec(query, filename, purpose, expiresAt, id);
  }

  remove(id: string): void {
    this.#sql.exec('DELETE FROM piece WHERE file = ?', id);
    this.#sql.exec('DELETE FROM file WHERE id = ?', id);
  }

  /** Of readable files, and whether there are more. */
  list(query: ListQuery & { readonly purpose: string | null }): {
    readonly files: StoredFile[];
    readonly more: boolean;
  } {
    const { limit, order, after, purpose } = query;
    const rows = this.#sql
      .exec<FileRow>(
        `SELECT * FROM file WHERE state = 'ready' AND (? IS NULL OR purpose = ?)
          AND (? IS NULL OR number ${order === 'asc' ? '>' : '<'} (SELECT number FROM file WHERE id = ?))
          ORDER BY number ${order === 'asc' ? 'ASC' : 'DESC'} LIMIT ?`,
        ...[purpose, purpose, after, after, limit + 1],
      )
      .toArray();
    return { files: rows.slice(0, limit).map(fileOf), more: rows.length > limit };
  }

  /** Of all files, those that are being written too. */
  usage(): { readonly files: number; readonly bytes: number } {
    return this.#sql
      .exec<{ files: number; bytes: number }>('SELECT COUNT(*) AS files, COALESCE(SUM(bytes), 0) AS bytes FROM file')
      .one();
  }

  /** Pieces from `from` on, in order, up to about `PIECE_BYTES`. */
  read(id: string, from: number): FilePart {
    const query = 'SELECT number, data FROM piece WHERE file = ? AND number >= ? ORDER BY number';
    const parts: Bytes[] = [];
    let total = 0;
    for (const { number, data } of this.#sql.exec<{ number: number; data: ArrayBuffer }>(query, id, from)) {
      if (total > 0 && total + data.byteLength > PIECE_BYTES) return { bytes: concatBytes(...parts), next: number };
      parts.push(toBytes(data));
      total += data.byteLength;
    }
    return { bytes: concatBytes(...parts), next: null };
  }

  /** Pieces of an upload from the one that holds this byte on. The first begins with that byte. */
  *piecesFrom(id: string, offset: number): Generator<Bytes, void, undefined> {
    let skip = offset % PIECE_BYTES;
    for (let number = Math.floor(offset / PIECE_BYTES); ; number++) {
      const query = 'SELECT data FROM piece WHERE file = ? AND number = ?';
      const row = this.#sql.exec<{ data: ArrayBuffer }>(query, id, number).toArray()[0];
      if (row === undefined) return;
      yield toBytes(row.data).subarray(skip);
      skip = 0;
    }
  }

  /** These bytes of an upload; fewer when it ends before. */
  readRange(id: string, offset: number, length: number): Bytes {
    const parts: Bytes[] = [];
    let missing = length;
    for (const piece of this.piecesFrom(id, offset)) {
      parts.push(piece.subarray(0, missing));
      missing -= Math.min(missing, piece.byteLength);
      if (missing === 0) break;
    }
    return concatBytes(...parts);
  }

  /** Ids of files whose time is over. */
  expired(at: number): string[] {
    const rows = this.#sql.exec<{ id: string }>('SELECT id FROM file WHERE expires_at <= ?', at).toArray();
    return rows.map(({ id }) => id);
  }

  nextExpiryAt(): number | null {
    return this.#sql.exec<{ at: number | null }>('SELECT MIN(expires_at) AS at FROM file').one().at;
  }
}

function fileOf(row: FileRow): StoredFile {
  const { id, state, purpose, filename, bytes } = row;
  return { id, state, purpose, filename, bytes, createdAt: row.created_at, expiresAt: row.expires_at };
}
