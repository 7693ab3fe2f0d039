import { type Bytes, toBase64Url, toBytes } from '../../shared/bytes.ts';
import type { LogStore } from '../log/log-store.ts';
import type { TreeNode } from '../log/log-tree.ts';

/** A log store for tests without workerd. Sits the same exam as the SQL one, and counts what is read. */
export class MemoryLogStore implements LogStore {
  readonly #entries: Bytes[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #nodes = new Map<string, Bytes>();
  reads = 0;

  size(): number {
    return this.#entries.length;
  }

  node(level: number, index: number): Bytes {
    this.reads++;
    const hash = this.#nodes.get(`${level}/${index}`);
    if (hash === undefined) throw new Error(`node ${level}/${index} is not complete`);
    return hash;
  }

  indexOf(entry: Uint8Array): number | null {
    return this.#numbers.get(toBase64Url(entry)) ?? null;
  }

  entries(from: number, limit: number): Bytes[] {
    return this.#entries.slice(from, from + limit);
  }

  append(entries: readonly Uint8Array[], nodes: readonly TreeNode[]): void {
    const texts = entries.map(toBase64Url);
    if (new Set(texts).size < texts.length || texts.some((text) => this.#numbers.has(text))) {
      throw new Error('an entry is in the log already');
    }
    for (const [i, entry] of entries.entries()) {
      this.#numbers.set(texts[i] ?? '', this.#entries.length);
      this.#entries.push(toBytes(entry));
    }
    for (const { level, index, hash } of nodes) this.#nodes.set(`${level}/${index}`, toBytes(hash));
  }
}
