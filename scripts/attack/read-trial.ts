import { exactFinding, type Finding } from '../../shared/checking/tally.ts';
import type { Verdict } from '../../shared/checking/verdict.ts';
import { lease as leaseSchema } from '../../shared/protocol/lease.ts';
import type { Receipt } from '../../shared/receipt/receipt.ts';
import { answerCommit, checkReveal } from '../../shared/receipt/statements.ts';
import { type TokenCount, tokenCountOf } from '../../shared/receipt/token-count.ts';
import { parsePayload } from '../../shared/signing/signed-statement.ts';

type ExactFinding = Extract<Finding, { rung: 'exact' }>;

export interface CheckRead {
  readonly tab: string;
  /** What the check found; null when it did not come to its end. */
  readonly finding: 'same' | 'differs' | null;
  /** Whether most executions say something else than this tab; null when nothing can be said. */
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
  const executions = receipt.checks.map(({ checker, reveal, method }) => {
    const opened = reveal === null ? null : parsePayload('check-reveal', checkReveal, reveal);
    const isExact = method === 'exact-re-execution' && opened?.form === 'written';
    return { checker, finding: isExact && commit !== null ? exactFinding(commit.chain, opened.chain, null) : null };
  });
  const accepted = acceptedHead(
    receipt.verdict,
    commit?.chain.head ?? null,
    executions.flatMap(({ finding }) => finding ?? []),
  );
  return {
    answeredBy: tab,
    verdict: receipt.verdict,
    checks: executions.map(({ checker, finding }) => ({
      tab: checker,
      finding: finding === null ? null : finding.falseBlock === null ? 'same' : 'differs',
      outvoted: finding === null || accepted === null ? null : finding.head !== accepted,
    })),
    tokens: tokenCountOf(receipt)?.completion ?? null,
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
