import * as v from 'valibot';
import { fromBase64Url } from '../bytes.ts';
import { drawCommitment, drawOrder } from '../checking/draw.ts';
import { failuresIn, type PairLimits } from '../checking/forced-decode.ts';
import { guessLeaf } from '../checking/next-token-commits.ts';
import { isExactPair, isRead, METHODS } from '../checking/rung.ts';
import { cosine } from '../checking/similarity.ts';
import { exactFinding, type Finding, similarityFinding, verdictOf, wantsMore } from '../checking/tally.ts';
import type { UncheckedReason, Verdict } from '../checking/verdict.ts';
import { ShoalError } from '../errors.ts';
import { MAX_DRAWS } from '../limits.ts';
import { type Lease, lease as leaseSchema } from '../protocol/lease.ts';
import type { Rung } from '../protocol/rungs.ts';
import { leaseDigest } from '../sealing/envelope.ts';
import { isSignedBy, openStatement, parsePayload, type Signed, signed } from '../signing/signed-statement.ts';
import { type PriceLines, priceLinesOf } from './price-lines.ts';
import { type Receipt, type ReceiptCheck, receipt as receiptSchema } from './receipt.ts';
import {
  type AnswerCommit,
  answerCommit,
  type CheckReveal,
  type CommitmentScope,
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
 * not prove that the tabs belong to different people, nor that the router named every tab that could have been drawn.
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
  demand(receipt.lease !== null, 'It names no lease.');
  const lease = await openStatement('lease', leaseSchema, receipt.lease, routerKey);
  verifyTerms(receipt, lease);
  const listed = (role: Receipt['readers'][number]['role'], key: string) =>
    receipt.readers.some((reader) => reader.role === role && reader.key === key);
  demand(
    receipt.private || listed('router', routerKey),
    'The router read a plain prompt and is missing from the readers.',
  );
  demand(listed('answer', lease.tab), 'The answering tab is missing from the list of readers.');

  const commit =
    receipt.commit === null ? null : await verifyAnswer(receipt, { lease, statement: receipt.lease }, receipt.commit);
  verifyOutcome(receipt, commit);
  await verifyDraw(receipt, lease);
  const findings: (Finding | null)[] = [];
  for (const check of receipt.checks) {
    const { reveal, rung } = await verifyCheck(receipt, check, lease, routerKey);
    demand(listed('check', check.checker), 'A checking tab is missing from the list of readers.');
    findings.push(reveal === null || commit === null ? null : findingOf(commit, reveal, rung, check.limits));
  }
  verifyVerdict(
    receipt,
    commit,
    findings.filter((finding) => finding !== null),
  );
  verifyPrice(receipt, findings);
}

/** Receipt and lease are about the same task, under the same terms. */
function verifyTerms(receipt: Receipt, lease: Lease): void {
  demand(lease.role === 'answer', 'The lease of the answer is for another role.');
  demand(lease.task === receipt.task, 'The answer belongs to another task.');
  demand(lease.class === receipt.class, 'The classes of lease and receipt differ.');
  demand(lease.model === receipt.model && lease.variant === receipt.variant, 'Lease and receipt name other models.');
  demand(lease.private === receipt.private, 'Lease and receipt disagree on whether the task was private.');
  demand(
    JSON.stringify(lease.sampling) === JSON.stringify(receipt.sampling),
    'The sampling of lease and receipt differ.',
  );
}

function verifyOutcome({ outcome, verdict }: Receipt, commit: AnswerCommit | null): void {
  const wrote = commit !== null && commit.finish !== 'cancelled';
  demand(outcome.value !== 'answered' || wrote, 'It says answered, and no tab committed to an answer.');
  demand(outcome.value !== 'cancelled' || !wrote, 'It says cancelled, and the tab committed to a whole answer.');
  demand(outcome.value === 'answered' || verdict.value === 'unchecked', 'It judges an answer that was not given.');
}

