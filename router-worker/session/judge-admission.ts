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
 * Whether a task that costs at most `price` (micro-credits) may begin in a session, and whether so many like it may, one after the other: `tasks`. Returns the refusal, `session_exhausted` or `session_busy`; null when it may. What
 * lasts is named before what passes.
 */
export function judgeAdmission(
  settings: SessionSettings,
  use: SessionUse,
  price: number,
  tasks = 1,
): ShoalError | null {
  const { budget, maxTasks, tabs } = settings;
  if (maxTasks !== null && use.tasks + tasks > maxTasks) {
    const had =
      use.tasks >= maxTasks ? `has had the ${maxTasks} tasks` : `has had ${use.tasks} of the ${maxTasks} tasks`;
    const wanted = tasks === 1 ? '' : `, and this is ${tasks} more`;
    return new ShoalError('session_exhausted', `The session ${had} that it may have${wanted}.`, { param: 'max_tasks' });
  }
  const left = budget === null ? Number.POSITIVE_INFINITY : Math.max(0, budget - use.spent - use.held);
  const overBudget = `This can cost ${price} micro-credits; of the session's budget ${left} are free and ${use.held} held.`;
  if (price > left + use.held) return new ShoalError('session_exhausted', overBudget, { param: 'budget' });
  if (tabs.max !== null && use.answering >= tabs.max) {
    const message = `${use.answering} answers are being written, and the session may have ${tabs.max} at a time.`;
    return new ShoalError('session_busy', message, { param: 'tabs.max', retryAfterMs: BUSY_RETRY_MS });
  }
  // What is held is the most that tasks under way can cost: much of it comes back.
  if (price > left) return new ShoalError('session_busy', overBudget, { param: 'budget', retryAfterMs: BUSY_RETRY_MS });
  return null;
}

/** What a task cost that was held at `held` for `tokensAtMost` and used `tokens`: in proportion, rounded up. Nothing for one that failed or was refuted. */
export function costOfUse(held: number, tokensAtMost: number, tokens: number): number {
  // Both factors are bounded: a price by the largest model, tokens by the largest context; their product is taken in whole numbers.
  const cost = (BigInt(held) * BigInt(tokens) + BigInt(tokensAtMost) - 1n) / BigInt(tokensAtMost);
  return Number(cost < BigInt(held) ? cost : BigInt(held));
}
