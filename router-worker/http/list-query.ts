import { ShoalError } from '../../shared/errors.ts';
import type { AppContext } from './context.ts';

/** `limit`, `order` and `after` of a list. Throws `invalid_value`. */
export function listQuery(c: AppContext, limits: { readonly most: number; readonly usual: number }) {
  const { limit = String(limits.usual), order = 'desc', after = null } = c.req.query();
  const count = /^\d{1,6}$/.test(limit) ? Number(limit) : 0;
  if (count < 1 || count > limits.most) {
    throw new ShoalError('invalid_value', `The limit must be 1 to ${limits.most}.`, { param: 'limit' });
  }
  if (order !== 'asc' && order !== 'desc') {
    throw new ShoalError('invalid_value', "The order is 'asc' or 'desc'.", { param: 'order' });
  }
  return { limit: count, order, after: after === '' ? null : after } as const;
}
