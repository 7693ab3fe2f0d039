/** Requests and tokens that an account may ask for in a minute. */
export interface RateLimits {
  readonly requests: number;
  readonly tokens: number;
}

/** What is left, as OpenAI's `x-ratelimit-*` headers say it. */
export interface RateState {
  readonly limits: RateLimits;
  readonly remaining: RateLimits;
  /** Until both are whole again, ms. */
  readonly resetMs: RateLimits;
}

export interface RateTaken {
  readonly state: RateState;
  /** Null when the request was taken; else the time after which it would be, ms. */
  readonly retryMs: number | null;
}

/** Of an account: what a program that works through a list at full speed needs, and what one that runs wild does not get. */
export const ACCOUNT_RATE: RateLimits = { requests: 600, tokens: 4_000_000 };
/** Of a network prefix without an account: a person who tries it out. */
export const ANONYMOUS_RATE: RateLimits = { requests: 20, tokens: 40_000 };

const WINDOW_MS = 60_000;
/** What binary fractions may lack of a whole request, as a share of the bucket. */
const ROUNDING = 1e-9;

/** Two buckets that fill up evenly over a minute. In memory: whoever is forgotten has been quiet for longer than that. */
export class RateLimiter {
  #requests: number | null = null;
  #tokens: number | null = null;
  #at = 0;

  /** Takes one request of so many tokens, or nothing. A request larger than the bucket needs a full one. */
  take(limits: RateLimits, tokens: number, at: number): RateTaken {
    const past = Math.max(0, at - this.#at) / WINDOW_MS;
    const requestsLeft = Math.min(limits.requests, (this.#requests ?? limits.requests) + past * limits.requests);
    const tokensLeft = Math.min(limits.tokens, (this.#tokens ?? limits.tokens) + past * limits.tokens);
    const cost = Math.min(tokens, limits.tokens);
    const missing = Math.max((1 - requestsLeft) / limits.requests, (cost - tokensLeft) / limits.tokens);
    const isTaken = missing < ROUNDING;
    this.#requests = requestsLeft - (isTaken ? 1 : 0);
    this.#tokens = tokensLeft - (isTaken ? cost : 0);
    this.#at = at;
    const state: RateState = {
      limits,
      remaining: { requests: Math.floor(this.#requests), tokens: Math.floor(this.#tokens) },
      resetMs: {
        requests: Math.ceil(((limits.requests - this.#requests) / limits.requests) * WINDOW_MS),
        tokens: Math.ceil(((limits.tokens - this.#tokens) / limits.tokens) * WINDOW_MS),
      },
    };
    return { state, retryMs: isTaken ? null : Math.ceil((missing - ROUNDING) * WINDOW_MS) };
  }
}
