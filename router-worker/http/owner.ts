import { toBase64Url } from '../../shared/bytes.ts';
import { isLocal } from '../../shared/is-local.ts';
import { anonymousPolicy } from '../accounts/anonymous.ts';
import { networkPrefix } from '../keys/network-prefix.ts';
import { routerKeys } from '../keys/router-keys.ts';
import { accountOf } from './admission.ts';
import type { AppContext } from './context.ts';

/**
 * Whose files, batches and idempotency keys these are: a name that nobody can guess. All keys of an account are one owner; without a key it is whoever gives the
 * same text as `apiKey` from the same network, never stored or logged as it is: many give `none`. Throws `invalid_api_key` or `key_not_allowed`.
 */
export async function ownerOf(c: AppContext): Promise<string> {
  const line = c.env.BATCH_LINE;
  if (line !== undefined) return line.owner;
  const account = await accountOf(c);
  const keys = await routerKeys(c.env.SHOAL_ROUTER_SECRET);
  const owner = await keys.mac('owner', account === null ? anonymous(c) : `account ${account}`);
  return toBase64Url(owner.subarray(0, 16));
}

/** Throws where a key is needed. */
function anonymous(c: AppContext): string {
  anonymousPolicy(c.env.SHOAL_ANONYMOUS, isLocal(new URL(c.req.url).hostname));
  const network = networkPrefix(c.req.header('cf-connecting-ip') ?? '');
  return `network ${network} ${c.req.header('authorization') ?? ''}`;
}
