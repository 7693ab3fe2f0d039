import { ShoalError } from '../../shared/errors.ts';
import type { Env } from '../env.ts';
import type { RouterKeys } from '../keys/router-keys.ts';
import { poolStub } from './pool-address.ts';
import { knownPools, learnPools, POOLS_HEADER, TAB_HEADER } from './pool-count.ts';
import { homesUpTo } from './rendezvous.ts';
import { homeKeyOf } from './tab-home.ts';

/** Whom a socket is for: named before it proves anything. */
export interface SocketOf {
  /** Null: an older tab, which does not say. It has its place in pool 0, as long as there is no other. */
  readonly tab: string | null;
  /** Whether it still works on something that a pool gave it before its socket dropped. */
  readonly isWorking: boolean;
}

/** Pools that are asked one after the other whether a socket is theirs: more than a tab has ever had. */
const MOST_HOPS = 16;

/** A pool that has too many tabs: when it may take more, ms. */
const FULL_RETRY_MS = 30_000;

/**
 * Opens a tab's socket in the pool where it belongs. A pool that knows of more pools than this Worker says so, and the next one is asked; a tab that dropped its socket at work goes
 * back to where it works. Throws `overloaded` where the pool takes no more.
 */
export async function openTabSocket(
  env: Env,
  keys: RouterKeys,
  request: Request,
  { tab, isWorking }: SocketOf,
): Promise<Response> {
  if (tab === null) {
    request.headers.delete(TAB_HEADER);
    request.headers.set(POOLS_HEADER, '1');
    return taken(await poolStub(env).fetch(request));
  }
  const homeKey = await homeKeyOf(keys, tab);
  request.headers.set(TAB_HEADER, tab);
  const refused = new Set<number>();
  for (let hop = 0; hop < MOST_HOPS; hop++) {
    const pools = await knownPools(env);
    const homes = homesUpTo(homeKey, pools);
    const [home = 0, ...former] = homes;
    const next = [...(isWorking ? former : []), home].find((pool) => !refused.has(pool));
    if (next === undefined) break;
    request.headers.set(POOLS_HEADER, String(pools));
    const response = await poolStub(env, next).fetch(request);
    if (response.status !== 421) return taken(response);
    refused.add(next);
    learnPools(Number(response.headers.get(POOLS_HEADER) ?? pools));
  }
  throw full(); // The number of pools changes just now.
}

function taken(response: Response): Response {
  if (response.status === 503) throw full();
  return response;
}

function full(): ShoalError {
  return new ShoalError('overloaded', 'The network has as many tabs as it can take at the moment.', {
    retryAfterMs: FULL_RETRY_MS,
  });
}
