import { failuresIn } from '../../shared/checking/forced-decode.ts';
import { chunkCuts, scoreGuesses } from '../../shared/checking/next-token-commits.ts';
import { lease as leaseSchema } from '../../shared/protocol/lease.ts';
import type { Receipt, ReceiptCheck } from '../../shared/receipt/receipt.ts';
import { checkReveal } from '../../shared/receipt/statements.ts';
import { leaseDigest } from '../../shared/sealing/envelope.ts';
import { parsePayload } from '../../shared/signing/signed-statement.ts';

/** Fewer cuts than this say too little. */
const LEAST_CUTS = 2;

/** Whoever runs the model has guessed nearly every cut of an answer that fits (docs/checking.md, "Blind next-token commits"); whoever does not, hardly any. */
const LEAST_SHARE = 0.5;

export interface BlindChecker {
  readonly tab: string;
  readonly class: string;
}

/**
 * Checkers that say of an answer that it fits, and guessed it so badly that they hardly run the model. Needs the answer, and guesses that were opened: plain
 * HTTP alone. The receipt is one of our own.
 */
export async function blindCheckers(receipt: Receipt, answer: string): Promise<readonly BlindChecker[]> {
  const blind = await Promise.all(receipt.checks.map((check) => blindOf(check, receipt.task, answer)));
  return blind.filter((one) => one !== null);
}

async function blindOf(check: ReceiptCheck, task: string, answer: string): Promise<BlindChecker | null> {
  if (check.reveal === null || check.limits === null) return null;
  const opened = parsePayload('check-reveal', checkReveal, check.reveal);
  if (opened.form !== 'read' || opened.guesses === null || opened.figures === null) return null;
  if (failuresIn(opened.figures, check.limits).length > 0) return null;
  const { length: cuts } = chunkCuts(answer);
  if (opened.authentic !== true || cuts < LEAST_CUTS) return null; // One that was not shown the whole answer has judged nothing.
  const scope = { task, lease: await leaseDigest(check.lease), checker: check.checker };
  // Whoever says that it saw the whole behind fewer guesses guessed too little too.
  const score = await scoreGuesses(scope, answer, opened.leaves, opened.guesses).catch(() => null);
  if (score !== null && score.among >= LEAST_SHARE * cuts) return null;
  return { tab: check.checker, class: parsePayload('lease', leaseSchema, check.lease).class };
}
