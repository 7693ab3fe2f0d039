import { METHODS } from '../../shared/checking/rung.ts';
import type { Finding } from '../../shared/checking/tally.ts';
import type { Verdict } from '../../shared/checking/verdict.ts';
import { lease as leaseSchema } from '../../shared/protocol/lease.ts';
import { RUNGS } from '../../shared/protocol/rungs.ts';
import type { Receipt, ReceiptCheck } from '../../shared/receipt/receipt.ts';
import { type AnswerCommit, answerCommit, checkReveal } from '../../shared/receipt/statements.ts';
import { type TokenCount, tokenCountOf } from '../../shared/receipt/token-count.ts';
import { findingOf } from '../../shared/receipt/verify.ts';
import { parsePayload } from '../../shared/signing/signed-statement.ts';

type ExactFinding = Extract<Finding, { rung: 'exact' }>;

export interface CheckRead {
  readonly tab: string;
  /** What the check found, writing it again or reading it; null when it did not come to its end, or could not be read. */
  readonly finding: 'same' | 'differs' | 'fits' | 'does_not_fit' | null;
  /** Of a reading: the statistics above their limit. */
  readonly failed: readonly string[];
  /** Whether most executions, or readings, say something else than this tab; null when nothing can be said. */
  readonly outvoted: boolean | null;
}

/** What a verified receipt says of a trial. */
export interface ReceiptRead {
  readonly answeredBy: string;
  readonly verdict: Verdict;
  /** In the order of the draw. */
  readonly checks: readonly CheckRead[];
  /** Tokens written; null when no tab committed to an answer. */
  readonly tokens: TokenCount | null;
}

/** The caller has verified the receipt. */
export function readReceipt(receipt: Receipt): ReceiptRead {
  if (receipt.lease === null) throw new Error('the receipt names no lease');
  const { tab } = parsePayload('lease', leaseSchema, receipt.lease);
  const commit = receipt.commit === null ? null : parsePayload('commit', answerCommit, receipt.commit);
  const executions = receipt.checks.map((check) => ({
    tab: check.checker,
    finding: commit === null ? null : findingIn(check, commit),
  }));
  const exact = executions.flatMap(({ finding }) => (finding?.rung === 'exact' ? [finding] : []));
  const accepted = acceptedHead(receipt.verdict, commit?.chain.head ?? null, exact);
  return {
    answeredBy: tab,
    verdict: receipt.verdict,
    checks: executions.map((execution) => checkOf(execution, receipt.verdict, accepted)),
    tokens: tokenCountOf(receipt)?.completion ?? null,
  };
}

function findingIn({ reveal, method, limits }: ReceiptCheck, commit: AnswerCommit): Finding | null {
  const rung = RUNGS.find((known) => METHODS[known] === method);
  if (reveal === null || rung === undefined) return null;
  return findingOf(commit, parsePayload('check-reveal', checkReveal, reveal), rung, limits);
}

function checkOf(
  { tab, finding }: { readonly tab: string; readonly finding: Finding | null },
  verdict: Verdict,
  accepted: string | null,
): CheckRead {
  if (finding?.rung === 'exact') {
    const outvoted = accepted === null ? null : finding.head !== accepted;
    return { tab, finding: finding.falseBlock === null ? 'same' : 'differs', failed: [], outvoted };
  }
  if (finding?.rung !== 'statistical' || finding.failed === null)
    return { tab, finding: null, failed: [], outvoted: null };
  const fits = finding.failed.length === 0;
  const isDecided = 'agree' in verdict && verdict.agree !== verdict.differ;
  return {
    tab,
    finding: fits ? 'fits' : 'does_not_fit',
    failed: finding.failed,
    outvoted: isDecided ? fits !== verdict.agree > verdict.differ : null,
  };
}

/** Head of the chain that most executions wrote; null without a majority. */
function acceptedHead(verdict: Verdict, claimed: string | null, findings: readonly ExactFinding[]): string | null {
  if (verdict.value === 'valid') return claimed;
  if (verdict.value !== 'invalid') return null;
  const counts = new Map<string, number>();
  for (const { head } of findings) if (head !== claimed) counts.set(head, (counts.get(head) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1])[0]?.[0] ?? null;
}
