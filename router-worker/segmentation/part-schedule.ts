import type { ErrorCode } from '../../shared/errors.ts';
import { ERROR_POLICIES } from '../../shared/refusals.ts';

/**
 * The parts of one request: which are asked for now, where again, and which twice. Pure: what happened goes in, what is to be done comes out. The pool says
 * which tab is free; this says how many parts stand in its line.
 *
 * A part is *held* until it is asked for, has one attempt at work, or two when the first is a straggler, and ends once: delivered or given up.
 */

/** Parts of one request that are asked for at once, at most: more tabs than most networks have free, and what one Worker can follow with its sealing. */
export const MAX_PARTS_AT_ONCE = 32;

/**
 * Parts that stand in the pool's line beside those at work: as many as run, so that tabs that finish together are all busy again at once, and no more than these,
 * so that one request does not fill a line of 64.
 */
export const LEAST_SPARE_PARTS = 2;
export const MOST_SPARE_PARTS = 8;

/** How often one part may fail before it is given up. */
export const MAX_PART_FAILURES = 3;

/** Pause before a part is asked for again when no tab was there, ms: about what a page takes to reload. */
export const NO_TAB_PAUSE_MS = 1_000;

/** A part is a straggler when it takes this many times the middle duration of those that were delivered, and no less than this, ms. */
export const STRAGGLER_TIMES = 2;
export const LEAST_STRAGGLER_MS = 500;

/** Pause before a straggler is hedged again after no tab was free for it, ms. */
export const HEDGE_PAUSE_MS = 1_000;

/** Of all parts, this share may be hedged, but always two: what a request may cost beyond its own work. */
export const HEDGE_SHARE = 0.25;
export const LEAST_HEDGES = 2;

type AttemptPhase = 'asked' | 'waiting' | 'leased';

interface Attempt {
  readonly id: number;
  readonly isHedge: boolean;
  readonly phase: AttemptPhase;
  readonly tab: string | null;
  readonly leasedAt: number;
  readonly avoid: readonly string[];
}

type PartPhase = 'held' | 'running' | 'delivered' | 'givenUp';

interface Part {
  readonly id: number;
  /** Parts of one group have the same prompt and want different tabs; null: alone. */
  readonly group: string | null;
  readonly phase: PartPhase;
  /** Held: not before this instant. Running: no hedge before it. */
  readonly notBefore: number;
  readonly open: readonly Attempt[];
  readonly failures: number;
  /** Tabs that failed it. */
  readonly tried: readonly string[];
  /** The tab whose answer was delivered. */
  readonly by: string | null;
}

export interface PartSchedule {
  readonly parts: readonly Part[];
  readonly nextAttempt: number;
  /** Time from lease to answer of the parts that were delivered, ms. */
  readonly durations: readonly number[];
  readonly hedges: number;
  /** A tab was seen at all. */
  readonly everLeased: boolean;
  /** The pool had no free tab the last time it was asked for all. */
  readonly isFull: boolean;
  readonly isStopped: boolean;
}

export const EMPTY_SCHEDULE: PartSchedule = {
  parts: [],
  nextAttempt: 1,
  durations: [],
  hedges: 0,
  everLeased: false,
  isFull: false,
  isStopped: false,
};

export type PartEvent =
  /** Ids rise: they are the order of the parts. */
  | { readonly t: 'added'; readonly parts: readonly { readonly id: number; readonly group: string | null }[] }
  /** The pool took no more: no tab is free and enough wait. */
  | { readonly t: 'untaken'; readonly attempts: readonly number[] }
  | { readonly t: 'waiting'; readonly attempt: number }
  | { readonly t: 'leased'; readonly attempt: number; readonly tab: string }
  | { readonly t: 'answered'; readonly attempt: number }
  | { readonly t: 'failed'; readonly attempt: number; readonly code: ErrorCode }
  | { readonly t: 'stopped' }
  /** Time went by. */
  | { readonly t: 'looked' };

export interface PartAsk {
  readonly attempt: number;
  readonly part: number;
  /** Tabs that are not to be leased for it. */
  readonly avoid: readonly string[];
}

