import type { DrawCandidate, Independence } from '../../shared/checking/draw.ts';
import { isRead, limitsOf } from '../../shared/checking/rung.ts';
import type { Standing } from '../../shared/checking/standing.ts';
import { type Finding, verdictOf, wantsMore } from '../../shared/checking/tally.ts';
import type { UncheckedReason, Verdict } from '../../shared/checking/verdict.ts';
import type { ErrorCode } from '../../shared/errors.ts';
import {
  CHECK_DEADLINE_MS,
  MAX_DRAWS,
  REVEAL_DEADLINE_MS,
  SUBTASK_DEADLINE_MS,
  WRAP_DEADLINE_MS,
} from '../../shared/limits.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Lease, Sampling } from '../../shared/protocol/lease.ts';
import type { Level } from '../../shared/protocol/level.ts';
import type { Rung } from '../../shared/protocol/rungs.ts';
import type { AnswerCommit, CheckReveal } from '../../shared/receipt/statements.ts';
import { findingOf } from '../../shared/receipt/verify.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';
import type { Considered } from '../allocation/choose-tab.ts';
import type { PricedHold } from '../billing/bill.ts';

/**
 * The life of one task and of its check, as a pure machine: `stepTask(task, event)` gives the next state. Signatures were verified and
 * payloads parsed before an event gets here. An event that does not apply, because it is late, doubled or someone else's, leaves the
 * same state behind.
 *
 *   running → drawing → wrapping → working → revealing → ended
 *                ↑                                 │
 *                └── lost, refused, or undecided ──┘
 *
 * A checker that is lost is followed by the next of the draw; two answers that differ are settled by one execution more. Every phase but the last
 * has a deadline, and the draws are counted, so every task ends. Persisted as JSON: fields may be added, never repurposed.
 */

export interface TaskTerms {
  readonly task: TaskTail;
  readonly network: string;
  readonly model: string;
  readonly variant: string;
  readonly private: boolean;
  readonly level: Level;
  /** Agreeing checks that were asked for. */
  readonly wanted: 1 | 2 | 3;
  readonly sampling: Sampling;
  readonly openedAt: number;
  /** UTF-8 bytes of the prompt that passed the router in the clear: 0 for private tasks. */
  readonly readablePromptBytes: number;
  readonly leaseStatement: Signed;
  readonly lease: Lease;
  /** How the answering tab stood when it was leased. */
  readonly standing: Standing;
  /** Other tabs that were leased the answer, and were lost or slower: they may have read the prompt. Left out by older versions. */
  readonly earlier?: readonly string[];
  /** Tabs that were thought of, the chosen one first. Left out by older versions. */
  readonly considered?: readonly Considered[];
  /** A question of the network's own: what it would have cost anybody, so that neither receipt nor task's page tell it apart. Nothing is charged or paid. */
  readonly own?: PricedHold;
}

interface Committed {
  readonly statement: Signed;
  readonly commit: AnswerCommit;
}

export interface CheckInHand {
  readonly checker: string;
  readonly independence: Independence;
  readonly leaseStatement: Signed;
  readonly lease: Lease;
}

export interface CheckOutcome extends CheckInHand {
  readonly commit: Signed | null;
  readonly reveal: Signed | null;
  readonly handedOn: { readonly path: 'direct' | 'relay'; readonly bytes: number } | null;
  /** What it found; null when it did not come to its end. */
  readonly finding: Finding | null;
  /** It did not come to its end, and nothing says that this was the checker's fault. */
  readonly isBlameless?: true;
  /** Tokens of the prompt, as whoever wrote the answer again counted them. Left out for a check that read, and by older versions. */
  readonly promptTokens?: number;
}

export type Outcome =
  | { readonly value: 'answered' }
  | { readonly value: 'cancelled' }
  | { readonly value: 'failed'; readonly code: ErrorCode };

/** Candidates in the order of the draw, and how many of them were drawn so far. */
export interface Draw {
  readonly secret: string;
  readonly order: readonly DrawCandidate[];
  readonly drawn: number;
}

