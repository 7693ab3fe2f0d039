import * as z from 'zod/mini';
import { verdict } from '../checking/verdict.ts';
import { classId, count, instant, key32, modelName, shownText, taskTail } from '../protocol/fields.ts';
import { sampling } from '../protocol/lease.ts';
import { signed } from '../signing/signed-statement.ts';

/** How far apart two tabs are known to be: another key only, or another network prefix too. */
export const independence = z.enum(['key', 'network']);
export type Independence = z.infer<typeof independence>;

export const receiptCheck = z.object({
  /** Identity of the checking tab. */
  checker: key32,
  independence,
  method: z.literal('exact-re-execution'),
  /** Router's lease, the tab's commitment, its opening. */
  lease: signed,
  commit: z.nullable(signed),
  reveal: z.nullable(signed),
  /** How the sealed subtask reached the checker. */
  handedOn: z.nullable(z.object({ path: z.enum(['direct', 'relay']), bytes: count })),
});
export type ReceiptCheck = z.infer<typeof receiptCheck>;

/**
 * Persisted and signed: what the router says of one task. The router signs exactly the text that is shipped, so a reader verifies
 * first and parses afterwards.
 */
export const receipt = z.object({
  v: z.literal(1),
  task: taskTail,
  /** Origin of the router, as the client knew it. */
  network: shownText(300),
  model: modelName,
  variant: modelName,
  class: z.nullable(classId),
  private: z.boolean(),
  level: z.enum(['none', 'cross']),
  sampling,
  openedAt: instant,
  endedAt: instant,
  outcome: z.discriminatedUnion('value', [
    z.object({ value: z.literal('answered') }),
    z.object({ value: z.literal('cancelled') }),
    z.object({ value: z.literal('failed'), code: shownText(64) }),
  ]),
  /** Router's lease to the answering tab and that tab's commit; null as far as the task did not get there. */
  lease: z.nullable(signed),
  commit: z.nullable(signed),
  checks: z.array(receiptCheck).check(z.maxLength(16)),
  verdict,
  /** Everyone who held a key to the prompt. */
  readers: z.array(z.object({ role: z.enum(['router', 'answer', 'check']), key: key32 })),
});
export type Receipt = z.infer<typeof receipt>;