export type PartDecision =
  /** In one call of the pool, in this order. */
  | { readonly do: 'ask'; readonly asks: readonly PartAsk[] }
  | { readonly do: 'stop'; readonly attempt: number }
  | { readonly do: 'deliver'; readonly part: number; readonly attempt: number }
  | { readonly do: 'giveUp'; readonly part: number; readonly code: ErrorCode };

export interface PartStep {
  readonly schedule: PartSchedule;
  readonly decisions: readonly PartDecision[];
}

export interface PartCounts {
  readonly of: number;
  readonly held: number;
  readonly waiting: number;
  readonly running: number;
  readonly delivered: number;
  readonly givenUp: number;
}

export function countParts({ parts }: PartSchedule): PartCounts {
  const count = (test: (part: Part) => boolean) => parts.filter(test).length;
  const atWork = count(isAtWork);
  return {
    of: parts.length,
    held: count(({ phase }) => phase === 'held'),
    waiting: count(({ phase }) => phase === 'running') - atWork,
    running: atWork,
    delivered: count(({ phase }) => phase === 'delivered'),
    givenUp: count(({ phase }) => phase === 'givenUp'),
  };
}

/** What follows from an event. Events of attempts that are over change nothing. `now` in ms, of any clock that does not go back. */
export function stepParts(before: PartSchedule, event: PartEvent, now: number): PartStep {
  const { schedule, decisions } = taken(before, event, now);
  if (schedule.isStopped) return { schedule, decisions };
  const asked = withAsks(schedule, now);
  return { schedule: asked.schedule, decisions: [...decisions, ...asked.decisions] };
}

function taken(schedule: PartSchedule, event: PartEvent, now: number): PartStep {
  switch (event.t) {
    case 'added':
      return added(schedule, event.parts);
    case 'looked':
      return quiet(schedule);
    case 'stopped':
      return stopped(schedule);
    case 'untaken':
      return event.attempts.reduce<PartStep>(
        (step, attempt) => joined(step, untaken(step.schedule, attempt, now)),
        quiet({ ...schedule, isFull: true }),
      );
    default: {
      const found = find(schedule, event.attempt);
      if (found === null) return quiet(schedule);
      if (event.t === 'waiting') return waits(schedule, found, now);
      if (event.t === 'leased') return leased(schedule, found, event.tab, now);
      if (event.t === 'answered') return answered(schedule, found, now);
      return failed(schedule, found, event.code, now);
    }
  }
}

interface Found {
  readonly part: Part;
  readonly attempt: Attempt;
}

function find({ parts }: PartSchedule, id: number): Found | null {
  for (const part of parts) {
    const attempt = part.open.find((candidate) => candidate.id === id);
    if (attempt !== undefined) return { part, attempt };
  }
  return null;
}

function quiet(schedule: PartSchedule): PartStep {
  return { schedule, decisions: [] };
}

function joined(before: PartStep, after: PartStep): PartStep {
  return { schedule: after.schedule, decisions: [...before.decisions, ...after.decisions] };
}

function withPart(schedule: PartSchedule, next: Part): PartSchedule {
  return { ...schedule, parts: schedule.parts.map((part) => (part.id === next.id ? next : part)) };
}

function isAtWork({ phase, open }: Part): boolean {
  return phase === 'running' && open.some((attempt) => attempt.phase === 'leased');
}

function added(schedule: PartSchedule, parts: Extract<PartEvent, { t: 'added' }>['parts']): PartStep {
  const fresh = parts.map(
    ({ id, group }): Part => ({
      id,
      group,
      phase: 'held',
      notBefore: Number.NEGATIVE_INFINITY,
      open: [],
      failures: 0,
      tried: [],
      by: null,
    }),
  );
  if (!schedule.isStopped) return quiet({ ...schedule, parts: [...schedule.parts, ...fresh] });
  const over = fresh.map((part) => ({ ...part, phase: 'givenUp' as const }));
  return {
    schedule: { ...schedule, parts: [...schedule.parts, ...over] },
    decisions: over.map(({ id }) => ({ do: 'giveUp', part: id, code: 'cancelled' })),
  };
}

