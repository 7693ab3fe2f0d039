import type { Level } from '../../shared/protocol/level.ts';
import {
  completedChecks,
  isAnswerPaid,
  isUnproven,
  type PricedReceipt,
  type PriceLines,
  priceLinesOf,
} from '../../shared/receipt/price-lines.ts';
import type { SlaClass } from '../../shared/receipt/price-rule.ts';
import type { Pay } from '../ledger/transfer.ts';
import type { EndedTask } from '../task/task.ts';

/** By what a task is billed, as it was when its money was held. Stored: fields may be added, never repurposed. */
export interface Terms {
  /** Micro-credits for each token, by variant: which one serves is not known yet. */
  readonly prices: Readonly<Record<string, number>>;
  readonly level: Level;
  /** Agreeing checks that were asked for. */
  readonly wanted: number;
  readonly sla: SlaClass;
  /** Most tokens of the prompt, and of prompt and answer together. */
  readonly promptTokens: number;
  readonly tokens: number;
}

/** What one task came to. Stored: fields may be added, never repurposed. */
export interface Bill {
  readonly task: string;
  readonly endedAt: number;
  /** Tokens that count. */
  readonly tokens: { readonly prompt: number; readonly completion: number };
  readonly perToken: number;
  /** Percents of the plain price that were charged, for level and SLA class. */
  readonly percent: { readonly level: number; readonly sla: number };
  /** Micro-credits. */
  readonly held: number;
  readonly charged: number;
  readonly pays: readonly Pay[];
}

/** Of the plain price of the tokens, percent, for whoever wrote them or wrote them again. The same at every level, so that pay tells no tab which it was. */
const PAY_PERCENT = 95;

/** A task's hold, as far as its price goes. */
export interface PricedHold {
  /** Most that it can cost, micro-credits. */
  readonly amount: number;
  readonly terms: Terms;
  /** The router threw the answer away: see {@link PriceLines}. */
  readonly discarded?: boolean;
}

/** The price of a task as its receipt tells it. */
export function linesOf(task: EndedTask, receipt: PricedReceipt, { amount, terms, discarded }: PricedHold): PriceLines {
  return priceLinesOf(
    receipt,
    task.checks.map(({ finding }) => finding),
    {
      held: amount,
      perToken: terms.prices[task.variant] ?? 0,
      sla: terms.sla,
      most: { prompt: terms.promptTokens, total: terms.tokens },
      discarded: discarded === true,
    },
  );
}

/**
 * The bill of a task that ended. Checkers are paid whatever the verdict and whatever became of the answer, unless they were outvoted themselves; those that could not prove
 * an answer of level `strict` out of what was charged for them. The ledger pays no more than the payer's own fees have brought.
 */
export function billOf(task: EndedTask, receipt: PricedReceipt, hold: PricedHold): Bill {
  const { held, perToken, tokens, percent, charged } = linesOf(task, receipt, hold);
  const pay = Math.floor(((tokens.prompt + tokens.completion) * perToken * percent.sla * PAY_PERCENT) / 10_000);
  const answer: Pay[] = isAnswerPaid(receipt, { percent })
    ? [{ tab: task.lease.tab, class: task.lease.class, role: 'answer', amount: Math.min(pay, payOutOf(held)) }]
    : [];
  const findings = task.checks.map(({ finding }) => finding);
  const isDone = completedChecks(task.verdict, findings);
  const done = task.checks.filter((_, at) => isDone[at]);
  const most =
    isUnproven(receipt) && hold.discarded !== true ? Math.floor(payOutOf(charged) / Math.max(1, done.length)) : pay;
  const checks = done.map(
    ({ checker, lease }): Pay => ({ tab: checker, class: lease.class, role: 'check', amount: Math.min(pay, most) }),
  );
  const pays = [...answer, ...checks].filter(({ amount }) => amount > 0);
  return { task: task.task, endedAt: task.endedAt, tokens, perToken, percent, held, charged, pays };
}

const payOutOf = (amount: number) => Math.floor((amount * PAY_PERCENT) / 100);
