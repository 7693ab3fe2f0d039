import { type Bytes, equalBytes, sha256 } from '../bytes.ts';

/**
 * The Merkle tree of RFC 9162 §2.1 (the one of RFC 6962), over SHA-256:
 *
 *   root of nothing = SHA-256("")      leaf = SHA-256(0x00 ‖ entry)      node = SHA-256(0x01 ‖ left ‖ right)
 *
 * A tree of n entries splits at the largest power of two smaller than n. So a complete subtree never changes once it is full, which is why a log that only
 * grows can be proved to have only grown. No kept library runs in Node, workerd and browsers alike; this is the RFC's arithmetic, tested against its recursive
 * definitions.
 */

/** Longest proof that is read, hashes: a tree of 2⁵³ entries needs no more than twice its height. */
export const MAX_PROOF_HASHES = 106;

const LEAF = new Uint8Array([0]);
const NODE = new Uint8Array([1]);

export function emptyRoot(): Promise<Bytes> {
  return sha256();
}

export function leafHash(entry: Uint8Array): Promise<Bytes> {
  return sha256(LEAF, entry);
}

export function nodeHash(left: Uint8Array, right: Uint8Array): Promise<Bytes> {
  return sha256(NODE, left, right);
}

/** Tree sizes and indexes go beyond 32 bits, so they are halved as numbers instead of shifted. */
const half = (n: number) => Math.floor(n / 2);
const isOdd = (n: number) => n % 2 === 1;

export interface InclusionClaim {
  readonly leaf: Uint8Array;
  /** Which entry the leaf is, counted from 0, in the tree of `size` entries with this root. */
  readonly index: number;
  readonly size: number;
  readonly root: Uint8Array;
  readonly path: readonly Uint8Array[];
}

/** RFC 9162 §2.1.3.2. False for anything that is no proof; never throws. */
export async function provesInclusion({ leaf, index, size, root, path }: InclusionClaim): Promise<boolean> {
  if (!isSize(index) || !isSize(size) || index >= size || path.length > MAX_PROOF_HASHES) return false;
  let first = index;
  let last = size - 1;
  let hash: Uint8Array = leaf;
  for (const sibling of path) {
    if (last === 0) return false;
    if (isOdd(first) || first === last) {
      hash = await nodeHash(sibling, hash);
      while (!isOdd(first) && first !== 0) {
        first = half(first);
        last = half(last);
      }
    } else {
      hash = await nodeHash(hash, sibling);
    }
    first = half(first);
    last = half(last);
  }
  return last === 0 && equalBytes(hash, root);
}

export interface ConsistencyClaim {
  readonly from: { readonly size: number; readonly root: Uint8Array };
  readonly to: { readonly size: number; readonly root: Uint8Array };
  readonly path: readonly Uint8Array[];
}

/**
 * RFC 9162 §2.1.4.2: whether the later tree begins with all entries of the earlier one, unchanged. Every tree begins with the empty one. False for anything that is no
 * proof; never throws.
 */
export async function provesConsistency({ from, to, path }: ConsistencyClaim): Promise<boolean> {
  if (!isSize(from.size) || !isSize(to.size) || from.size > to.size || path.length > MAX_PROOF_HASHES) return false;
  if (from.size === 0) return path.length === 0 && equalBytes(from.root, await emptyRoot());
  if (from.size === to.size) return path.length === 0 && equalBytes(from.root, to.root);
  // A complete earlier tree is a node of the later one: its root is the first hash, and left out of the path.
  const [begin, ...rest] = isPowerOfTwo(from.size) ? [from.root, ...path] : path;
  if (begin === undefined) return false;
  let first = from.size - 1;
  let last = to.size - 1;
  while (isOdd(first)) {
    first = half(first);
    last = half(last);
  }
  let earlier: Uint8Array = begin;
  let later: Uint8Array = begin;
  for (const hash of rest) {
    if (last === 0) return false;
    if (isOdd(first) || first === last) {
      earlier = await nodeHash(hash, earlier);
      later = await nodeHash(hash, later);
      while (!isOdd(first) && first !== 0) {
        first = half(first);
        last = half(last);
      }
    } else {
      later = await nodeHash(later, hash);
    }
    first = half(first);
    last = half(last);
  }
  return last === 0 && equalBytes(earlier, from.root) && equalBytes(later, to.root);
}

/** The root of all these entries, for whoever has read the whole log. */
export async function rootOf(entries: readonly Uint8Array[]): Promise<Bytes> {
  if (entries.length === 0) return emptyRoot();
  let level: Bytes[] = await Promise.all(entries.map(leafHash));
  while (level.length > 1) {
    const above: Promise<Bytes>[] = [];
    for (let i = 0; i < level.length; i += 2) {
      const [left, right] = [level[i], level[i + 1]];
      if (left !== undefined) above.push(right === undefined ? Promise.resolve(left) : nodeHash(left, right));
    }
    level = await Promise.all(above);
  }
  return level[0] ?? emptyRoot();
}

function isSize(n: number): boolean {
  return Number.isSafeInteger(n) && n >= 0;
}

/** Exact where a logarithm would round: sizes may be close to 2⁵³. */
function isPowerOfTwo(n: number): boolean {
  let odd = n;
  while (odd > 1 && !isOdd(odd)) odd = half(odd);
  return odd === 1;
}
