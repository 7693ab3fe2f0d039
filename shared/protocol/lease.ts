import * as v from 'valibot';
import { MAX_OUTPUT_TOKENS } from '../limits.ts';
import { bytes16, classId, instant, key32, leaseNumber, modelName, taskTail } from './fields.ts';
import { RUNGS } from './rungs.ts';
import { taskKind } from './task-kind.ts';

/**
 * Every sampler value of a subtask, fixed by the router before a tab sees it. With the class and the prompt it determines the
 * answer to the byte, which is what checking, resuming and auditing stand on.
 */
export const sampling = v.strictObject({
  /** 0 means greedy. */
  temperature: v.pipe(v.number(), v.minValue(0), v.maxValue(2)),
  topP: v.pipe(v.number(), v.minValue(0), v.maxValue(1)),
  /** 0 means no limit. */
  topK: v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(1000)),
  minP: v.pipe(v.number(), v.minValue(0), v.maxValue(1)),
  frequencyPenalty: v.pipe(v.number(), v.minValue(-2), v.maxValue(2)),
  presencePenalty: v.pipe(v.number(), v.minValue(-2), v.maxValue(2)),
  /** 32 bits; the all-ones value means "random" to the engine and is therefore excluded. */
  seed: v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(0xffff_fffe)),
  /** Tokens to write at most. The context of the class ends an answer earlier. */
  maxTokens: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(MAX_OUTPUT_TOKENS)),
});
export type Sampling = v.InferOutput<typeof sampling>;

/** The likeliest token, one: with every cut-off and penalty off. */
export const LIKELIEST: Sampling = {
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  frequencyPenalty: 0,
  presencePenalty: 0,
  seed: 0,
  maxTokens: 1,
};

/** Nothing is sampled where a text becomes a vector: these values, and no others, are in the lease of every such task. */
export const NOT_SAMPLED: Sampling = LIKELIEST;

/** The part of a subtask that a lease is for: write the answer, or write it again to check it. */
export const leaseRole = v.picklist(['answer', 'check']);
export type LeaseRole = v.InferOutput<typeof leaseRole>;

/**
 * Signed by the router: this tab may run this subtask, for this sender, with these parameters, under this key, until then. A lease
 * carries all that its readers need, so a router that lost its memory recognises its own leases when they come back.
 */
export const lease = v.object({
  v: v.literal(3),
  task: taskTail,
  subtask: v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(10_000)),
  attempt: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(16)),
  /** Unique among the pool's living leases; the epoch of this attempt. */
  number: leaseNumber,
  role: leaseRole,
  /** How a check is to be done: by what the answering tab runs and what this one does. Null for an answer. */
  rung: v.nullable(v.picklist(RUNGS)),
  /** Identity (Ed25519) of the tab. */
  tab: key32,
  /** The tab's X25519 key that the body is sealed to, and whether it is used once only. */
  sealTo: key32,
  oneTime: v.boolean(),
  model: modelName,
  variant: modelName,
  class: classId,
  /** Ed25519 key of whoever seals the body: a page's own, or the router's for plain HTTP clients. */
  client: key32,
  /** The client's nonce: one of the three parts of the draw of checkers. */
  nonce: bytes16,
  private: v.boolean(),
  kind: v.optional(taskKind, 'chat'),
  sampling,
  /** Commitment to the secret of the draw of checkers; see `checking/draw.ts`. */
  draw: key32,
  issuedAt: instant,
  expiresAt: instant,
});
export type Lease = v.InferOutput<typeof lease>;

/** Signed by a tab's identity: this X25519 key is mine. */
export const tabKey = v.object({
  v: v.literal(1),
  key: key32,
  oneTime: v.boolean(),
});
export type TabKey = v.InferOutput<typeof tabKey>;
