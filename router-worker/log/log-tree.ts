import { emptyRoot, nodeHash } from '../../shared/receipt-log/merkle-tree.ts';

/**
 * Roots and proofs of RFC 9162 §2.1 from a store of complete subtrees. A node (level, index) is the root of the 2^level entries from index × 2^level on; it is written
 * once, when its last entry comes, and never changes. Each of these functions reads O(log n) nodes.
 */
export type ReadNode = (level: number, index: number) => Uint8Array;

export interface TreeNode {
  readonly level: number;
  readonly index: number;
  readonly hash: Uint8Array;
}

/** The nodes that become complete with the next leaves. `before`: entries so far. */
export async function nodesOfAppend(
  read: ReadNode,
  before: number,
  leaves: readonly Uint8Array[],
): Promise<readonly TreeNode[]> {
  const added = new Map<string, TreeNode>();
  const nodeAt = (level: number, index: number) => added.get(`${level}/${index}`)?.hash ?? read(level, index);
  for (const [i, leaf] of leaves.entries()) {
    let node: TreeNode = { level: 0, index: before + i, hash: leaf };
    added.set(`${node.level}/${node.index}`, node);
    while (node.index % 2 === 1) {
      const { level, index } = node;
      const hash: Uint8Array = await nodeHash(nodeAt(level, index - 1), node.hash);
      node = { level: level + 1, index: (index - 1) / 2, hash };
      added.set(`${node.level}/${node.index}`, node);
    }
  }
  return [...added.values()];
}

/** MTH(D[n]) for the first `size` entries. */
export function rootOfSize(read: ReadNode, size: number): Promise<Uint8Array> {
  return size === 0 ? emptyRoot() : rangeRoot(read, 0, size);
}

/** PATH(m, D[n]) of §2.1.3.1, from the leaf upwards. `index` < `size`. */
export async function inclusionPath(read: ReadNode, index: number, size: number): Promise<readonly Uint8Array[]> {
  const path: Uint8Array[] = [];
  let from = 0;
  let count = size;
  while (count > 1) {
    const left = splitOf(count);
    if (index < from + left) {
      path.unshift(await rangeRoot(read, from + left, count - left));
      count = left;
    } else {
      path.unshift(await rangeRoot(read, from, left));
      from += left;
      count -= left;
    }
  }
  return path;
}

/** PROOF(m, D[n]) of §2.1.4.1. 0 ≤ `earlier` ≤ `later`; empty where nothing needs a proof. */
export async function consistencyPath(read: ReadNode, earlier: number, later: number): Promise<readonly Uint8Array[]> {
  if (earlier === 0 || earlier === later) return [];
  const path: Uint8Array[] = [];
  let from = 0;
  let first = earlier;
  let count = later;
  while (first !== count) {
    const left = splitOf(count);
    if (first <= left) {
      path.unshift(await rangeRoot(read, from + left, count - left));
      count = left;
    } else {
      path.unshift(await rangeRoot(read, from, left));
      from += left;
      first -= left;
      count -= left;
    }
  }
  // The earlier tree itself, unless it is a node that its own root stands for.
  if (from > 0) path.unshift(await rangeRoot(read, from, count));
  return path;
}

/** Root of `count` entries from `from` on, where the tree splits there: complete subtrees from left to right, joined from the right. */
async function rangeRoot(read: ReadNode, from: number, count: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let at = from;
  let left = count;
  while (left > 0) {
    const level = Math.floor(Math.log2(left));
    const step = 2 ** level;
    parts.push(read(level, at / step));
    at += step;
    left -= step;
  }
  let root = parts.pop() ?? (await emptyRoot());
  for (const part of parts.toReversed()) root = await nodeHash(part, root);
  return root;
}

/** The largest power of two smaller than `count` > 1. */
function splitOf(count: number): number {
  return 2 ** Math.floor(Math.log2(count - 1));
}
