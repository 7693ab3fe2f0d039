import * as v from 'valibot';
import type { Finding } from '../checking/tally.ts';
import { sureOf, type Verdict } from '../checking/verdict.ts';
import { parsePayload } from '../signing/signed-statement.ts';
import { costOf, levelPercent, SLA_CLASSES, SLA_PERCENT } from './price-rule.ts';
import type { Receipt } from './receipt.ts';
import { answerCommit } from './statements.ts';
import { tokenCountOf } from './token-count.ts';

const amount = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/**
 * What a task costs whoever asked, in micro-credits, and by which rule. Persisted inside receipts: fields may be added, never repurposed. Nobody who pays is named,
 * neither account nor key.
 */
export const priceLines = v.object({
  /** Set aside before the work began: more is never charged. */
  held: amount,
  /** For each token: the weight of the model. */
  perToken: amount,
  sla: v.picklist(SLA_CLASSES),
  /** Tokens that the hold was for, of the prompt and altogether: no more count. */
  most: v.object({ prompt: amount, total: amount }),
  /** Tokens that count. */
  tokens: v.object({ prompt: amount, completion: amount }),
  /** Percents of the plain price that are charged, for level and SLA class. */
  percent: v.object({ level: amount, sla: amount }),
  /** The router itself threw the answer away, or stopped it: it was one of two at the same work. */
  discarded: v.boolean(),
  charged: amount,
  returned: amount,
});
export type PriceLines = v.InferOutput<typeof priceLines>;

/** By what a task is charged, as it was when its money was set aside. */
export type PriceBasis = Pick<PriceLines, 'held' | 'perToken' | 'sla' | 'most' | 'discarded'>;

/** As much of a receipt as its price depends on. */
export type PricedReceipt = Pick<Receipt, 'commit' | 'checks' | 'outcome' | 'verdict' | 'private' | 'level' | 'wanted'>;

/**
 * The price of a task. Charged are the tokens that count: the lower of what was claimed and what checkers counted, never more than the answer has bytes or the
 * hold allowed for. `findings`: of the checks of the receipt, one by one; null for one that did not come to its end.
 */
export function priceLinesOf(
  receipt: PricedReceipt,
  findings: readonly (Finding | null)[],
  basis: PriceBasis,
): PriceLines {
  const tokens = countedTokens(receipt, basis);
  const { held, perToken, sla, most, discarded } = basis;
  const percent = { level: discarded ? 0 : chargedPercent(receipt, findings), sla: SLA_PERCENT[sla] };
  const charged = Math.min(held, costOf(tokens.prompt + tokens.completion, perToken, percent.level, percent.sla));
  return { held, perToken, sla, most, tokens, percent, discarded, charged, returned: held - charged };
}

function countedTokens(receipt: PricedReceipt, { most }: PriceBasis): PriceLines['tokens'] {
  const counts = tokenCountOf(receipt);
  if (counts === null || receipt.commit === null) return { prompt: 0, completion: 0 };
  // A token has a byte at least, but for the one that ends the answer.
  const bytes = parsePayload('commit', answerCommit, receipt.commit).chain.bytes + 1;
  const prompt = Math.min(counts.prompt.counted, most.prompt);
  return { prompt, completion: Math.min(counts.completion.counted, bytes, most.total - prompt) };
}

/** Percent of the plain price that whoever asked owes; 0 for an answer that it did not get, or that is false. */
function chargedPercent(receipt: PricedReceipt, findings: readonly (Finding | null)[]): number {
  const { outcome, verdict, level, wanted, commit } = receipt;
  if (outcome.value === 'failed' || commit === null) return 0;
  if (outcome.value === 'cancelled') return 100;
  if (verdict.value === 'invalid') return 0;
  const done = completedChecks(verdict, findings).filter((isDone) => isDone).length;
  // A client that went away before the check has only itself to blame, and its tab did the work.
  if (isUnproven(receipt)) return isClientGone(verdict) ? 100 : 100 * Math.min(done, wanted);
  if (level === 'none') return 100;
  if (level === 'basic') {
    const isInsured = done > 0 || (verdict.value === 'unchecked' && verdict.reason === 'not_sampled');
    return isInsured ? levelPercent('basic', wanted) : 100;
  }
  return done === 0 ? 100 : levelPercent(level, Math.min(done, wanted));
}

/**
 * Whether the router keeps an answer back that is not false either: at level `strict` it is shown when executions that are the same to the byte prove it, as many as
 * were asked for. Whoever asked pays the checks that looked for the proof. A private answer is withheld by its client alone.
 */
export function isUnproven({ verdict, level, wanted, private: isPrivate }: PricedReceipt): boolean {
  if (level !== 'strict' || isPrivate || verdict.value === 'invalid') return false;
  return !(sureOf(verdict) === 'verified' && verdict.value === 'valid' && verdict.agree >= wanted);
}

/** Whether the tab that answered is paid: for what it wrote, not for what whoever asked was never shown. */
export function isAnswerPaid(receipt: PricedReceipt, { percent }: Pick<PriceLines, 'percent'>): boolean {
  return (
    percent.level > 0 &&
    (!isUnproven(receipt) || receipt.outcome.value === 'cancelled' || isClientGone(receipt.verdict))
  );
}

function isClientGone(verdict: Verdict): boolean {
  return verdict.value === 'unchecked' && verdict.reason === 'client_gone';
}

/** Which checks came to a finding. One that was outvoted by the others is no work. */
export function completedChecks(verdict: Verdict, findings: readonly (Finding | null)[]): boolean[] {
  const decided = verdict.value === 'unchecked' || verdict.method !== 'exact-re-execution' ? null : verdict.value;
  const truth = decided === 'invalid' ? mostCommonHead(findings) : null;
  return findings.map((finding) => {
    if (finding === null) return false;
    if (finding.rung === 'statistical' || finding.rung === 'cross-class') return finding.failed !== null;
    if (finding.rung !== 'exact') return true;
    if (decided === 'valid') return finding.falseBlock === null;
    return decided !== 'invalid' || finding.head === truth;
  });
}

/** The answer that most checkers wrote. */
function mostCommonHead(findings: readonly (Finding | null)[]): string | null {
  const counts = new Map<string, number>();
  for (const finding of findings) {
    if (finding?.rung === 'exact') counts.set(finding.head, (counts.get(finding.head) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? null;
}
