import type { Env } from '../env.ts';
import type { NetworkObject } from './network-object.ts';

/** The one that knows how the network is doing. */
export function networkStub(env: Env): DurableObjectStub<NetworkObject> {
  return env.NETWORK.get(env.NETWORK.idFromName('network'));
}
