import type { DrawOrder, DrawResult, LedgerOrder, Pay } from '../ledger/transfer.ts';
import type { Terms } from './bill.ts';

/**
 * What one session may spend for one payer, as a pure machine: `stepPurse(purse, event)` gives the next state. Money comes out of the ledger as a grant and is
 * spent here, so that no task waits for the ledger while the grant suffices:
 *
 *   free ──hold──▶ held by a task ──settle──▶ an order for the ledger, and the rest is free again
 *
 * Every order keeps its id until the ledger has taken it, so it may be given as often as its outcome is unknown. Persisted as JSON: fields may be added,
 * never repurposed.
 */

/** Who pays, and within which limits. */
export interface Payer {
  /** The owner's account at the ledger. */
  readonly account: string;
  /** Id of the API key that spends; null without one. */
  readonly key: string | null;
  /** Most that the key may ever spend, micro-credits; null: no limit. */
  readonly budget: number | null;
  /** Without an account: what the faucet fills up once a day, micro-credits; null: an account of its own. */
  readonly allowance: number | null;
}

/** Money that is set aside for a task before it begins. */
export interface Hold {
  readonly task: string;
  readonly grant: string;
  /** Most that the task can cost, micro-credits. */
  readonly amount: number;
  readonly at: number;
  readonly terms: Terms;
  /** How long after its end the reader may still say what became of it, ms: of a part of a request, or of an answer that several tabs wrote at. Left out: it is settled at once. */
  readonly wordMs?: number;
  /** Whoever asked was given it, or the router threw it away. */
  readonly word?: PartWord;
}

/** What became of an answer, by the router's own word that reads it: only what was given is charged. */
export type PartWord = 'given' | 'discarded';

export interface Purse {
  readonly session: string;
  readonly payer: Payer;
  /** The open grant; null before the first draw and after it was given back. */
  readonly grant: { readonly id: string; readonly free: number; readonly expiresAt: number } | null;
  /** Grants and draws so far: they number the ids. */
  readonly grants: number;
  readonly draws: number;
  /** A draw whose outcome is not known. */
  readonly drawing: DrawOrder | null;
  readonly holds: readonly Hold[];
  /** For the ledger, in this order. */
  readonly orders: readonly LedgerOrder[];
  readonly usedAt: number;
}

export type PurseEvent = { readonly at: number } & (
  | {
      readonly type: 'hold';
      readonly task: string;
      readonly amount: number;
      readonly terms: Terms;
      readonly wordMs?: number | undefined;
    }
  /** Somebody will say what became of this task: it is not to be charged before. */
  | { readonly type: 'word_awaited'; readonly task: string; readonly wordMs: number }
  | { readonly type: 'told'; readonly tasks: readonly string[]; readonly word: PartWord }
  /** More money is wanted, for a task of this amount. */
  | { readonly type: 'draw'; readonly amount: number }
  | { readonly type: 'drawn'; readonly id: string; readonly result: DrawResult }
  | { readonly type: 'settle'; readonly task: string; readonly charge: number; readonly pays: readonly Pay[] }
  | { readonly type: 'release'; readonly task: string }
  | { readonly type: 'taken'; readonly orders: readonly string[] }
  | { readonly type: 'clock' }
);

/** A task may last so long from its hold to its end, ms: waiting, the answer, and six checks one after the other. A hold's grant lives longer. */
export const LONGEST_TASK_MS = 60 * 60 * 1000;

/** A session that spent nothing for so long gives its grant back, ms: others of the same owner may want it. */
export const IDLE_GRANT_MS = 60_000;

/** A draw asks for so many times what its task needs, so that the next turns of a conversation need not ask. */
const TASKS_A_DRAW = 8;

export function newPurse(session: string, payer: Payer, at: number): Purse {
  return { session, payer, grant: null, grants: 0, draws: 0, drawing: null, holds: [], orders: [], usedAt: at };
}

export function holdOf(purse: Purse, task: string): Hold | null {
  return purse.holds.find((hold) => hold.task === task) ?? null;
}

/** Nothing is held, owed, or wanted of the ledger any more. */
export function isSpent(purse: Purse): boolean {
  return purse.grant === null && purse.drawing === null && purse.holds.length === 0 && purse.orders.length === 0;
}

