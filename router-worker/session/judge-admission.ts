import { ShoalError } from '../../shared/errors.ts';
import type { SessionSettings } from '../../shared/protocol/session-api.ts';

/** What a session has used so far. */
export interface SessionUse {
  /** Micro-credits: of tasks that ended, and set aside for those under way. */
  readonly spent: number;
  readonly held: number;
  /** Tasks that were admitted, ever, and those whose answer is not written yet. */
  readonly tasks: number;
  readonly answering: number;
}

/** When a task of the session may have made room, ms: answers of small models take a few seconds. */
const BUSY_RETRY_MS = 2_000;

/**
 * Whether a task that costs at most `price` (micro-credits) may begin in a session. Returns the refusal, `session_exhausted` or `session_busy`; null when it may. What
 * lasts is named before what passes.
 */
export function judgeAdmission(settings: SessionSettings, use: SessionUse, price: number): ShoalError | null {
  const { budget, maxTasks, tabs } = settings;
  if (maxTasks !== null && use.tasks >= maxTasks) {
    return new ShoalError('session_exhausted', `The session has had the ${maxTasks} tasks that it may have.`, {
      param: 'max_tasks',
    });
  }
  if (budget !== null && use.spent + use.held + price > budget) {
    const left = Math.max(0, budget - use.spent - use.held);
    const message = `This can cost ${price} micro-credits; of the session's budget ${left} are free and ${use.held} held.`;
    return new ShoalError('session_exhausted', message, { param: 'budget' });
  }
  if (tabs.max !== null && use.answering >= tabs.max) {
    const message = `${use.answering} answers are being written, and the session may have ${tabs.max} at a time.`;
    return new ShoalError('session_busy', message, { param: 'tabs.max', retryAfterMs: BUSY_RETRY_MS });
  }
  return null;
}

/** What a task cost that was held at `held` for `tokensAtMost` and used `tokens`: in proportion, rounded up. Nothing for one that failed or was refuted. */
export function costOfUse(held: number, tokensAtMost: number, tokens: number): number {
  // Both factors are bounded: a price by the largest model, tokens by the largest context; their product is taken in whole numbers.
  const cost = (BigInt(held) * BigInt(tokens) + BigInt(tokensAtMost) - 1n) / BigInt(tokensAtMost);
  return Number(cost < BigInt(held) ? cost : BigInt(held));
}