/** The checkers are those that the draw gives, in its order; what the lease committed to is opened. */
async function verifyDraw({ draw, commit, checks }: Receipt, lease: Lease): Promise<void> {
  if (draw === null) return demand(checks.length === 0, 'It lists checks, and no draw.');
  demand(commit !== null, 'Checkers were drawn before the tab had committed to its answer.');
  demand(
    (await drawCommitment(draw.secret)) === lease.draw,
    'The secret of the draw is not the one that the lease committed to.',
  );
  const seeded = { secret: draw.secret, commitSignature: commit.signature, nonce: lease.nonce };
  const order = await drawOrder(seeded, draw.candidates);
  demand(JSON.stringify(order) === JSON.stringify(draw.candidates), 'The candidates are not in the order of the draw.');
  demand(new Set(order.map(({ tab }) => tab)).size === order.length, 'One tab is listed as two candidates.');
  demand(draw.drawn >= 1 && draw.drawn <= Math.min(order.length, MAX_DRAWS), 'Too many were drawn.');
  let place = 0;
  for (const { checker, independence } of checks) {
    const found = order.findIndex((candidate, at) => at >= place && candidate.tab === checker);
    demand(found >= 0 && found < draw.drawn, 'A checker was not drawn.');
    demand(order[found]?.independence === independence, 'The independence of a checker is not that of the draw.');
    place = found + 1;
  }
}

/** The sum follows from the tokens that count, the terms that it names, and how the answer was checked. That these terms were agreed on is the router's word. */
function verifyPrice(receipt: Receipt, findings: readonly (Finding | null)[]): void {
  const { price } = receipt;
  if (price == null) return;
  const following = priceLinesOf(receipt, findings, price);
  const isSame = Object.entries(following).every(
    ([line, value]) => JSON.stringify(value) === JSON.stringify(price[line as keyof PriceLines]),
  );
  demand(isSame, `The price does not follow from what was done: that comes to ${following.charged} micro-credits.`);
}

/** Whether a reason that nobody's word counts fits what else the receipt says. */
function isFitting(reason: UncheckedReason, { level, outcome, draw }: Receipt): boolean {
  if ((reason === 'no_answer') === (outcome.value === 'answered')) return false;
  if (reason === 'no_answer') return true;
  if (level === 'none' || reason === 'not_asked') return level === 'none' && reason === 'not_asked' && draw === null;
  if (reason === 'not_sampled') return level === 'basic' && draw === null;
  return (reason === 'nobody_fit') === (draw === null);
}

function verifyVerdict(receipt: Receipt, commit: AnswerCommit | null, findings: readonly Finding[]): void {
  const { verdict, wanted, level } = receipt;
  if (verdict.value === 'unchecked') {
    demand(isFitting(verdict.reason, receipt), 'The reason for no check does not fit.');
    return demand(findings.length === 0, 'It says unchecked although a check was completed.');
  }
  demand(
    commit !== null && level !== 'none' && findings.length > 0,
    'It gives a verdict that no completed check supports.',
  );
  for (let known = 1; known < findings.length; known++) {
    demand(wantsMore(findings.slice(0, known), wanted), 'Checks went on after the matter was decided.');
  }
  const following: Verdict = verdictOf(commit.chain, findings);
  demand(
    JSON.stringify(following) === JSON.stringify(verdict),
    `The verdict does not follow from what the tabs signed: they say ${following.value}.`,
  );
}

async function verifyAnswer(
  receipt: Receipt,
  leased: { readonly lease: Lease; readonly statement: Signed },
  statement: Signed,
): Promise<AnswerCommit> {
  const commit = await openStatement('commit', answerCommit, statement, leased.lease.tab);
  demand(commit.task === receipt.task, 'The answer belongs to another task.');
  demand(commit.lease === (await leaseDigest(leased.statement)), 'The answer was committed under another lease.');
  demand(commit.class === receipt.class, 'The classes of answer and receipt differ.');
  return commit;
}

/** Terms in which the lease of a check must be that of the answer: the same prompt, run the same way. */
const SAME_TERMS = ['task', 'model', 'kind', 'client', 'nonce', 'private', 'sampling', 'draw'] as const;

