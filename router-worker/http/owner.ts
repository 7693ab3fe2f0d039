import { toBase64Url } from '../../shared/bytes.ts';
import { routerKeys } from '../keys/router-keys.ts';
import type { AppContext } from './context.ts';

/** Who calls, as far as that is known without accounts: the text that is given as `apiKey`, else the address. Never stored or logged as it is. */
export function callerOf(c: AppContext): string {
  return c.env.BATCH_LINE?.name ?? c.req.header('authorization') ?? c.req.header('cf-connecting-ip') ?? '';
}

/** Whose files, batches and idempotency keys these are: a name that nobody can guess. Whoever gives the same `apiKey` is the same owner. */
export async function ownerOf(c: AppContext): Promise<string> {
  const keys = await routerKeys(c.env.SHOAL_ROUTER_SECRET);
  return toBase64Url((await keys.mac('owner', callerOf(c))).subarray(0, 16));
}
