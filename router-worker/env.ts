import type { AccountObject } from './accounts/account-object.ts';
import type { PairingObject } from './accounts/pairing-object.ts';
import type { BatchObject } from './batches/batch-object.ts';
import type { Payer } from './billing/grant.ts';
import type { IdempotencyObject } from './idempotency/idempotency-object.ts';
import type { LedgerObject } from './ledger/ledger-object.ts';
import type { LogObject } from './log/log-object.ts';
import type { NetworkObject } from './network/network-object.ts';
import type { PoolObject } from './pool/pool-object.ts';
import type { SessionListObject } from './session/session-list-object.ts';
import type { SessionObject } from './session/session-object.ts';

export interface Env {
  readonly ASSETS: Fetcher;
  readonly POOL: DurableObjectNamespace<PoolObject>;
  readonly LOG: DurableObjectNamespace<LogObject>;
  readonly NETWORK: DurableObjectNamespace<NetworkObject>;
  readonly BATCH: DurableObjectNamespace<BatchObject>;
  readonly IDEMPOTENCY: DurableObjectNamespace<IdempotencyObject>;
  readonly LEDGER: DurableObjectNamespace<LedgerObject>;
  readonly ACCOUNT: DurableObjectNamespace<AccountObject>;
  readonly PAIRING: DurableObjectNamespace<PairingObject>;
  readonly SESSION: DurableObjectNamespace<SessionObject>;
  readonly SESSION_LIST: DurableObjectNamespace<SessionListObject>;
  /** Set by the router itself for a request that is a line of a batch. No client can set it. */
  readonly BATCH_LINE?: BatchLine;
  /** Set by the router itself for a request that goes on without its client: hears the id of its task. No client can set it. */
  readonly BACKGROUND?: (task: string) => void;
  /** `off`: the router gives tabs no tasks of its own. */
  readonly SHOAL_NETWORK_TASKS?: string;
  /** Prompts for the network's own tasks, one to a line; the built-in ones otherwise. */
  readonly SHOAL_NETWORK_PROMPTS?: string;
  /** Least level of every request; the default is `none`. */
  readonly SHOAL_LEVEL_FLOOR?: string;
  /**
   * Whether one may ask without a key: `open` (no limits but a large daily allowance: for development), `limited` (the default), or `off`.
   */
  readonly SHOAL_ANONYMOUS?: string;
  /** Country of the tabs of a router on this machine, for development: `DE`. Elsewhere Cloudflare says where a tab is. */
  readonly SHOAL_LOCAL_REGION?: string;
  /** Sockets of tabs from which a pool is too full, and the network gets another one; 500 where it is not set. */
  readonly SHOAL_POOL_SOCKETS?: string;
  /** At least 32 random bytes, base64url. All of the router's keys are derived from it. */
  readonly SHOAL_ROUTER_SECRET?: string;
}

/** On whose behalf a line runs, and its name: the same for every attempt, so that what is charged for it is charged once. */
export interface BatchLine {
  readonly owner: string;
  readonly payer: Payer;
  readonly name: string;
}

declare global {
  namespace Cloudflare {
    // What the tests get from `cloudflare:test`.
    interface Env extends RouterEnv {}
  }
}

type RouterEnv = import('./env.ts').Env;
