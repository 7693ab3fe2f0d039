import * as z from 'zod/mini';
import { MAX_OUTPUT_TOKENS } from '../limits.ts';
import { bytes16, classId, instant, key32, leaseNumber, modelName, taskTail } from './fields.ts';

/**
 * Every sampler value of a subtask, fixed by the router before a tab sees it. With the class and the prompt it determines the
 * answer to the byte, which is what checking, resuming and auditing stand on.
 */
export const sampling = z.strictObject({
  /** 0 means greedy. */
  temperature: z.number().check(z.minimum(0), z.maximum(2)),
  topP: z.number().check(z.minimum(0), z.maximum(1)),
  /** 0 means no limit. */
  topK: z.int().check(z.minimum(0), z.maximum(1000)),
  minP: z.number().check(z.minimum(0), z.maximum(1)),
  frequencyPenalty: z.number().check(z.minimum(-2), z.maximum(2)),
  presencePenalty: z.number().check(z.minimum(-2), z.maximum(2)),
  /** 32 bits; the all-ones value means "random" to the engine and is therefore excluded. */
  seed: z.int().check(z.minimum(0), z.maximum(0xffff_fffe)),
  /** Tokens to write at most. The context of the class ends an answer earlier. */
  maxTokens: z.int().check(z.minimum(1), z.maximum(MAX_OUTPUT_TOKENS)),
});
export type Sampling = z.infer<typeof sampling>;

/** The part of a subtask that a lease is for: write the answer, or write it again to check it. */
export const leaseRole = z.enum(['answer', 'check']);
export type LeaseRole = z.infer<typeof leaseRole>;

/**
 * Signed by the router: this tab may run this subtask, for this sender, with these parameters, under this key, until then. A lease
 * carries all that its readers need, so a router that lost its memory recognises its own leases when they come back.
 */
export const lease = z.object({
  v: z.literal(1),
  task: taskTail,
  subtask: z.int().check(z.minimum(0), z.maximum(10_000)),
  attempt: z.int().check(z.minimum(1), z.maximum(16)),
  /** Unique among the pool's living leases; the epoch of this attempt. */
  number: leaseNumber,
  role: leaseRole,
  /** Identity (Ed25519) of the tab. */
  tab: key32,
  /** The tab's X25519 key that the body is sealed to, and whether it is used once only. */
  sealTo: key32,
  oneTime: z.boolean(),
  model: modelName,
  variant: modelName,
  class: classId,
  /** Ed25519 key of whoever seals the body: a page's own, or the router's for plain HTTP clients. */
  client: key32,
  /** The client's nonce: makes the draw of checkers unpredictable to the router. */
  nonce: bytes16,
  private: z.boolean(),
  sampling,
  issuedAt: instant,
  expiresAt: instant,
});
export type Lease = z.infer<typeof lease>;

/** Signed by a tab's identity: this X25519 key is mine. */
export const tabKey = z.object({
  v: z.literal(1),
  key: key32,
  oneTime: z.boolean(),
});
export type TabKey = z.infer<typeof tabKey>;
