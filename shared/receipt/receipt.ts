import * as v from 'valibot';
import { independence } from '../checking/draw.ts';
import { pairLimits } from '../checking/forced-decode.ts';
import { standing } from '../checking/standing.ts';
import { checkMethod, verdict } from '../checking/verdict.ts';
import { MAX_CANDIDATES, MAX_DRAWS } from '../limits.ts';
import { classId, count, instant, key32, modelName, shownText, taskTail } from '../protocol/fields.ts';
import { sampling } from '../protocol/lease.ts';
import { checks, level } from '../protocol/level.ts';
import { signed } from '../signing/signed-statement.ts';
import { priceLines } from './price-lines.ts';

export const receiptCheck = v.object({
  /** Identity of the checking tab. */
  checker: key32,
  independence,
  /** The strongest that the classes of the two tabs allow. */
  method: checkMethod,
  /** What a forced decode was held against; null for the other methods. */
  limits: v.nullable(pairLimits),
  /** Router's lease, the tab's commitment, its opening. */
  lease: signed,
  commit: v.nullable(signed),
  reveal: v.nullable(signed),
  /** How the sealed subtask reached the checker. */
  handedOn: v.nullable(v.object({ path: v.picklist(['direct', 'relay']), bytes: count })),
});
export type ReceiptCheck = v.InferOutput<typeof receiptCheck>;

/**
 * Persisted and signed: what the router says of one task. The router signs exactly the text that is shipped, so a reader verifies
 * first and parses afterwards.
 */
export const receipt = v.object({
  v: v.literal(3),
  task: taskTail,
  /** Origin of the router, as the client knew it. */
  network: shownText(300),
  model: modelName,
  variant: modelName,
  class: v.nullable(classId),
  private: v.boolean(),
  level,
  /** Agreeing checks that were asked for. */
  wanted: checks,
  sampling,
  openedAt: instant,
  endedAt: instant,
  outcome: v.union([
    v.object({ value: v.literal('answered') }),
    v.object({ value: v.literal('cancelled') }),
    v.object({ value: v.literal('failed'), code: shownText(64) }),
  ]),
  /** How the answering tab stood with this router when it was leased: the router's own word. */
  standing,
  /** Router's lease to the answering tab and that tab's commit; null as far as the task did not get there. */
  lease: v.nullable(signed),
  commit: v.nullable(signed),
  /**
   * The draw of the checkers, opened: candidates in their order, and how many of them were drawn, one after the other. Null when there was none. One
   * that was drawn and is missing from the checks was gone by then.
   */
  draw: v.nullable(
    v.object({
      secret: key32,
      candidates: v.pipe(v.array(v.object({ tab: key32, independence })), v.maxLength(MAX_CANDIDATES)),
      drawn: count,
    }),
  ),
  /** In the order of the draw. */
  checks: v.pipe(v.array(receiptCheck), v.maxLength(MAX_DRAWS)),
  verdict,
  /** Everyone who held a key to the prompt. */
  readers: v.array(v.object({ role: v.picklist(['router', 'answer', 'check']), key: key32 })),
  /** What it costs whoever asked; null when nothing was set aside for it. Left out by older routers. */
  price: v.optional(v.nullable(priceLines)),
});
export type Receipt = v.InferOutput<typeof receipt>;