/** A committed answer and the checks of it that are over. */
interface Round {
  readonly committed: Committed;
  readonly draw: Draw;
  readonly done: readonly CheckOutcome[];
  readonly deadlineAt: number;
}

export type Task = TaskTerms &
  (
    | { readonly phase: 'running'; readonly deadlineAt: number }
    | (Round & { readonly phase: 'drawing' })
    | (Round & {
        readonly phase: 'checking';
        readonly stage: 'wrapping' | 'working';
        readonly check: CheckInHand & Pick<CheckOutcome, 'isBlameless'>;
      })
    | (Round & {
        readonly phase: 'revealing';
        readonly check: CheckOutcome & { readonly commit: Signed };
        readonly commitment: string;
        /** X25519 key that the first answer is to be sealed to. */
        readonly evidenceKey: string;
      })
    | {
        readonly phase: 'ended';
        readonly endedAt: number;
        readonly outcome: Outcome;
        readonly committed: Committed | null;
        readonly draw: Draw | null;
        readonly checks: readonly CheckOutcome[];
        readonly verdict: Verdict;
      }
  );

export type TaskEvent = { readonly at: number } & (
  | {
      readonly type: 'committed';
      readonly statement: Signed;
      readonly commit: AnswerCommit;
      /** Who could check, in the order of the draw. */
      readonly order: readonly DrawCandidate[];
      readonly secret: string;
      /** Whether the client had asked to stop. */
      readonly stopped: boolean;
      /** Level `basic`: whether this answer is checked. */
      readonly sampled: boolean;
    }
  | { readonly type: 'check_leased'; readonly checker: string; readonly leaseStatement: Signed; readonly lease: Lease }
  | { readonly type: 'handed_on' }
  | {
      readonly type: 'check_committed';
      readonly checker: string;
      readonly statement: Signed;
      readonly commitment: string;
      readonly evidenceKey: string;
      readonly handedOn: CheckOutcome['handedOn'];
    }
  | {
      readonly type: 'check_revealed';
      readonly checker: string;
      readonly statement: Signed;
      readonly reveal: CheckReveal;
      readonly opens: boolean;
    }
  | {
      readonly type: 'check_failed';
      readonly checker: string;
      readonly reason: UncheckedReason;
      readonly isBlameless: boolean;
    }
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly attempt: number }
  /** Another tab was leased the answer, in place of one that was lost, or beside one that is late. Under the lease that is known: what is news are its readers. */
  | { readonly type: 'leased_again'; readonly terms: TaskTerms }
  | { readonly type: 'clock' }
);

export type EndedTask = Extract<Task, { phase: 'ended' }>;
type OpenTask = Exclude<Task, EndedTask>;
type RoundTask = Exclude<OpenTask, { phase: 'running' }>;

export function openTask(terms: TaskTerms): Task {
  return { ...terms, phase: 'running', deadlineAt: terms.openedAt + SUBTASK_DEADLINE_MS + WRAP_DEADLINE_MS };
}

/** Time for the pool to issue the check's lease after a draw, ms. */
const DRAW_DEADLINE_MS = 10_000;

