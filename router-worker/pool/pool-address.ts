import type { Env } from '../env.ts';
import type { PoolObject } from './pool-object.ts';

/** Name of a pool's object by its number. The first one is called as when it was the only one: a network keeps its records. */
export function poolName(pool: number): string {
  return pool === 0 ? 'pool' : `pool-${pool}`;
}

/** A pool of this network. Where there are several, they know each other by number. */
export function poolStub(env: Pick<Env, 'POOL'>, pool = 0): DurableObjectStub<PoolObject> {
  return env.POOL.get(env.POOL.idFromName(poolName(pool)));
}
