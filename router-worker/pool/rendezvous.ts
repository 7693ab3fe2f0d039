/**
 * Which of a number of pools a key belongs to: the one with the highest random weight (Thaler and Ravishankar, "Using name-based mappings to increase hit rates",
 * IEEE/ACM Transactions on Networking 6(1), 1998). With one pool more, a key stays where it is or goes to the new one.
 */

/** Most pools of a network: 32,000 tabs of 500 each. The number of a pool is part of a task's id, in these six bits. */
export const MAX_POOLS = 64;

/** The pool of this key among those with the numbers 0 … `pools` − 1. */
export function homeOf(key: string, pools: number): number {
  const seed = fnv1a(key);
  let home = 0;
  let highest = -1;
  for (let pool = 0; pool < pools; pool++) {
    const weight = mixed(seed ^ Math.imul(pool + 1, GOLDEN));
    if (weight <= highest) continue;
    highest = weight;
    home = pool;
  }
  return home;
}

/** Where the key belonged with fewer pools, and where it belongs now, the newest first: about ln(`pools`) of them, and pool 0 always among them. */
export function homesUpTo(key: string, pools: number): number[] {
  const homes = new Set<number>();
  for (let count = 1; count <= pools; count++) homes.add(homeOf(key, count));
  return [...homes].reverse();
}

/** 2³² over the golden ratio: numbers that follow each other are far apart. */
const GOLDEN = 0x9e3779b1;

/** FNV-1a of the key's UTF-16 units, 32 bits. */
function fnv1a(key: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < key.length; at++) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  return hash;
}

/** The finalizer of MurmurHash3, 32 bits: every bit of the result depends on every bit of the input. */
function mixed(bits: number): number {
  let hash = bits;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