function stopped(schedule: PartSchedule): PartStep {
  const decisions: PartDecision[] = [];
  const parts = schedule.parts.map((part): Part => {
    if (part.phase !== 'held' && part.phase !== 'running') return part;
    decisions.push(...part.open.map(({ id }) => ({ do: 'stop' as const, attempt: id })));
    decisions.push({ do: 'giveUp', part: part.id, code: 'cancelled' });
    return { ...part, phase: 'givenUp', open: [] };
  });
  return { schedule: { ...schedule, parts, isStopped: true }, decisions };
}

/** Without an attempt that did not come to work: nothing is counted against the part. */
function withdrawn(schedule: PartSchedule, { part, attempt }: Found, notBefore: number): PartSchedule {
  const open = part.open.filter(({ id }) => id !== attempt.id);
  return withPart(schedule, { ...part, open, phase: open.length === 0 ? 'held' : 'running', notBefore });
}

function untaken(schedule: PartSchedule, id: number, now: number): PartStep {
  const found = find(schedule, id);
  if (found === null) return quiet(schedule);
  const isHedge = found.attempt.isHedge && found.part.open.length > 1;
  return quiet(withdrawn(schedule, found, isHedge ? now + HEDGE_PAUSE_MS : found.part.notBefore));
}

/** A hedge takes a free tab or none: it never stands in line before another's first attempt. */
function waits(schedule: PartSchedule, found: Found, now: number): PartStep {
  const { part, attempt } = found;
  if (attempt.isHedge && part.open.length > 1) {
    return {
      schedule: { ...withdrawn(schedule, found, now + HEDGE_PAUSE_MS), isFull: true },
      decisions: [{ do: 'stop', attempt: attempt.id }],
    };
  }
  return quiet({ ...withAttempt(schedule, part, { ...attempt, phase: 'waiting' }), isFull: true });
}

function withAttempt(schedule: PartSchedule, part: Part, next: Attempt): PartSchedule {
  return withPart(schedule, { ...part, open: part.open.map((one) => (one.id === next.id ? next : one)) });
}

function leased(schedule: PartSchedule, found: Found, tab: string, now: number): PartStep {
  const { part, attempt } = found;
  const seen = { ...schedule, everLeased: true };
  // Two of a group may have stood in line for the same tab.
  if (tabsOfGroup(schedule, part).includes(tab)) {
    return {
      schedule: withdrawn(seen, found, part.notBefore),
      decisions: [{ do: 'stop', attempt: attempt.id }],
    };
  }
  return quiet(withAttempt(seen, part, { ...attempt, phase: 'leased', tab, leasedAt: now }));
}

function tabsOfGroup({ parts }: PartSchedule, { id, group }: Part): string[] {
  if (group === null) return [];
  return parts
    .filter((other) => other.group === group && other.id !== id)
    .flatMap(({ open, by }) => [...open.map(({ tab }) => tab), by])
    .filter((tab) => tab !== null);
}

function answered(schedule: PartSchedule, { part, attempt }: Found, now: number): PartStep {
  const others = part.open.filter(({ id }) => id !== attempt.id);
  // Its tab is free now: what no tab was free for may be hedged.
  const parts = schedule.parts.map(
    (one): Part =>
      one.id === part.id
        ? { ...part, phase: 'delivered', open: [], by: attempt.tab }
        : { ...one, ...(one.phase === 'running' && { notBefore: Number.NEGATIVE_INFINITY }) },
  );
  return {
    schedule: {
      ...schedule,
      parts,
      durations: [...schedule.durations, Math.max(0, now - attempt.leasedAt)],
    },
    decisions: [
      { do: 'deliver', part: part.id, attempt: attempt.id },
      ...others.map(({ id }) => ({ do: 'stop' as const, attempt: id })),
    ],
  };
}

