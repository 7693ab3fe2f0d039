import { toBase64Url } from '../../shared/bytes.ts';
import { routerKeys } from '../keys/router-keys.ts';
import { accountOf } from './admission.ts';
import type { AppContext } from './context.ts';

/**
 * Whose files, batches and idempotency keys these are: a name that nobody can guess. All keys of an account are one owner; without a key it is whoever gives the
 * same text as `apiKey`, else the address, never stored or logged as it is. Throws `invalid_api_key` or `key_not_allowed`.
 */
export async function ownerOf(c: AppContext): Promise<string> {
  const line = c.env.BATCH_LINE;
  if (line !== undefined) return line.owner;
  const account = await accountOf(c);
  const caller = c.req.header('authorization') ?? c.req.header('cf-connecting-ip') ?? '';
  const keys = await routerKeys(c.env.SHOAL_ROUTER_SECRET);
  const owner = await keys.mac('owner', account === null ? caller : `account ${account}`);
  return toBase64Url(owner.subarray(0, 16));
}
