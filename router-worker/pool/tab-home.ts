import { toBase64Url } from '../../shared/bytes.ts';
import type { RouterKeys } from '../keys/router-keys.ts';

/** What a tab's place among the pools is reckoned from: keyed, so that nobody makes identities that meet in one pool and check each other. */
export async function homeKeyOf(keys: RouterKeys, identity: string): Promise<string> {
  return toBase64Url((await keys.mac('tab-home', identity)).subarray(0, 12));
}
