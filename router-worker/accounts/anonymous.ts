import { ShoalError } from '../../shared/errors.ts';
import { noKey } from './api-key.ts';
import { ANONYMOUS_RATE, type RateLimits } from './rate-limit.ts';

/** What somebody without a key may use. */
export interface AnonymousPolicy {
  /** Null: as fast as it likes. */
  readonly rate: RateLimits | null;
  /** Micro-credits a day, for each network prefix. */
  readonly allowance: number;
}

/** About 20,000 tokens of a model of 256 MiB: an afternoon of trying out. */
const LIMITED_ALLOWANCE = 5_000_000;
/** Nothing that a developer or a test would notice. */
const OPEN_ALLOWANCE = 1_000_000_000_000;

const POLICIES: Readonly<Record<string, AnonymousPolicy | null>> = {
  open: { rate: null, allowance: OPEN_ALLOWANCE },
  limited: { rate: ANONYMOUS_RATE, allowance: LIMITED_ALLOWANCE },
  off: null,
};

/**
 * The operator's word on use without a key (`SHOAL_ANONYMOUS`): `open`, `limited` or `off`. Without one it is open on the operator's own machine and limited
 * everywhere else. Throws `router_not_configured` for another word, and `invalid_api_key` where a key is needed.
 */
export function anonymousPolicy(setting: string | undefined, isLocalhost: boolean): AnonymousPolicy {
  const mode = setting === undefined || setting === '' ? (isLocalhost ? 'open' : 'limited') : setting;
  if (!Object.hasOwn(POLICIES, mode)) {
    throw new ShoalError(
      'router_not_configured',
      `SHOAL_ANONYMOUS must be one of: ${Object.keys(POLICIES).join(', ')}.`,
    );
  }
  const policy = POLICIES[mode] ?? null;
  if (policy !== null) return policy;
  throw noKey();
}
