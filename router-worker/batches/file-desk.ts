import { type Bytes, randomBytes, toBase64Url } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import { type FileObject, type ListPage, listPage } from './batch-api.ts';
import { MAX_FILE_BYTES, MAX_FILES, MAX_OWNED_BYTES, PIECE_BYTES, UPLOAD_DEADLINE_MS } from './batch-limits.ts';
import type { FilePart, ListQuery, SqlFileStore, StoredFile } from './file-store.ts';

/** 128 random bits: whoever does not own a file cannot name it. */
export const newFileId = () => `file-${toBase64Url(randomBytes(16))}`;

/** Files of one owner: taken piece by piece, handed out piece by piece, and gone when deleted or when their time is over. */
export class FileDesk {
  readonly #store: SqlFileStore;
  readonly #now: () => number;

  constructor(store: SqlFileStore, now: () => number) {
    this.#store = store;
    this.#now = now;
  }

  /** Begins an upload. Throws `storage_full`. */
  begin(): string {
    const usage = this.#store.usage();
    if (usage.files >= MAX_FILES) {
      throw new ShoalError('storage_full', `There are ${MAX_FILES} files already: delete some.`);
    }
    if (usage.bytes >= MAX_OWNED_BYTES) throw full();
    const at = this.#now();
    const id = newFileId();
    this.#store.create({
      id,
      purpose: 'batch',
      filename: '',
      createdAt: at,
      expiresAt: at + UPLOAD_DEADLINE_MS,
    });
    return id;
  }

  /** The next piece of an upload: `PIECE_BYTES`, and less only at its end. Throws `file_not_found`, `body_too_large` or `storage_full`. */
  write(id: string, number: number, data: Bytes): void {
    const file = this.#store.find(id);
    if (file?.state !== 'open') throw noFile();
    if (file.bytes !== number * PIECE_BYTES) throw new ShoalError('internal_error', 'A piece is missing.');
    if (file.bytes + data.byteLength > MAX_FILE_BYTES) throw tooLarge();
    if (this.#store.usage().bytes + data.byteLength > MAX_OWNED_BYTES) throw full();
    this.#store.writePiece(id, number, data);
  }

  /** The upload is whole, and can be read from now on. */
  finish(id: string, named: { readonly filename: string; readonly keptMs: number }): FileObject {
    const file = this.#store.find(id);
    if (file?.state !== 'open') throw noFile();
    const expiresAt = file.createdAt + named.keptMs;
    this.#store.seal(id, { filename: named.filename, purpose: 'batch', expiresAt });
    return this.find(id);
  }

  /** The upload broke off, or turned out to be none. */
  abandon(id: string): void {
    if (this.#store.find(id)?.state === 'open') this.#store.remove(id);
  }

  /** Throws `file_not_found`. */
  find(id: string): FileObject {
    return viewOf(this.#ready(id));
  }

  /** Throws `file_not_found` for an `after` that is no file. */
  list(query: ListQuery & { readonly purpose: string | null }): ListPage<FileObject> {
    if (query.after !== null) this.#ready(query.after);
    const { files, more } = this.#store.list(query);
    return listPage(files.map(viewOf), more);
  }

  /** Part of a file, from this piece on. Throws `file_not_found`. */
  read(id: string, from: number): FilePart {
    this.#ready(id);
    return this.#store.read(id, from);
  }

  /** Throws `file_not_found`. */
  remove(id: string): void {
    this.#ready(id);
    this.#store.remove(id);
  }

  #ready(id: string): StoredFile {
    const file = this.#store.find(id);
    if (file?.state !== 'ready' || file.expiresAt <= this.#now()) throw noFile();
    return file;
  }
}

export function tooLarge(): ShoalError {
  return new ShoalError('file_too_large', `The file is longer than ${MAX_FILE_BYTES} bytes.`, { param: 'file' });
}

function full(): ShoalError {
  return new ShoalError('storage_full', `Your files have ${MAX_OWNED_BYTES} bytes already: delete some.`);
}

export function noFile(): ShoalError {
  return new ShoalError('file_not_found', 'There is no file with this id.');
}

function viewOf({ id, bytes, createdAt, expiresAt, filename, purpose }: StoredFile): FileObject {
  return {
    id,
    object: 'file',
    bytes,
    created_at: Math.floor(createdAt / 1000),
    expires_at: Math.floor(expiresAt / 1000),
    filename,
    purpose,
    status: 'processed',
  };
}
