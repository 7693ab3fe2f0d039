import { MAX_POOLS } from './rendezvous.ts';

/**
 * Sockets from which a pool is too full. A pool is one thread: every message of every tab goes through it, and every request looks at all its tabs.
 */
export const POOL_SOCKETS = 500;
/** A pool that has so many times as many takes no more: the network has as many pools as it can have, or grew faster than its tabs can move. */
const MOST_TIMES = 4;
/** Pools are that full on average: what falls to one by chance is then too much for none (500 sockets are five deviations above 400). */
const FILL = 0.8;

/** `soft`: from here on another pool is wanted; `most`: nobody else is let in. The operator may set the first. */
export function socketLimit(env: { readonly SHOAL_POOL_SOCKETS?: string }): {
  readonly soft: number;
  readonly most: number;
} {
  const set = Number(env.SHOAL_POOL_SOCKETS ?? POOL_SOCKETS);
  const soft = Number.isSafeInteger(set) && set > 0 ? set : POOL_SOCKETS;
  return { soft, most: MOST_TIMES * soft };
}

/** As many pools as these sockets need. */
export function poolsFor(sockets: number, soft: number): number {
  return Math.min(MAX_POOLS, Math.max(1, Math.ceil(sockets / (FILL * soft))));
}
