import type { Env } from '../env.ts';
import { poolStub } from './pool-address.ts';

/** Between Worker and pool, on a tab's socket: how many pools there are, as far as whoever says it knows; and the identity that the socket is opened for. */
export const POOLS_HEADER = 'shoal-pools';
export const TAB_HEADER = 'shoal-tab';

/** How many pools this Worker has heard of; null when it has heard of none. It may be behind: then requests are spread less evenly, and are served all the same. */
let known: number | null = null;
let heardAt = 0;

/** After this time, ms, whoever wants to see all pools asks how many there are. */
const HEARD_FOR_MS = 10_000;

/** A pool said how many there are. They never get fewer. */
export function learnPools(pools: number): void {
  known = Math.max(known ?? 1, pools);
  heardAt = Date.now();
}

/** Whether this Worker heard of the pools a while ago. */
export function isLongSinceHeard(): boolean {
  return Date.now() - heardAt > HEARD_FOR_MS;
}

/** How many pools there are, as far as this Worker knows; the first time it asks. Never rejects: a pool that cannot be asked is the only one. */
export async function knownPools(env: Pick<Env, 'POOL'>): Promise<number> {
  return known ?? askPools(env);
}

/** Asks anew. Never rejects. */
export async function askPools(env: Pick<Env, 'POOL'>): Promise<number> {
  try {
    learnPools(await poolStub(env).pools());
  } catch (cause) {
    console.error(JSON.stringify({ event: 'pool_unreachable', reason: String(cause) }));
  }
  return known ?? 1;
}
