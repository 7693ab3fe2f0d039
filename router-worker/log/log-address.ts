import type { Env } from '../env.ts';
import type { LogObject } from './log-object.ts';

/** The one log of this network. */
export function logStub(env: Env): DurableObjectStub<LogObject> {
  return env.LOG.get(env.LOG.idFromName('log'));
}
