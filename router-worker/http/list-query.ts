import { ShoalError } from '../../shared/errors.ts';
import type { AppContext } from './context.ts';

/** `limit` and `after` of a list. Throws `invalid_value`. */
export function listQuery(c: AppContext, limits: { readonly most: number; readonly usual: number }) {
  const { limit = String(limits.usual), after = null } = c.req.query();
  const count = /^\d{1,6}$/.test(limit) ? Number(limit) : 0;
  if (count < 1 || count > limits.most) {
    throw new ShoalError('invalid_value', `The limit must be 1 to ${limits.most}.`, { param: 'limit' });
  }
  return { limit: count, after: after === '' ? null : after } as const;
}
