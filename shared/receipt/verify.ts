import * as v from 'valibot';
import { fromBase64Url } from '../bytes.ts';
import { cosine } from '../checking/similarity.ts';
import { exactVerdict, type Verdict } from '../checking/verdict.ts';
import { ShoalError } from '../errors.ts';
import { type Lease, lease as leaseSchema } from '../protocol/lease.ts';
import { leaseDigest } from '../sealing/envelope.ts';
import { isSignedBy, openStatement, parsePayload, type Signed, signed } from '../signing/signed-statement.ts';
import { type Receipt, type ReceiptCheck, receipt as receiptSchema } from './receipt.ts';
import {
  type AnswerCommit,
  answerCommit,
  type CheckReveal,
  chainLeaf,
  checkCommit,
  checkReveal,
  commitmentOf,
  embeddingLeaf,
  vectorFromText,
} from './statements.ts';

export interface ReceiptVerification {
  /** Every signature holds, every commitment opens, and the verdict follows from what the tabs signed. */
  readonly valid: boolean;
  /** What does not hold, in plain words; empty when valid. */
  readonly problems: readonly string[];
  /** The receipt, once the router's signature over it held; null before. */
  readonly receipt: Receipt | null;
}

export interface VerifyOptions {
  /** The router's Ed25519 key (base64url), from a source that the reader trusts: pinned, not taken from the receipt. */
  readonly routerKey: string;
}

/**
 * Verifies a receipt offline. It proves that this router and these tabs signed these figures, and that the verdict follows from them. It does
 * not prove that the tabs belong to different people, nor that the router drew them fairly.
 */
export async function verifyReceipt(input: unknown, options: VerifyOptions): Promise<ReceiptVerification> {
  const problems: string[] = [];
  const outer = v.safeParse(signed, input);
  if (!outer.success) return { valid: false, problems: ['This is not a signed receipt.'], receipt: null };
  if (outer.output.key !== options.routerKey) problems.push('It is signed by another key than the router key given.');
  if (!(await isSignedBy('receipt', outer.output))) problems.push("The router's signature does not hold.");
  if (problems.length > 0) return { valid: false, problems, receipt: null };

  let receipt: Receipt;
  try {
    receipt = parsePayload('receipt', receiptSchema, outer.output);
  } catch {
    return { valid: false, problems: ['Its content is not of the agreed shape.'], receipt: null };
  }
  try {
    await verifyParts(receipt, options.routerKey);
  } catch (cause) {
    problems.push(cause instanceof ShoalError ? cause.message : 'A part of it could not be read.');
  }
  return { valid: problems.length === 0, problems, receipt };
}

function demand(condition: boolean, problem: string): asserts condition {
  if (!condition) throw new ShoalError('integrity_failed', problem);
}

async function verifyParts(receipt: Receipt, routerKey: string): Promise<void> {
  const readers = new Set(receipt.readers.map((reader) => reader.key));
  const committed = receipt.commit === null ? null : await verifyAnswer(receipt, receipt.commit, routerKey);
  if (receipt.lease !== null) {
    const lease = await openStatement('lease', leaseSchema, receipt.lease, routerKey);
    demand(readers.has(lease.tab), 'The answering tab is missing from the list of readers.');
  }
  let following: Verdict | null = null;
  for (const check of receipt.checks) {
    const reveal = await verifyCheck(receipt, check, routerKey);
    if (reveal !== null && committed !== null) following = verdictOf(committed.commit, reveal);
  }
  if (receipt.verdict.value === 'unchecked') {
    demand(following === null, 'It says unchecked although a check was completed.');
    return;
  }
  demand(following !== null, 'It gives a verdict that no completed check supports.');
  demand(
    JSON.stringify(following) === JSON.stringify(receipt.verdict),
    `The verdict does not follow from what the tabs signed: they say ${following.value}.`,
  );
}

