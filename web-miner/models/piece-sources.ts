import { piecePath, type VariantEntry } from '../../shared/classes/catalogue.ts';

/** Where a piece lies: an address, and the range of it that is the piece. */
export interface PieceAddress {
  readonly url: string;
  /** Where the piece begins in what the address names, bytes. */
  readonly offset: number;
  /** Whether the address names this piece and nothing more: then an answer without a range will do. */
  readonly isWhole: boolean;
  /** Who serves it, for a person: a host's name. */
  readonly host: string;
}

/** What went wrong with a source, and how much that says against it: a cut connection happens to anyone, a wrong byte does not. */
const WEIGHT = { failed: 1, slow: 5, no_ranges: 100, damaged: 100 } as const;
export type SourceFault = keyof typeof WEIGHT;

/** Who has the weights: the router itself when it hosts them, then the mirrors in the catalogue's order. Those with which something went wrong come last. */
export class PieceSources {
  readonly #origin: string;
  readonly #weights: VariantEntry['weights'];
  readonly #blame: number[];

  constructor(origin: string, weights: VariantEntry['weights']) {
    this.#origin = origin;
    this.#weights = weights;
    // A file may have fewer mirrors than another: the table has a row for the one with the most.
    const mirrors = Math.max(...weights.files.map((file) => file.mirrors.length));
    this.#blame = Array.from({ length: mirrors + 1 }, () => 0);
  }

  /** How many have the piece. */
  count(index: number): number {
    return this.#addresses(index).length;
  }

  /** The best source of a piece, and its number to blame it by. Null when nobody has it. */
  best(index: number): { readonly source: number; readonly address: PieceAddress } | null {
    const [best] = this.#addresses(index).toSorted((a, b) => this.#blamed(a.source) - this.#blamed(b.source));
    return best ?? null;
  }

  blame(source: number, fault: SourceFault): void {
    this.#blame[source] = this.#blamed(source) + WEIGHT[fault];
  }

  /** Whether another source of the piece is to be preferred to this one, once this one is found slow. */
  hasFaster(index: number, source: number): boolean {
    const after = this.#blamed(source) + WEIGHT.slow;
    return this.#addresses(index).some((other) => other.source !== source && this.#blamed(other.source) < after);
  }

  #blamed(source: number): number {
    return this.#blame[source] ?? 0;
  }

  #addresses(index: number): { readonly source: number; readonly address: PieceAddress }[] {
    const { sha256, pieces, files, hosted } = this.#weights;
    const found: { source: number; address: PieceAddress }[] = [];
    if (hosted) {
      const url = new URL(piecePath(sha256, index), this.#origin);
      found.push({ source: 0, address: { url: url.href, offset: 0, isWhole: true, host: url.host } });
    }
    let offset = pieces.slice(0, index).reduce((sum, piece) => sum + piece.bytes, 0);
    for (const file of files) {
      if (offset >= file.bytes) {
        offset -= file.bytes;
        continue;
      }
      const isWhole = file.bytes === pieces[index]?.bytes;
      file.mirrors.forEach((url, i) => {
        found.push({ source: i + 1, address: { url, offset, isWhole, host: new URL(url).host } });
      });
      break;
    }
    return found;
  }
}
