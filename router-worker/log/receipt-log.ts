import { type Bytes, fromBase64Url, toBase64Url } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import type {
  ConsistencyResponse,
  EntriesResponse,
  InclusionResponse,
  LogHead,
} from '../../shared/receipt-log/log-api.ts';
import { leafHash } from '../../shared/receipt-log/merkle-tree.ts';
import type { Signed, Signer } from '../../shared/signing/signed-statement.ts';
import type { LogStore } from './log-store.ts';
import { consistencyPath, inclusionPath, nodesOfAppend, type ReadNode, rootOfSize } from './log-tree.ts';

/** The append-only log of receipts. Holds digests only. Knows neither SQL nor the clock. */
export class ReceiptLog {
  readonly #store: LogStore;
  readonly #signer: Signer;
  readonly #now: () => number;
  readonly #read: ReadNode;
  /** Appends follow one another: each is hashed before it is written, and hashing yields. */
  #tail: Promise<unknown> = Promise.resolve();

  constructor(store: LogStore, signer: Signer, now: () => number) {
    this.#store = store;
    this.#signer = signer;
    this.#now = now;
    this.#read = (level, index) => store.node(level, index);
  }

  /** Entries of 32 bytes. One that is in the log already stays where it is, so a call whose reply was lost may be made again. */
  append(entries: readonly Uint8Array[]): Promise<void> {
    const done = this.#tail.then(() => this.#append(entries));
    this.#tail = done.catch(() => undefined);
    return done;
  }

  async #append(entries: readonly Uint8Array[]): Promise<void> {
    const distinct = new Map(entries.map((entry) => [toBase64Url(entry), entry]));
    const fresh = [...distinct.values()].filter((entry) => this.#store.indexOf(entry) === null);
    if (fresh.length === 0) return;
    const leaves = await Promise.all(fresh.map(leafHash));
    this.#store.append(fresh, await nodesOfAppend(this.#read, this.#store.size(), leaves));
  }

  async head(): Promise<Signed> {
    return this.#sign(this.#store.size());
  }

  /** Entries in their order, from this number on. */
  entries(from: number, limit: number): EntriesResponse {
    const entries = this.#store.entries(from, limit).map(toBase64Url);
    return { from, size: this.#store.size(), entries };
  }

  /** Throws `receipt_pending`. */
  async inclusion(entry: string): Promise<InclusionResponse> {
    const index = this.#store.indexOf(fromBase64Url(entry));
    if (index === null) {
      throw new ShoalError('receipt_pending', 'The receipt is not in the log yet.', { retryAfterMs: 5_000 });
    }
    const size = this.#store.size();
    const path = await inclusionPath(this.#read, index, size);
    return { index, path: path.map(toBase64Url), head: await this.#sign(size) };
  }

  /** `to` null: the log as it is. Throws `invalid_value` for sizes that the log never had. */
  async consistency(from: number, to: number | null): Promise<ConsistencyResponse> {
    const size = this.#store.size();
    const later = to ?? size;
    if (later > size) throw tooLarge('to', size);
    if (from > later) throw tooLarge('from', later);
    const path = await consistencyPath(this.#read, from, later);
    return { from, to: later, path: path.map(toBase64Url) };
  }

  /** Nodes never change, so a root can be computed while the log grows. */
  async #sign(size: number): Promise<Signed> {
    const root: Bytes = new Uint8Array(await rootOfSize(this.#read, size));
    const head: LogHead = { v: 1, size, root: toBase64Url(root), at: this.#now() };
    return this.#signer.sign('log-head', JSON.stringify(head));
  }
}

function tooLarge(param: string, most: number): ShoalError {
  return new ShoalError('invalid_value', `'${param}' is larger than ${most}.`, { param });
}
