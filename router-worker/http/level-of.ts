import * as v from 'valibot';
import { ShoalError } from '../../shared/errors.ts';
import { LEVEL_HEADER, LEVELS, type Level, level, levelInHeader, strongest } from '../../shared/protocol/level.ts';
import type { AppContext } from './context.ts';

/** The level of a request that names none, in its body or header. */
const DEFAULT_LEVEL: Level = 'basic';

/**
 * The level of a request: what it asks for, and no less than the header and the operator (`SHOAL_LEVEL_FLOOR`) want. Throws `invalid_value`, or
 * `router_not_configured` for an operator's floor that is no level.
 */
export function levelOf(c: AppContext, asked: Level | null): Level {
  const header = levelInHeader(c.req.header(LEVEL_HEADER));
  const floor = c.env.SHOAL_LEVEL_FLOOR ?? null;
  if (floor !== null && !v.is(level, floor)) {
    throw new ShoalError('router_not_configured', `SHOAL_LEVEL_FLOOR must be one of: ${LEVELS.join(', ')}.`);
  }
  return strongest(asked ?? (header === null ? DEFAULT_LEVEL : null), header, floor);
}