async function verifyAnswer(
  receipt: Receipt,
  statement: Signed,
  routerKey: string,
): Promise<{ lease: Lease; commit: AnswerCommit }> {
  demand(receipt.lease !== null, 'It has an answer but no lease for it.');
  const lease = await openStatement('lease', leaseSchema, receipt.lease, routerKey);
  const commit = await openStatement('commit', answerCommit, statement, lease.tab);
  demand(lease.role === 'answer', 'The lease of the answer is for another role.');
  demand(lease.task === receipt.task && commit.task === receipt.task, 'The answer belongs to another task.');
  demand(commit.lease === (await leaseDigest(receipt.lease)), 'The answer was committed under another lease.');
  demand(
    commit.class === lease.class && lease.class === receipt.class,
    'The classes of lease, answer and receipt differ.',
  );
  demand(lease.private === receipt.private, 'Lease and receipt disagree on whether the task was private.');
  demand(
    JSON.stringify(lease.sampling) === JSON.stringify(receipt.sampling),
    'The sampling of lease and receipt differ.',
  );
  return { lease, commit };
}

/** The reveal, when the check was completed; null when the checker committed or revealed nothing. */
async function verifyCheck(receipt: Receipt, check: ReceiptCheck, routerKey: string): Promise<CheckReveal | null> {
  const lease = await openStatement('lease', leaseSchema, check.lease, routerKey);
  const digest = await leaseDigest(check.lease);
  demand(lease.role === 'check' && lease.task === receipt.task, 'The lease of a check is for something else.');
  demand(lease.tab === check.checker, 'A check is attributed to another tab than the leased one.');
  demand(lease.class === receipt.class, 'A check ran in another class than the answer.');
  demand(
    receipt.readers.some((reader) => reader.key === lease.tab && reader.role === 'check'),
    'A checking tab is missing from the list of readers.',
  );
  demand(
    !receipt.readers.some((reader) => reader.key === lease.tab && reader.role === 'answer'),
    'A tab checked its own answer.',
  );
  if (check.commit === null) return null;
  const commit = await openStatement('check-commit', checkCommit, check.commit, lease.tab);
  demand(commit.task === receipt.task && commit.lease === digest, "A checker's commitment belongs to another check.");
  if (check.reveal === null) return null;
  const reveal = await openStatement('check-reveal', checkReveal, check.reveal, lease.tab);
  demand(reveal.task === receipt.task && reveal.lease === digest, "A checker's opening belongs to another check.");
  demand(
    await opens(commit.commitment, reveal, { task: receipt.task, lease: digest, checker: lease.tab }),
    "A checker's opening does not fit its commitment.",
  );
  return reveal;
}

/** Whether a reveal opens a commitment: the chain, and the embedding where it is opened. */
export async function opens(
  commitment: string,
  reveal: CheckReveal,
  scope: { readonly task: string; readonly lease: string; readonly checker: string },
): Promise<boolean> {
  if (reveal.embedding !== null) {
    const leaf = await embeddingLeaf(scope, reveal.embedding.nonce, fromBase64Url(reveal.embedding.vector));
    if (leaf !== reveal.embeddingLeaf) return false;
  }
  const chain = await chainLeaf(scope, reveal.chainNonce, reveal.chain);
  return (await commitmentOf(chain, reveal.embeddingLeaf)) === commitment;
}

/**
 * The verdict that an answer's commit and a check's opening lead to. The cosine compares the checker's own answer with the first answer as
 * the checker was shown it; it counts only when that text was the committed one.
 */
export function verdictOf(commit: AnswerCommit, reveal: CheckReveal): Verdict {
  const shown = reveal.shown?.authentic === true ? reveal.shown.vector : null;
  const similarity =
    shown === null || reveal.embedding === null
      ? null
      : cosine(vectorFromText(reveal.embedding.vector), vectorFromText(shown));
  return exactVerdict(commit.chain, reveal.chain, similarity);
}
