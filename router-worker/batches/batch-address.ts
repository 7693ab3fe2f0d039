import type { Env } from '../env.ts';
import type { BatchObject } from './batch-object.ts';

/** The object of one owner's files and batches. */
export function batchStub(env: Env, owner: string): DurableObjectStub<BatchObject> {
  return env.BATCH.get(env.BATCH.idFromName(owner));
}
