import { ANYWHERE } from '../../shared/protocol/placement.ts';
import { AllPools } from '../pool/all-pools.ts';
import type { AppContext } from './context.ts';
import type { NamedSession } from './named-session.ts';
import type { VerifiedRequest } from './verify-request.ts';

/**
 * Number of the pool that is to have the task of a request. `prefer`: a tab that its client has a link to. `known`: how many pools there are; a Worker that has just started has to ask,
 * and does while it reads the request.
 */
export async function choosePool(
  c: AppContext,
  { variants, level, checks, tokens }: VerifiedRequest,
  named: NamedSession | null,
  conversation: string,
  prefer: string | null,
  known: Promise<number>,
): Promise<number> {
  const classes = variants.map(({ class: id }) => id);
  const placement = named?.settings.placement ?? ANYWHERE;
  const want = { ...placement, conversation, classes, level, checks, tokens: tokens.completion };
  const [best] = await new AllPools(c.env).place(want, prefer, known);
  return best?.pool ?? 0;
}