export function stepPurse(purse: Purse, event: PurseEvent): Purse {
  switch (event.type) {
    case 'hold':
      return held(purse, event);
    case 'draw':
      return drawing(purse, event);
    case 'drawn':
      return drawn(purse, event);
    case 'settle': {
      const hold = holdOf(purse, event.task);
      if (hold === null) return purse;
      const charge = Math.min(event.charge, hold.amount);
      const { task, pays } = event;
      const order: LedgerOrder = { kind: 'settle', id: `settle:${task}`, grant: hold.grant, task, charge, pays };
      const orders = charge === 0 && pays.length === 0 ? purse.orders : [...purse.orders, order];
      return { ...withoutHold(purse, hold, charge), orders, usedAt: event.at };
    }
    case 'word_awaited': {
      const { task, wordMs } = event;
      return { ...purse, holds: purse.holds.map((hold) => (hold.task === task ? { wordMs, ...hold } : hold)) };
    }
    case 'told':
      return { ...purse, holds: purse.holds.map((hold) => told(hold, event)) };
    case 'release': {
      const hold = holdOf(purse, event.task);
      return hold === null ? purse : { ...withoutHold(purse, hold, 0), usedAt: event.at };
    }
    case 'taken':
      return { ...purse, orders: purse.orders.filter(({ id }) => !event.orders.includes(id)) };
    case 'clock':
      return rested(purse, event.at);
  }
}

/** Holds the amount if what is free covers it, and lasts as long as the task may. Unchanged otherwise: a draw is wanted. */
function held(purse: Purse, { at, task, amount, terms, wordMs }: Extract<PurseEvent, { type: 'hold' }>): Purse {
  const { grant } = purse;
  const isGood = grant !== null && grant.free >= amount && grant.expiresAt >= at + LONGEST_TASK_MS;
  if (holdOf(purse, task) !== null || !isGood) return purse;
  return {
    ...purse,
    grant: { ...grant, free: grant.free - amount },
    holds: [...purse.holds, { task, grant: grant.id, amount, at, terms, ...(wordMs !== undefined && { wordMs }) }],
    usedAt: at,
  };
}

/** The first word counts. */
function told(hold: Hold, { tasks, word }: Extract<PurseEvent, { type: 'told' }>): Hold {
  return hold.word !== undefined || !tasks.includes(hold.task) ? hold : { ...hold, word };
}

/** One draw at a time: the same one until its outcome is known. */
function drawing(purse: Purse, { at, amount }: Extract<PurseEvent, { type: 'draw' }>): Purse {
  if (purse.drawing !== null) return purse;
  const current = purse.grant !== null && purse.grant.expiresAt > at ? purse.grant : null;
  const grants = current === null ? purse.grants + 1 : purse.grants;
  const draws = purse.draws + 1;
  const { account, key } = purse.payer;
  return {
    ...purse,
    grant: current,
    grants,
    draws,
    drawing: {
      id: `draw:${purse.session}:${account}:${key ?? ''}:${draws}`,
      grant: current?.id ?? `${purse.session}:${account}:${key ?? ''}:${grants}`,
      account,
      key,
      need: Math.max(0, amount - (current?.free ?? 0)),
      want: amount * TASKS_A_DRAW,
    },
  };
}

function drawn(purse: Purse, { id, result }: Extract<PurseEvent, { type: 'drawn' }>): Purse {
  const { drawing: order, grant } = purse;
  if (order?.id !== id) return purse;
  const known = { ...purse, drawing: null };
  switch (result.status) {
    case 'refused':
      return known;
    case 'over':
      return { ...known, grant: grant?.id === order.grant ? null : grant };
    case 'granted': {
      const before = grant?.id === order.grant ? grant.free : 0;
      return { ...known, grant: { id: order.grant, free: before + result.amount, expiresAt: result.expiresAt } };
    }
  }
}

/** What a hold leaves over is free again, unless its grant is over: then the ledger has given it back. */
function withoutHold(purse: Purse, hold: Hold, charge: number): Purse {
  const { grant } = purse;
  return {
    ...purse,
    grant: grant?.id === hold.grant ? { ...grant, free: grant.free + hold.amount - charge } : grant,
    holds: purse.holds.filter((other) => other !== hold),
  };
}

/** An idle grant goes back. One that expired has gone back by itself. */
function rested(purse: Purse, at: number): Purse {
  const { grant, holds, orders } = purse;
  if (grant === null || purse.drawing !== null) return purse;
  if (grant.expiresAt <= at) return { ...purse, grant: null };
  if (at - purse.usedAt < IDLE_GRANT_MS || holds.some((hold) => hold.grant === grant.id)) return purse;
  return { ...purse, grant: null, orders: [...orders, { kind: 'close', id: `close:${grant.id}`, grant: grant.id }] };
}
