import { toBase64Url } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import { accountStub } from '../accounts/account-object.ts';
import { anonymousPolicy } from '../accounts/anonymous.ts';
import { readKey } from '../accounts/api-key.ts';
import { ACCOUNT_RATE, type RateTaken } from '../accounts/rate-limit.ts';
import type { Terms } from '../billing/bill.ts';
import type { Payer } from '../billing/grant.ts';
import { routerKeys } from '../keys/router-keys.ts';
import { sessionStub, unwrap } from '../pool/session-calls.ts';
import type { AppContext } from './context.ts';
import { isLocal } from './is-local.ts';
import { networkPrefix } from './network-prefix.ts';

export interface Caller {
  readonly payer: Payer;
  /** The caller's part of the names of its sessions. */
  readonly seed: string;
}

/** The text of a bearer token; null without one. */
export function bearerOf(c: AppContext): string | null {
  return /^Bearer\s+(\S+)\s*$/i.exec(c.req.header('authorization') ?? '')?.[1] ?? null;
}

/** Whether a bearer token is meant to be a key. OpenAI's clients want some text even where no key is needed. */
function isMeantAsKey(token: string): boolean {
  return token.startsWith('sk-');
}

/**
 * Who asks, and whether it may ask for this now: its key, the key's limits, its rate. Throws `invalid_api_key`, `key_not_allowed` or
 * `rate_limit_exceeded`.
 */
export async function admit(c: AppContext, model: string, tokens: number): Promise<Caller> {
  const keys = await routerKeys(c.env.SHOAL_ROUTER_SECRET);
  const token = bearerOf(c);
  if (token !== null && isMeantAsKey(token)) {
    const { account, digest } = await readKey(keys, token);
    const use = { model, origin: c.req.header('origin') ?? null };
    const { key, rate } = unwrap(await accountStub(c.env, account).admit(digest, use, ACCOUNT_RATE, tokens));
    counted(c, rate);
    const payer = { account, key: key?.id ?? null, budget: key?.budget ?? null, allowance: null };
    return { payer, seed: `${account} ${payer.key}` };
  }
  const policy = anonymousPolicy(c.env.SHOAL_ANONYMOUS, isLocal(new URL(c.req.url).hostname));
  const address = c.req.header('cf-connecting-ip') ?? '';
  const account = toBase64Url((await keys.mac('anonymous', networkPrefix(address))).subarray(0, 16));
  if (policy.rate !== null) {
    const use = { model: null, origin: null };
    counted(c, unwrap(await accountStub(c.env, account).admit(null, use, policy.rate, tokens)).rate);
  }
  const payer = { account, key: null, budget: null, allowance: policy.allowance };
  return { payer, seed: c.req.header('authorization') ?? address };
}

/** Keeps what is left for the response's headers, whatever that response is. Throws `rate_limit_exceeded`. */
function counted(c: AppContext, { state, retryMs }: RateTaken): void {
  c.set('rate', state);
  if (retryMs === null) return;
  const { requests, tokens } = state.limits;
  const what = state.remaining.requests < 1 ? `${requests} requests` : `${tokens} tokens`;
  throw new ShoalError('rate_limit_exceeded', `Rate limit reached: ${what} a minute.`, { retryAfterMs: retryMs });
}

/** Sets aside what the task can cost. Gives what takes it back if the task is never begun. Throws `insufficient_quota`. */
export async function holdFor(
  c: AppContext,
  session: string,
  task: TaskTail,
  payer: Payer,
  quote: { readonly terms: Terms; readonly amount: number },
): Promise<() => Promise<void>> {
  const stub = sessionStub(c.env, session);
  unwrap(await stub.hold({ task, payer, ...quote }));
  return async () => {
    await stub.releaseHold(task).catch(() => undefined); // Then it comes back by itself, two minutes later.
  };
}
