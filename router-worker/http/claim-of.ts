import { ShoalError } from '../../shared/errors.ts';
import { ANYWHERE } from '../../shared/protocol/placement.ts';
import type { SessionSettings } from '../../shared/protocol/session-api.ts';
import { SLAS, type Sla } from '../allocation/fair-line.ts';
import type { Claim } from '../pool/pool-ports.ts';
import type { AppContext } from './context.ts';

/** How long a request is willing to wait for others: `fast`, `standard` or `batch`. */
const SLA_HEADER = 'shoal-sla';

/**
 * Who asks, how urgently, and which tabs may read it. Tabs are shared between the accounts that pay. `conversation` is a name that the router's keyed hash has
 * made; `settings` are those of a session that was set up. Throws `invalid_value` for a class that does not exist.
 */
export function claimOf(
  c: AppContext,
  account: string,
  conversation: string,
  settings: SessionSettings | null = null,
): Claim {
  const { allow, block } = settings?.placement ?? ANYWHERE;
  return { account, sla: slaOf(c, settings), conversation, allow, block, bindsCheckers: settings !== null };
}

/** The class of the header, else the session's. Throws `invalid_value` for one that does not exist. */
export function slaOf(c: AppContext, settings: SessionSettings | null): Sla {
  const header = c.req.header(SLA_HEADER);
  if (header === undefined) return settings?.sla ?? 'standard';
  const sla = SLAS.find((one) => one === header);
  if (sla !== undefined) return sla;
  throw new ShoalError('invalid_value', `The header '${SLA_HEADER}' must be one of: ${SLAS.join(', ')}.`, {
    param: SLA_HEADER,
  });
}