export function stepTask(task: Task, event: TaskEvent): Task {
  if (task.phase === 'ended') return task;
  if (event.type === 'clock') return event.at >= task.deadlineAt ? afterDeadline(task, event.at) : task;
  switch (event.type) {
    case 'committed':
      return task.phase === 'running' ? afterCommit(task, event) : task;
    case 'check_leased': {
      const drawn = drawnOf(task);
      if (task.phase !== 'drawing' || drawn === null || event.checker !== drawn.tab) return task;
      const { checker, leaseStatement, lease } = event;
      return {
        ...termsOf(task),
        ...roundOf(task, event.at + WRAP_DEADLINE_MS),
        phase: 'checking',
        stage: 'wrapping',
        check: { checker, independence: drawn.independence, leaseStatement, lease },
      };
    }
    case 'handed_on':
      if (task.phase !== 'checking' || task.stage !== 'wrapping') return task;
      return { ...task, stage: 'working', deadlineAt: event.at + CHECK_DEADLINE_MS };
    case 'check_committed':
      if (task.phase !== 'checking' || event.checker !== task.check.checker) return task;
      return {
        ...termsOf(task),
        // A tab that reads does so after its commit: it has guessed how the answer begins, and no more.
        ...roundOf(task, event.at + REVEAL_DEADLINE_MS + (isRead(rungOfCheck(task.check)) ? CHECK_DEADLINE_MS : 0)),
        phase: 'revealing',
        check: { ...task.check, commit: event.statement, reveal: null, handedOn: event.handedOn, finding: null },
        commitment: event.commitment,
        evidenceKey: event.evidenceKey,
      };
    case 'check_revealed': {
      if (task.phase !== 'revealing' || event.checker !== task.check.checker) return task;
      if (!event.opens) return afterCheck(task, event.at, 'checker_refused');
      const rung = rungOfCheck(task.check);
      if ((event.reveal.form === 'read') !== isRead(rung)) return afterCheck(task, event.at, 'checker_refused');
      const finding = findingOf(task.committed.commit, event.reveal, rung, limitsOf(rung, task.model));
      const recount = event.reveal.form === 'written' ? { promptTokens: event.reveal.tokens.prompt } : {};
      const check = { ...task.check, reveal: event.statement, finding, ...recount };
      return afterCheck({ ...task, check }, event.at, 'checker_refused');
    }
    case 'check_failed':
      if (task.phase === 'running' || drawnOf(task)?.tab !== event.checker) return task;
      return afterCheck(event.isBlameless ? excused(task) : task, event.at, event.reason);
    case 'leased_again':
      return task.phase === 'running' ? afterLease(task, event.terms) : task;
    case 'failed':
      if (task.phase !== 'running' || event.attempt !== task.lease.attempt) return task;
      return end(task, event.at, {
        outcome: event.code === 'cancelled' ? { value: 'cancelled' } : { value: 'failed', code: event.code },
        ...NOTHING_WRITTEN,
      });
  }
}

/** No tab that may have read the prompt is forgotten, in whatever order it is heard of them. */
function afterLease(task: Extract<Task, { phase: 'running' }>, terms: TaskTerms): Task {
  if (terms.lease.attempt < task.lease.attempt) return task;
  const isKnown = terms.lease.attempt === task.lease.attempt;
  const all = new Set([...(task.earlier ?? []), ...(terms.earlier ?? [])]);
  all.delete(terms.lease.tab);
  const earlier = [...all];
  if (!isKnown) return { ...openTask({ ...terms, earlier }), openedAt: task.openedAt };
  return earlier.length === (task.earlier ?? []).length ? task : { ...task, earlier };
}

const NOTHING_WRITTEN = {
  committed: null,
  draw: null,
  checks: [],
  verdict: { value: 'unchecked', reason: 'no_answer' },
} as const;

/** The task, with its check in hand marked as nobody's fault. */
function excused(task: RoundTask): RoundTask {
  if (task.phase === 'drawing') return task;
  if (task.phase === 'checking') return { ...task, check: { ...task.check, isBlameless: true } };
  return { ...task, check: { ...task.check, isBlameless: true } };
}

/** How a check compares with the answer. */
export function rungOfCheck(check: Pick<CheckInHand, 'lease'>): Rung {
  return check.lease.rung ?? 'similarity';
}

/** The tab that was drawn last; null before the first draw. */
export function drawnOf(task: OpenTask): DrawCandidate | null {
  return task.phase === 'running' ? null : (task.draw.order[task.draw.drawn - 1] ?? null);
}

function roundOf({ committed, draw, done }: Round, deadlineAt: number): Round {
  return { committed, draw, done, deadlineAt };
}

function termsOf(task: Task): TaskTerms {
  return {
    task: task.task,
    network: task.network,
    model: task.model,
    variant: task.variant,
    private: task.private,
    level: task.level,
    wanted: task.wanted,
    sampling: task.sampling,
    openedAt: task.openedAt,
    readablePromptBytes: task.readablePromptBytes,
    leaseStatement: task.leaseStatement,
    lease: task.lease,
    standing: task.standing,
    earlier: task.earlier ?? [],
    considered: task.considered ?? [],
    ...(task.own !== undefined && { own: task.own }),
  };
}

