import type { Env } from '../env.ts';
import type { PoolObject } from './pool-object.ts';

/** The one pool of this network. Splitting by socket count comes with the thousandth tab. */
export function poolStub(env: Env): DurableObjectStub<PoolObject> {
  return env.POOL.get(env.POOL.idFromName('pool'));
}
