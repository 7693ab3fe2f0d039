import { scoreGuesses } from '../../shared/checking/next-token-commits.ts';
import { HONEST, IDLE_CHECKERS, type ProbeRow } from '../../shared/checking/probe-row.ts';
import { lease as leaseSchema } from '../../shared/protocol/lease.ts';
import type { Receipt, ReceiptCheck } from '../../shared/receipt/receipt.ts';
import { checkReveal, type ReadReveal } from '../../shared/receipt/statements.ts';
import { leaseDigest } from '../../shared/sealing/envelope.ts';
import { parsePayload } from '../../shared/signing/signed-statement.ts';

/** What one tab found when it read another's answer to a question of the network. Users' answers are never among them. */
export interface Reading {
  readonly model: string;
  /** Both, and the classes that they served. */
  readonly answered: { readonly tab: string; readonly class: string };
  readonly checker: { readonly tab: string; readonly class: string };
  /** Its prompt is still without a number. */
  readonly row: Omit<ProbeRow, 'prompt'>;
}

/** The readings of a receipt of our own, as rows of the data of calibration: of answers that were shown to the end, with figures and opened guesses. */
export async function readingsOf(receipt: Receipt, answer: string): Promise<readonly Reading[]> {
  if (receipt.lease === null) return [];
  const { tab, class: classId } = parsePayload('lease', leaseSchema, receipt.lease);
  const readings = await Promise.all(receipt.checks.map((check) => readingOf(check, receipt, answer)));
  return readings.flatMap((one) => (one === null ? [] : [{ ...one, answered: { tab, class: classId } }]));
}

async function readingOf(
  check: ReceiptCheck,
  receipt: Receipt,
  answer: string,
): Promise<Omit<Reading, 'answered'> | null> {
  const opened = check.reveal === null ? null : parsePayload('check-reveal', checkReveal, check.reveal);
  if (opened?.form !== 'read' || opened.authentic !== true || opened.figures === null) return null;
  const lease = parsePayload('lease', leaseSchema, check.lease);
  const rung = lease.rung === 'statistical' || lease.rung === 'cross-class' ? lease.rung : null;
  const scope = { task: receipt.task, lease: await leaseDigest(check.lease), checker: check.checker };
  const score = await scoreGuesses(scope, answer, opened.leaves, opened.guesses ?? []).catch(() => null);
  if (rung === null || score === null) return null;
  return {
    model: receipt.model,
    checker: { tab: check.checker, class: lease.class },
    row: {
      population: HONEST,
      temperature: receipt.sampling.temperature,
      checker: IDLE_CHECKERS[rung],
      same: 1,
      ...cellsOf(opened.figures),
      ...score,
    },
  };
}

function cellsOf({ statistics }: NonNullable<ReadReveal['figures']>) {
  const [greedy, sampled, seeded] = (['greedy', 'sampled', 'seeded'] as const).map((form) =>
    statistics.find((one) => one.form === form),
  );
  return {
    positions: statistics[0]?.positions ?? 0,
    // Of a sampled answer nobody signs these, and no limit is made of them.
    meanGap: greedy?.form === 'greedy' ? greedy.meanGap : 0,
    largestGap: greedy?.form === 'greedy' ? greedy.largestGap : 0,
    outside: greedy?.form === 'greedy' ? greedy.outside : 0,
    z: sampled?.form === 'sampled' ? sampled.z : null,
    largestSurprise: sampled?.form === 'sampled' ? sampled.largestSurprise : null,
    undrawable: sampled?.form === 'sampled' ? sampled.outside : null,
    meanDistance: seeded?.form === 'seeded' ? seeded.meanDistance : null,
    strayed: seeded?.form === 'seeded' ? seeded.strayed : null,
  };
}
