import * as v from 'valibot';
import { ShoalError } from '../errors.ts';
import { MAX_CONTROL_MESSAGE_BYTES, MAX_GUESSES, MAX_WANTED_CLASSES, ONE_TIME_KEY_BATCH } from '../limits.ts';
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

const wireError = v.object({
  code: shownText(64),
  message: v.pipe(v.string(), v.maxLength(2000)),
  param: v.nullable(v.pipe(v.string(), v.maxLength(200))),
});

/** A variant that a tab has loaded, and how fast it was seen to be. */
export const readyModel = v.object({
  model: modelName,
  variant: modelName,
  class: classId,
  /** Tokens per second with this device as it is now; null before the first answer. */
  decodeSpeed: v.nullable(v.pipe(v.number(), v.minValue(0), v.maxValue(1_000_000))),
});
export type ReadyModel = v.InferOutput<typeof readyModel>;

/** Number of a chunk at whose beginning a checker guesses, from 0. */
const guessIndex = v.pipe(v.number(), v.safeInteger(), v.minValue(0), v.maxValue(MAX_GUESSES - 1));

/** Signed in `hello`: this identity, on this router, for this challenge. */
export const helloClaim = v.object({ v: v.literal(1), nonce: key32, router: key32 });

const tabKeys = v.pipe(v.array(signed), v.maxLength(ONE_TIME_KEY_BATCH + 1));

export const tabToRouter = v.variant('t', [
  v.object({
    t: v.literal('hello'),
    v: v.pipe(v.number(), v.safeInteger()),
    proof: signed,
    /** The standing sealing key first, one-time keys after it. */
    keys: tabKeys,
    models: v.pipe(v.array(readyModel), v.maxLength(16)),
    /** Whether this tab may open direct links, which show each side's network address to the other. */
    direct: v.boolean(),
    /** Checks other tabs' answers, and gives none itself: for devices that are too slow to be waited for, and for guards. */
    checkOnly: v.boolean(),
    /** The operator's pass for its own checkers; null for everyone else. */
    guard: v.nullable(base64Url(64)),
    /** Numbers of the leases that the tab is still working on, after a dropped socket. */
    running: v.pipe(v.array(leaseNumber), v.maxLength(64)),
  }),
  v.object({ t: v.literal('keys'), keys: tabKeys }),
  v.object({
    t: v.literal('ready'),
    models: v.pipe(v.array(readyModel), v.maxLength(16)),
    direct: v.boolean(),
    checkOnly: v.boolean(),
  }),
  /** `promptTokens`: null from a checker that reads, and does not count. */
  v.object({ t: v.literal('accepted'), number: leaseNumber, promptTokens: v.nullable(count) }),
  v.object({ t: v.literal('failed'), lease: signed, error: wireError }),
  v.object({ t: v.literal('committed'), lease: signed, commit: signed }),
  v.object({
    t: v.literal('handedOn'),
    lease: signed,
    path: v.picklist(['direct', 'relay']),
    bytes: count,
  }),
  v.object({ t: v.literal('checkCommitted'), lease: signed, commit: signed }),
  /** A checker that reads has guessed how chunk `index` begins, and may be shown it. The guess about the first chunk is its commit. */
  v.object({ t: v.literal('guessed'), lease: signed, index: guessIndex, leaf: key32 }),
  v.object({
    t: v.literal('checkRevealed'),
    lease: signed,
    reveal: signed,
    /** For the client of a private task: one sealed frame. */
    evidence: v.nullable(base64Url(32_768)),
  }),
  v.object({ t: v.literal('offer'), link: bytes16, to: key32, signal: signed }),
  v.object({ t: v.literal('answer'), link: bytes16, signal: v.nullable(signed) }),
  v.object({ t: v.literal('bye') }),
]);
export type TabToRouter = v.InferOutput<typeof tabToRouter>;

export const routerToTab = v.variant('t', [
  v.object({ t: v.literal('challenge'), v: v.pipe(v.number(), v.safeInteger()), nonce: key32, router: key32 }),
  v.object({ t: v.literal('welcome'), tab: key32, now: instant }),
  v.object({ t: v.literal('keysWanted'), count }),
  v.object({ t: v.literal('stop'), number: leaseNumber }),
  v.object({ t: v.literal('resend'), number: leaseNumber, from: count }),
  /** Hand this sealed subtask on to another tab: its sealed body is the one that you hold. */
  v.object({ t: v.literal('handOn'), number: leaseNumber, wrap, to: key32, direct: v.boolean() }),
  /** The checker has committed: hand it your answer, or one chunk of it, sealed to its evidence key. */
  v.object({
    t: v.literal('show'),
    number: leaseNumber,
    check: leaseNumber,
    to: key32,
    evidenceKey: key32,
    /** Null: the whole answer. */
    chunk: v.nullable(guessIndex),
  }),
  /** To the checker: the commit that the answer you are shown must fit, and whether the first tab is there to show it. */
  v.object({ t: v.literal('reveal'), number: leaseNumber, commit: signed, willBeShown: v.boolean() }),
  v.object({ t: v.literal('offer'), link: bytes16, from: key32, signal: signed }),
  v.object({ t: v.literal('answer'), link: bytes16, signal: v.nullable(signed) }),
  v.object({
    t: v.literal('verdict'),
    task: taskTail,
    role: v.picklist(['answer', 'check']),
    value: v.picklist(['valid', 'invalid', 'disputed', 'inconclusive', 'unchecked']),
    /** What it says of this tab's part; null when nothing. */
    outcome: v.nullable(v.picklist(['agreed', 'refuted', 'disputed', 'missed', 'passed'])),
  }),
  /** To a tab that is free: requests wait for these classes, or nobody serves them; the shortest first. A hint, and no promise of work. */
  v.object({ t: v.literal('wanted'), classes: v.pipe(v.array(classId), v.maxLength(MAX_WANTED_CLASSES)) }),
  v.object({ t: v.literal('refused'), error: wireError }),
]);
export type RouterToTab = v.InferOutput<typeof routerToTab>;

/** Close codes of a tab's socket. */
export const CLOSE = {
  /** The tab said something that the protocol does not know, or proved nothing: do not come back without a reload. */
  protocol: 4400,
  /** The tab did not take up a lease in time: its socket may be dead. Come back. */
  late: 4408,
  /** Another tab with the same identity took its place. */
  replaced: 4409,
  /** The tab's place is in another pool of the network: come back at once. */
  moved: 4421,
  version: 4426,
} as const;

/** Text of the beat that the platform answers without waking the object. */
export const PING = 'ping';
export const PONG = 'pong';

function decode<T>(schema: v.GenericSchema<unknown, T>, text: string): T {
  if (text.length > MAX_CONTROL_MESSAGE_BYTES) throw malformed('it is too long');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw malformed('it is not JSON');
  }
  const parsed = v.safeParse(schema, value);
  if (!parsed.success) throw malformed(v.getDotPath(parsed.issues[0]) ?? 'its shape is unknown');
  return parsed.output;
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
