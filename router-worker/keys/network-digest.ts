import { toBase64Url } from '../../shared/bytes.ts';
import { networkPrefix } from './network-prefix.ts';
import type { RouterKeys } from './router-keys.ts';

/** Tabs behind one prefix may well belong to one person. Only a keyed digest of it is kept. */
export async function networkDigest(keys: RouterKeys, address: string): Promise<string> {
  return toBase64Url((await keys.mac('network', networkPrefix(address))).subarray(0, 12));
}