function failed(schedule: PartSchedule, { part, attempt }: Found, code: ErrorCode, now: number): PartStep {
  const open = part.open.filter(({ id }) => id !== attempt.id);
  // That nobody was free is nobody's failure.
  const failures = part.failures + (code === 'overloaded' ? 0 : 1);
  const tried = attempt.tab === null ? part.tried : [...new Set([...part.tried, attempt.tab])];
  const next: Part = { ...part, open, failures, tried };
  if (open.length > 0) return quiet(withPart(schedule, { ...next, notBefore: now + HEDGE_PAUSE_MS }));
  const held = (notBefore: number, changes: Partial<Part> = {}) =>
    quiet(withPart(schedule, { ...next, phase: 'held', notBefore, ...changes }));
  const isGivenUp = !ERROR_POLICIES[code].retryable || failures >= MAX_PART_FAILURES;
  if (code === 'no_tab' && !isGivenUp && schedule.everLeased) {
    // Better the tab that failed it once than nobody, unless another of its group is there.
    if (part.group === null) return held(attempt.avoid.length > 0 ? now : now + NO_TAB_PAUSE_MS, { tried: [] });
  } else if (code === 'overloaded') {
    const isMoving = schedule.parts.some((other) => other.id !== part.id && isAtWork(other));
    if (isMoving) return held(now);
  } else if (code !== 'no_tab' && !isGivenUp) return held(now);
  return {
    schedule: withPart(schedule, { ...next, phase: 'givenUp' }),
    decisions: [{ do: 'giveUp', part: part.id, code }],
  };
}

// ---- what to ask for ---------------------------------------------------------------------------------------------------

function withAsks(schedule: PartSchedule, now: number): PartStep {
  const running = schedule.parts.filter(({ phase }) => phase === 'running');
  const attempts = running.flatMap(({ open }) => open);
  const atWork = attempts.filter(({ phase }) => phase === 'leased').length;
  const inLine = attempts.length - atWork;
  const room = MAX_PARTS_AT_ONCE - attempts.length;
  const spare = Math.min(MOST_SPARE_PARTS, Math.max(LEAST_SPARE_PARTS, atWork)) - inLine;
  const held = schedule.parts.filter(({ phase }) => phase === 'held');
  const due = held.filter(({ notBefore }) => notBefore <= now);
  const many = Math.max(0, Math.min(room, due.length, schedule.isFull && attempts.length > 0 ? spare : room));
  const chosen = due.slice(0, many).map((part) => ({ part, isHedge: false }));
  const hedged =
    held.length === 0 && inLine === 0 ? stragglers(schedule, running, now).slice(0, Math.max(0, room)) : [];
  const all = [...chosen, ...hedged.map((part) => ({ part, isHedge: true }))];
  if (all.length === 0) return quiet(schedule);
  let next = schedule;
  const asks = all.map(({ part, isHedge }, at): PartAsk => {
    const id = schedule.nextAttempt + at;
    const own = part.open.map(({ tab }) => tab).filter((tab) => tab !== null);
    const avoid = [...new Set([...part.tried, ...own, ...tabsOfGroup(schedule, part)])];
    const attempt: Attempt = { id, isHedge, phase: 'asked', tab: null, leasedAt: now, avoid };
    next = withPart(next, { ...part, phase: 'running', open: [...part.open, attempt] });
    return { attempt: id, part: part.id, avoid };
  });
  return {
    schedule: {
      ...next,
      nextAttempt: schedule.nextAttempt + all.length,
      hedges: schedule.hedges + hedged.length,
    },
    decisions: [{ do: 'ask', asks }],
  };
}

/** Parts at work that take much longer than the others did, the longest first. */
function stragglers(schedule: PartSchedule, running: readonly Part[], now: number): Part[] {
  const typical = middle(schedule.durations);
  if (typical === null) return [];
  const allowed = Math.max(LEAST_HEDGES, Math.ceil(schedule.parts.length * HEDGE_SHARE)) - schedule.hedges;
  const late = Math.max(LEAST_STRAGGLER_MS, STRAGGLER_TIMES * typical);
  const since = ({ open }: Part) => open[0]?.leasedAt ?? now;
  return running
    .filter((part) => part.open.length === 1 && isAtWork(part) && part.notBefore <= now && now - since(part) >= late)
    .sort((a, b) => since(a) - since(b))
    .slice(0, Math.max(0, allowed));
}

function middle(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? null;
}
