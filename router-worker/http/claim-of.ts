import { ShoalError } from '../../shared/errors.ts';
import { SLAS, type Sla } from '../allocation/fair-line.ts';
import type { Claim } from '../pool/pool-ports.ts';
import type { AppContext } from './context.ts';

/** How long a request is willing to wait for others: `fast`, `standard` or `batch`. */
const SLA_HEADER = 'shoal-sla';

/**
 * Who asks, and how urgently. Tabs are shared between the accounts that pay. `conversation` is a name that the router's keyed hash has made. Throws
 * `invalid_value` for a class that does not exist.
 */
export function claimOf(c: AppContext, account: string, conversation: string): Claim {
  return { account, sla: slaOf(c.req.header(SLA_HEADER)), conversation, allow: null, block: [] };
}

function slaOf(header: string | undefined): Sla {
  if (header === undefined) return 'standard';
  const sla = SLAS.find((one) => one === header);
  if (sla !== undefined) return sla;
  throw new ShoalError('invalid_value', `The header '${SLA_HEADER}' must be one of: ${SLAS.join(', ')}.`, {
    param: SLA_HEADER,
  });
}
