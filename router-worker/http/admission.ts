import { toBase64Url } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import { isLocal } from '../../shared/is-local.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Level } from '../../shared/protocol/level.ts';
import { accountStub } from '../accounts/account-object.ts';
import { anonymousPolicy } from '../accounts/anonymous.ts';
import { type AccountName, readKey } from '../accounts/api-key.ts';
import type { KeyRecord } from '../accounts/key-record.ts';
import { ACCOUNT_RATE, type RateTaken } from '../accounts/rate-limit.ts';
import type { Terms } from '../billing/bill.ts';
import type { HoldOrder } from '../billing/cashier.ts';
import type { Payer } from '../billing/grant.ts';
import type { Holding } from '../billing/holding.ts';
import { networkPrefix } from '../keys/network-prefix.ts';
import { routerKeys } from '../keys/router-keys.ts';
import { callSession, sessionStub, unwrap } from '../pool/session-calls.ts';
import type { AppContext } from './context.ts';

export interface Caller {
  readonly payer: Payer;
  /** The caller's part of the names of its sessions. */
  readonly seed: string;
  /** Least level of its key; null: any. */
  readonly floor: Level | null;
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
 * Who asks, and whether it may ask for this now: its key, the key's limits, its rate. `model` null: for none in particular. Throws `invalid_api_key`, `key_not_allowed` or
 * `rate_limit_exceeded`.
 */
export async function admit(c: AppContext, model: string | null, tokens: number): Promise<Caller> {
  const line = c.env.BATCH_LINE;
  if (line !== undefined) {
    // A batch goes at its own pace. But its key may have been revoked since, and the models are named by its lines.
    const { account, key } = line.payer;
    const record = key === null ? null : unwrap(await accountStub(c.env, account).mayStillRun(key, model));
    return { payer: line.payer, seed: line.name, floor: record?.level ?? null };
  }
  const keys = await routerKeys(c.env.SHOAL_ROUTER_SECRET);
  const token = bearerOf(c);
  if (token !== null && isMeantAsKey(token)) {
    const { account, digest } = await readKey(keys, token);
    const use = { model, origin: c.req.header('origin') ?? null };
    const { key, rate } = unwrap(await accountStub(c.env, account).admit(digest, use, ACCOUNT_RATE, tokens));
    counted(c, rate);
    const payer = { account, key: key?.id ?? null, budget: key?.budget ?? null, allowance: null };
    return { payer, seed: `${account} ${payer.key}`, floor: key?.level ?? null };
  }
  const policy = anonymousPolicy(c.env.SHOAL_ANONYMOUS, isLocal(new URL(c.req.url).hostname));
  const address = c.req.header('cf-connecting-ip') ?? '';
  const account = toBase64Url((await keys.mac('anonymous', networkPrefix(address))).subarray(0, 16));
  if (policy.rate !== null) {
    const use = { model: null, origin: null };
    counted(c, unwrap(await accountStub(c.env, account).admit(null, use, policy.rate, tokens)).rate);
  }
  const payer = { account, key: null, budget: null, allowance: policy.allowance };
  return { payer, seed: c.req.header('authorization') ?? address, floor: null };
}

/** The account behind a key, which is verified; null for whoever asks without one. Throws `invalid_api_key` or `key_not_allowed`. */
export async function accountOf(c: AppContext): Promise<AccountName | null> {
  return (await keyOf(c))?.account ?? null;
}

/** Least level of the key of a request that is only quoted; null without one. Throws `invalid_api_key` or `key_not_allowed`. */
export async function floorOfKey(c: AppContext): Promise<Level | null> {
  return (await keyOf(c))?.key.level ?? null;
}

async function keyOf(c: AppContext): Promise<{ readonly account: AccountName; readonly key: KeyRecord } | null> {
  const token = bearerOf(c);
  if (token === null || !isMeantAsKey(token)) return null;
  const { account, digest } = await readKey(await routerKeys(c.env.SHOAL_ROUTER_SECRET), token);
  const use = { model: null, origin: c.req.header('origin') ?? null };
  return { account, key: unwrap(await accountStub(c.env, account).authenticate(digest, use)) };
}

/** Keeps what is left for the response's headers, whatever that response is. Throws `rate_limit_exceeded`. */
function counted(c: AppContext, { state, retryMs }: RateTaken): void {
  c.set('rate', state);
  if (retryMs === null) return;
  const { requests, tokens } = state.limits;
  const what = state.remaining.requests < 1 ? `${requests} requests` : `${tokens} tokens`;
  throw new ShoalError('rate_limit_exceeded', `Rate limit reached: ${what} a minute.`, { retryAfterMs: retryMs });
}

/** What the last hold of a payer left at hand, micro-credits, as this isolate knows it. Of the balance a session takes an eighth, so there is usually much more. */
const spare = new Map<string, number>();
const MAX_SPARE = 10_000;

/**
 * Sets aside what the task can cost. Waits for it, and throws what refuses it, unless the payer's last hold left as much at hand: then a tab is looked for meanwhile,
 * and whoever delivers to it waits for `held` first. `wordMs`: of a part, see the purse's holds.
 */
export async function holdFor(
  c: AppContext,
  session: string,
  task: TaskTail,
  payer: Payer,
  quote: { readonly terms: Terms; readonly amount: number },
  wordMs: number | null = null,
): Promise<Holding> {
  const held = hold(c, session, { task, payer, ...quote, ...(wordMs !== null && { wordMs }) });
  if ((spare.get(purseOf(payer)) ?? 0) < quote.amount) await held;
  held.catch(() => undefined); // Whoever delivers hears of it.
  const release = async () => {
    await sessionStub(c.env, session)
      .releaseHold(task)
      .catch(() => undefined); // Then it comes back by itself, two minutes later.
  };
  return { held, release };
}

async function hold(c: AppContext, session: string, order: HoldOrder): Promise<void> {
  const purse = purseOf(order.payer);
  try {
    const left = await callSession(c.env, session, (stub) => stub.hold(order));
    if (spare.size >= MAX_SPARE) spare.clear();
    spare.set(purse, left);
  } catch (cause) {
    spare.delete(purse);
    throw cause;
  }
}

const purseOf = ({ account, key }: Payer) => `${account} ${key ?? ''}`;