type Ending = Pick<EndedTask, 'outcome' | 'committed' | 'draw' | 'checks' | 'verdict'>;

function end(task: Task, endedAt: number, ending: Ending): Task {
  return { ...termsOf(task), phase: 'ended', endedAt, ...ending };
}

function afterCommit(
  task: Extract<Task, { phase: 'running' }>,
  event: Extract<TaskEvent, { type: 'committed' }>,
): Task {
  const committed = { statement: event.statement, commit: event.commit };
  const endUnchecked = (outcome: Outcome, reason: UncheckedReason) =>
    end(task, event.at, { outcome, committed, draw: null, checks: [], verdict: { value: 'unchecked', reason } });
  if (event.commit.finish === 'cancelled') {
    // Only a client may stop an answer: a tab that stops by itself has failed, or it could end every check before it began.
    return endUnchecked(event.stopped ? { value: 'cancelled' } : { value: 'failed', code: 'tab_lost' }, 'no_answer');
  }
  if (task.level === 'none') return endUnchecked({ value: 'answered' }, 'not_asked');
  if (task.level === 'basic' && !event.sampled) return endUnchecked({ value: 'answered' }, 'not_sampled');
  const order = event.order.filter((candidate) => candidate.tab !== task.lease.tab);
  if (order.length === 0) return endUnchecked({ value: 'answered' }, 'nobody_fit');
  return {
    ...termsOf(task),
    phase: 'drawing',
    committed,
    draw: { secret: event.secret, order, drawn: 1 },
    done: [],
    deadlineAt: event.at + DRAW_DEADLINE_MS,
  };
}

function afterDeadline(task: OpenTask, at: number): Task {
  if (task.phase === 'running') {
    return end(task, at, { outcome: { value: 'failed', code: 'deadline_exceeded' }, ...NOTHING_WRITTEN });
  }
  // Nobody wrapped the key: the client is gone, and the next checker would wait for it in vain.
  if (task.phase === 'checking' && task.stage === 'wrapping') return endRound(task, at, 'client_gone');
  return afterCheck(task, at, 'checker_lost');
}

/** The check in hand is over, well or badly: the next one is drawn when that can tell more, and somebody is left. */
function afterCheck(task: RoundTask, at: number, reason: UncheckedReason): Task {
  const done = checksOf(task);
  const mayDraw = task.draw.drawn < Math.min(task.draw.order.length, MAX_DRAWS) && reason !== 'client_gone';
  if (!mayDraw || !wantsMore(findingsOf(done), task.wanted)) return endRound(task, at, reason);
  return {
    ...termsOf(task),
    phase: 'drawing',
    committed: task.committed,
    draw: { ...task.draw, drawn: task.draw.drawn + 1 },
    done,
    deadlineAt: at + DRAW_DEADLINE_MS,
  };
}

/** The answer stands, with the verdict of the checks that came to their end; without any it is unchecked, for the reason of the last. */
function endRound(task: RoundTask, at: number, reason: UncheckedReason): Task {
  const { committed, draw } = task;
  const checks = checksOf(task);
  const findings = findingsOf(checks);
  const verdict: Verdict =
    findings.length > 0 ? verdictOf(committed.commit.chain, findings) : { value: 'unchecked', reason };
  return end(task, at, { outcome: { value: 'answered' }, committed, draw, checks, verdict });
}

function findingsOf(checks: readonly CheckOutcome[]): Finding[] {
  return checks.flatMap(({ finding }) => (finding === null ? [] : [finding]));
}

/** The checks of a task so far, in the order of the draw. What the current checker did sign is in it, and stays in the receipt. */
export function checksOf(task: Task): readonly CheckOutcome[] {
  switch (task.phase) {
    case 'running':
      return [];
    case 'drawing':
      return task.done;
    case 'checking':
      return [...task.done, { ...task.check, commit: null, reveal: null, handedOn: null, finding: null }];
    case 'revealing':
      return [...task.done, task.check];
    case 'ended':
      return task.checks;
  }
}
