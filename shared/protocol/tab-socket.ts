import * as z from 'zod/mini';
import { ShoalError } from '../errors.ts';
import { MAX_CONTROL_MESSAGE_BYTES, ONE_TIME_KEY_BATCH } from '../limits.ts';
import { wrap } from '../sealing/envelope.ts';
import { signed } from '../signing/signed-statement.ts';
import {
  base64Url,
  bytes16,
  classId,
  count,
  instant,
  key32,
  leaseNumber,
  modelName,
  shownText,
  taskTail,
} from './fields.ts';

/** Control messages between a tab and the router: JSON text on the tab's socket. Binary packets are in `packets.ts`. */

const wireError = z.object({
  code: shownText(64),
  message: z.string().check(z.maxLength(2000)),
  param: z.nullable(z.string().check(z.maxLength(200))),
});

/** A variant that a tab has loaded, and how fast it was seen to be. */
export const readyModel = z.object({
  model: modelName,
  variant: modelName,
  class: classId,
  /** Tokens per second with this device as it is now; null before the first answer. */
  decodeSpeed: z.nullable(z.number().check(z.minimum(0), z.maximum(1_000_000))),
});
export type ReadyModel = z.infer<typeof readyModel>;

/** One offer, one answer: the session description, signed so that whoever passes it on cannot put itself in between. */
export const signalClaim = z.object({
  v: z.literal(1),
  link: bytes16,
  /** Identity of the receiver. */
  to: key32,
  type: z.enum(['offer', 'answer']),
  sdp: z.string().check(z.maxLength(16_384)),
});
export type SignalClaim = z.infer<typeof signalClaim>;

/** Signed in `hello`: this identity, on this router, for this challenge. */
export const helloClaim = z.object({ v: z.literal(1), nonce: key32, router: key32 });

const tabKeys = z.array(signed).check(z.maxLength(ONE_TIME_KEY_BATCH + 1));

export const tabToRouter = z.discriminatedUnion('t', [
  z.object({
    t: z.literal('hello'),
    v: z.int(),
    proof: signed,
    /** The standing sealing key first, one-time keys after it. */
    keys: tabKeys,
    models: z.array(readyModel).check(z.maxLength(16)),
    /** Whether this tab may open direct links, which show each side's network address to the other. */
    direct: z.boolean(),
    /** Numbers of the leases that the tab is still working on, after a dropped socket. */
    running: z.array(leaseNumber).check(z.maxLength(64)),
  }),
  z.object({ t: z.literal('keys'), keys: tabKeys }),
  z.object({ t: z.literal('ready'), models: z.array(readyModel).check(z.maxLength(16)), direct: z.boolean() }),
  z.object({ t: z.literal('accepted'), number: leaseNumber, promptTokens: count }),
  z.object({ t: z.literal('failed'), lease: signed, error: wireError }),
  z.object({ t: z.literal('committed'), lease: signed, commit: signed }),
  z.object({
    t: z.literal('handedOn'),
    lease: signed,
    path: z.enum(['direct', 'relay']),
    bytes: count,
  }),
  z.object({ t: z.literal('checkCommitted'), lease: signed, commit: signed }),
  z.object({
    t: z.literal('checkRevealed'),
    lease: signed,
    reveal: signed,
    /** For the client of a private task: one sealed frame. */
    evidence: z.nullable(base64Url(32_768)),
  }),
  z.object({ t: z.literal('offer'), link: bytes16, to: key32, signal: signed }),
  z.object({ t: z.literal('answer'), link: bytes16, signal: z.nullable(signed) }),
  z.object({ t: z.literal('bye') }),
]);
export type TabToRouter = z.infer<typeof tabToRouter>;

export const routerToTab = z.discriminatedUnion('t', [
  z.object({ t: z.literal('challenge'), v: z.int(), nonce: key32, router: key32 }),
  z.object({ t: z.literal('welcome'), tab: key32, now: instant }),
  z.object({ t: z.literal('keysWanted'), count }),
  z.object({ t: z.literal('stop'), number: leaseNumber }),
  z.object({ t: z.literal('resend'), number: leaseNumber, from: count }),
  /** Hand this sealed subtask on to another tab: its sealed body is the one that you hold. */
  z.object({ t: z.literal('handOn'), number: leaseNumber, wrap, to: key32, direct: z.boolean() }),
  /** The checker has committed: hand it your answer, sealed to its evidence key. */
  z.object({ t: z.literal('show'), number: leaseNumber, check: leaseNumber, to: key32, evidenceKey: key32 }),
  /** To the checker: the commit that the answer you are shown must fit, and whether the first tab is there to show it. */
  z.object({ t: z.literal('reveal'), number: leaseNumber, commit: signed, willBeShown: z.boolean() }),
  z.object({ t: z.literal('offer'), link: bytes16, from: key32, signal: signed }),
  z.object({ t: z.literal('answer'), link: bytes16, signal: z.nullable(signed) }),
  z.object({
    t: z.literal('verdict'),
    task: taskTail,
    role: z.enum(['answer', 'check']),
    value: z.enum(['valid', 'invalid', 'unchecked']),
  }),
  z.object({ t: z.literal('refused'), error: wireError }),
]);
export type RouterToTab = z.infer<typeof routerToTab>;

/** Close codes of a tab's socket. */
export const CLOSE = {
  /** The tab said something that the protocol does not know, or proved nothing: do not come back without a reload. */
  protocol: 4400,
  /** Another tab with the same identity took its place. */
  replaced: 4409,
  version: 4426,
} as const;

/** Text of the beat that the platform answers without waking the object. */
export const PING = 'ping';
export const PONG = 'pong';

function decode<T>(schema: z.ZodMiniType<T>, text: string): T {
  if (text.length > MAX_CONTROL_MESSAGE_BYTES) throw malformed('it is too long');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw malformed('it is not JSON');
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw malformed(parsed.error.issues[0]?.path.join('.') ?? 'its shape is unknown');
  return parsed.data;
}

function malformed(why: string): ShoalError {
  return new ShoalError('invalid_value', `A message on the tab's socket was refused: ${why}.`);
}

/** Throws `invalid_value` on anything that is not a message of the protocol. */
export const decodeTabToRouter = (text: string): TabToRouter => decode(tabToRouter, text);
export const decodeRouterToTab = (text: string): RouterToTab => decode(routerToTab, text);

export function encodeMessage(message: TabToRouter | RouterToTab): string {
  return JSON.stringify(message);
}