/** By which rung it was done; and the reveal, when the check was completed, null when the checker committed or revealed nothing. */
async function verifyCheck(
  receipt: Receipt,
  check: ReceiptCheck,
  answer: Lease,
  routerKey: string,
): Promise<{ readonly rung: Rung; readonly reveal: CheckReveal | null }> {
  const lease = await openStatement('lease', leaseSchema, check.lease, routerKey);
  const digest = await leaseDigest(check.lease);
  demand(lease.role === 'check', 'The lease of a check is for something else.');
  demand(
    SAME_TERMS.every((term) => JSON.stringify(lease[term]) === JSON.stringify(answer[term])),
    'A check ran under other terms than the answer.',
  );
  const rung = checkedRung(check, answer, lease);
  demand(lease.tab === check.checker, 'A check is attributed to another tab than the leased one.');
  demand(lease.tab !== answer.tab, 'A tab checked its own answer.');
  if (check.commit === null) return { rung, reveal: null };
  const commit = await openStatement('check-commit', checkCommit, check.commit, lease.tab);
  demand(
    commit.task === receipt.task && commit.lease === digest && commit.class === lease.class,
    "A checker's commitment belongs to another check.",
  );
  if (check.reveal === null) return { rung, reveal: null };
  const reveal = await openStatement('check-reveal', checkReveal, check.reveal, lease.tab);
  demand(reveal.task === receipt.task && reveal.lease === digest, "A checker's opening belongs to another check.");
  demand(
    await opens(commit.commitment, reveal, { task: receipt.task, lease: digest, checker: lease.tab }),
    "A checker's opening does not fit its commitment.",
  );
  demand((reveal.form === 'read') === isRead(rung), "A checker's opening is of another kind than its class allows.");
  demand(reveal.form !== 'read' || (reveal.guesses === null) === receipt.private, 'Guesses are opened unless private.');
  return { rung, reveal };
}

/** The rung that a receipt names, when the leases allow it. Limits are of the time of the check: without them nothing could be read. */
function checkedRung({ method, limits }: ReceiptCheck, answer: Lease, lease: Lease): Rung {
  const read = answer.variant === lease.variant ? 'statistical' : 'cross-class';
  const rung = isExactPair(answer, lease) ? 'exact' : limits === null ? 'similarity' : read;
  demand(method === METHODS[rung] && lease.rung === rung, 'A check names another method than its class allows.');
  return rung;
}

/** Whether a reveal opens a commitment: the chain, and the embedding where it is opened; or the guesses, where they are. */
export async function opens(commitment: string, reveal: CheckReveal, scope: CommitmentScope): Promise<boolean> {
  if (reveal.form === 'read') {
    const { leaves, guesses } = reveal;
    if (leaves[0] !== commitment) return false;
    if (guesses === null) return true;
    const opened = await Promise.all(guesses.map((guess) => guessLeaf(scope, guess)));
    return guesses.every(({ index }, at) => index === at) && JSON.stringify(opened) === JSON.stringify(leaves);
  }
  if (reveal.embedding !== null) {
    const leaf = await embeddingLeaf(scope, reveal.embedding.nonce, fromBase64Url(reveal.embedding.vector));
    if (leaf !== reveal.embeddingLeaf) return false;
  }
  const chain = await chainLeaf(scope, reveal.chainNonce, reveal.chain);
  return (await commitmentOf(chain, reveal.embeddingLeaf)) === commitment;
}

/**
 * What a check's opening says of an answer. The cosine compares the checker's own answer with the first answer as the checker was shown it; it
 * counts only when that text was the committed one. A tab that shows another text than it committed to has failed a forced decode.
 */
export function findingOf(commit: AnswerCommit, reveal: CheckReveal, rung: Rung, limits: PairLimits | null): Finding {
  if (reveal.form === 'read') {
    const read = rung === 'statistical' ? rung : 'cross-class';
    const isShown = reveal.authentic !== null;
    if (reveal.authentic === false) return { rung: read, failed: ['shown'], isShown, cosine: null };
    const figures = reveal.authentic === null ? null : reveal.figures;
    const failed = figures === null || limits === null ? null : failuresIn(figures, limits);
    return { rung: read, failed, isShown, cosine: null };
  }
  const shown = reveal.shown?.authentic === true ? reveal.shown.vector : null;
  const similarity =
    shown === null || reveal.embedding === null
      ? null
      : cosine(vectorFromText(reveal.embedding.vector), vectorFromText(shown));
  return rung === 'exact' ? exactFinding(commit.chain, reveal.chain, similarity) : similarityFinding(similarity);
}
