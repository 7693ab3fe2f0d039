import { sureOf } from '../../shared/checking/verdict.ts';
import type { Level } from '../../shared/protocol/level.ts';
import type { Receipt } from '../../shared/receipt/receipt.ts';
import { tokenCountOf } from '../../shared/receipt/token-count.ts';
import type { Pay } from '../ledger/transfer.ts';
import { costOf, levelPercent, SLA_PERCENT, type SlaClass } from '../models/price.ts';
import { marksOf } from '../task/marks.ts';
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

/**
 * The bill of a task that ended. Charged are the tokens that count: the lower of what was claimed and what checkers counted, never more than the answer has
 * bytes or the hold allowed for. What failed, was refuted, or was withheld costs nothing; a check that did not come to its end is not charged. Checkers are paid
 * whatever the verdict, unless they were outvoted themselves.
 */
export function billOf(
  task: EndedTask,
  receipt: Receipt,
  hold: { readonly amount: number; readonly terms: Terms },
): Bill {
  const { terms, amount: held } = hold;
  const perToken = terms.prices[task.variant] ?? 0;
  const sla = SLA_PERCENT[terms.sla];
  const tokens = countedTokens(task, receipt, terms);
  const total = tokens.prompt + tokens.completion;
  const level = chargedPercent(task, terms);
  const charged = Math.min(held, costOf(total, perToken, level, sla));
  const pay = Math.floor((total * perToken * sla * PAY_PERCENT) / 10_000);
  const answer: Pay[] =
    charged === 0
      ? []
      : [{ tab: task.lease.tab, class: task.lease.class, role: 'answer', amount: Math.min(pay, payOutOf(held)) }];
  const checks = completedChecks(task).map(
    ({ checker, lease }): Pay => ({ tab: checker, class: lease.class, role: 'check', amount: pay }),
  );
  const pays = [...answer, ...checks].filter(({ amount }) => amount > 0);
  return { task: task.task, endedAt: task.endedAt, tokens, perToken, percent: { level, sla }, held, charged, pays };
}

const payOutOf = (amount: number) => Math.floor((amount * PAY_PERCENT) / 100);

function countedTokens(task: EndedTask, receipt: Receipt, terms: Terms): Bill['tokens'] {
  const counts = tokenCountOf(receipt);
  if (counts === null) return { prompt: 0, completion: 0 };
  // A token has a byte at least, but for the one that ends the answer.
  const bytes = (task.committed?.commit.chain.bytes ?? 0) + 1;
  const prompt = Math.min(counts.prompt.counted, terms.promptTokens);
  return { prompt, completion: Math.min(counts.completion.counted, bytes, terms.tokens - prompt) };
}

/** Percent of the plain price that the payer owes for how the answer was checked; 0 for an answer that it did not get, or that is false. */
function chargedPercent(task: EndedTask, { level, wanted }: Terms): number {
  const { outcome, verdict } = task;
  if (outcome.value === 'failed' || task.committed === null) return 0;
  if (outcome.value === 'cancelled') return 100;
  if (verdict.value === 'invalid') return 0;
  // Withheld. A client that went away before the check has only itself to blame, and its tab did the work.
  // A private one is withheld by its client alone, so it is charged: or whoever asks for more checks than there are tabs would read for nothing.
  if (level === 'strict' && !task.private && !isProven(task, wanted)) return isClientGone(task) ? 100 : 0;
  if (level === 'none') return 100;
  const done = completedChecks(task).length;
  if (level === 'basic') {
    const isInsured = done > 0 || (verdict.value === 'unchecked' && verdict.reason === 'not_sampled');
    return isInsured ? levelPercent('basic', wanted) : 100;
  }
  return done === 0 ? 100 : levelPercent(level, Math.min(done, wanted));
}

function isClientGone({ verdict }: EndedTask): boolean {
  return verdict.value === 'unchecked' && verdict.reason === 'client_gone';
}

/** Checks that came to a finding. One that was outvoted by the others is no work. */
function completedChecks(task: EndedTask): EndedTask['checks'] {
  const outvoted = marksOf(task).filter(({ role, outcome }) => role === 'check' && outcome === 'refuted');
  return task.checks.filter(
    ({ checker, finding }) => foundSomething(finding) && !outvoted.some(({ tab }) => tab === checker),
  );
}

function foundSomething(finding: EndedTask['checks'][number]['finding']): boolean {
  if (finding === null) return false;
  return (finding.rung !== 'statistical' && finding.rung !== 'cross-class') || finding.failed !== null;
}

/** At level `strict` an answer is shown when executions that are the same to the byte prove it, as many as were asked for. */
function isProven({ verdict }: EndedTask, wanted: number): boolean {
  return sureOf(verdict) === 'verified' && verdict.value === 'valid' && verdict.agree >= wanted;
}
