import type { UncheckedReason, Verdict } from '../../shared/checking/verdict.ts';
import type { ErrorCode } from '../../shared/errors.ts';
import { CHECK_DEADLINE_MS, REVEAL_DEADLINE_MS, SUBTASK_DEADLINE_MS, WRAP_DEADLINE_MS } from '../../shared/limits.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Lease, Sampling } from '../../shared/protocol/lease.ts';
import type { Independence } from '../../shared/receipt/receipt.ts';
import type { AnswerCommit, CheckReveal } from '../../shared/receipt/statements.ts';
import { verdictOf } from '../../shared/receipt/verify.ts';
import type { Signed } from '../../shared/signing/signed-statement.ts';

/**
 * The life of one task and of its check, as a pure machine: `stepTask(task, event)` gives the next state. Signatures were verified and
 * payloads parsed before an event gets here. An event that does not apply, because it is late, doubled or someone else's, leaves the
 * same state behind.
 *
 *   running → drawing → wrapping → working → revealing → ended
 *
 * Every phase but the last has a deadline, so every task ends. Persisted as JSON: fields may be added, never repurposed.
 */

export interface TaskTerms {
  readonly task: TaskTail;
  readonly network: string;
  readonly model: string;
  readonly variant: string;
  readonly private: boolean;
  readonly level: 'none' | 'cross';
  readonly sampling: Sampling;
  readonly openedAt: number;
  /** UTF-8 bytes of the prompt that passed the router in the clear: 0 for private tasks. */
  readonly readablePromptBytes: number;
  readonly leaseStatement: Signed;
  readonly lease: Lease;
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
}

export type Outcome =
  | { readonly value: 'answered' }
  | { readonly value: 'cancelled' }
  | { readonly value: 'failed'; readonly code: ErrorCode };

export type Task = TaskTerms &
  (
    | { readonly phase: 'running'; readonly deadlineAt: number }
    | { readonly phase: 'drawing'; readonly deadlineAt: number; readonly committed: Committed; readonly drawn: string }
    | {
        readonly phase: 'checking';
        readonly stage: 'wrapping' | 'working';
        readonly deadlineAt: number;
        readonly committed: Committed;
        readonly check: CheckInHand;
      }
    | {
        readonly phase: 'revealing';
        readonly deadlineAt: number;
        readonly committed: Committed;
        readonly check: CheckOutcome & { readonly commit: Signed };
        readonly commitment: string;
        /** X25519 key that the first answer is to be sealed to. */
        readonly evidenceKey: string;
      }
    | {
        readonly phase: 'ended';
        readonly endedAt: number;
        readonly outcome: Outcome;
        readonly committed: Committed | null;
        readonly checks: readonly CheckOutcome[];
        readonly verdict: Verdict;
      }
  );

export type TaskEvent = { readonly at: number } & (
  | {
      readonly type: 'committed';
      readonly statement: Signed;
      readonly commit: AnswerCommit;
      /** Who could check, most independent first; one of the best is drawn. */
      readonly candidates: readonly { readonly tab: string; readonly independence: Independence }[];
      /** Whether the client had asked to stop. */
      readonly stopped: boolean;
      /** 0 … 1, from the draw's digest. */
      readonly draw: number;
    }
  | { readonly type: 'check_leased'; readonly check: CheckInHand }
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
  | { readonly type: 'check_failed'; readonly checker: string; readonly reason: UncheckedReason }
  | { readonly type: 'failed'; readonly code: ErrorCode }
  | { readonly type: 'clock' }
);

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
    case 'check_leased':
      if (task.phase !== 'drawing' || event.check.checker !== task.drawn) return task;
      return {
        ...termsOf(task),
        phase: 'checking',
        stage: 'wrapping',
        deadlineAt: event.at + WRAP_DEADLINE_MS,
        committed: task.committed,
        check: event.check,
      };
    case 'handed_on':
      if (task.phase !== 'checking' || task.stage !== 'wrapping') return task;
      return { ...task, stage: 'working', deadlineAt: event.at + CHECK_DEADLINE_MS };
    case 'check_committed':
      if (task.phase !== 'checking' || event.checker !== task.check.checker) return task;
      return {
        ...termsOf(task),
        phase: 'revealing',
        deadlineAt: event.at + REVEAL_DEADLINE_MS,
        committed: task.committed,
        check: { ...task.check, commit: event.statement, reveal: null, handedOn: event.handedOn },
        commitment: event.commitment,
        evidenceKey: event.evidenceKey,
      };
    case 'check_revealed':
      if (task.phase !== 'revealing' || event.checker !== task.check.checker) return task;
      if (!event.opens) return unchecked(task, event.at, 'checker_refused');
      return end(task, event.at, {
        outcome: { value: 'answered' },
        committed: task.committed,
        checks: [{ ...task.check, reveal: event.statement }],
        verdict: verdictOf(task.committed.commit, event.reveal),
      });
    case 'check_failed':
      if (checkerOf(task) !== event.checker) return task;
      return unchecked(task, event.at, event.reason);
    case 'failed':
      if (task.phase !== 'running') return task;
      return end(task, event.at, {
        outcome: event.code === 'cancelled' ? { value: 'cancelled' } : { value: 'failed', code: event.code },
        committed: null,
        checks: [],
        verdict: { value: 'unchecked', reason: 'no_answer' },
      });
  }
}

function termsOf(task: Task): TaskTerms {
  return {
    task: task.task,
    network: task.network,
    model: task.model,
    variant: task.variant,
    private: task.private,
    level: task.level,
    sampling: task.sampling,
    openedAt: task.openedAt,
    readablePromptBytes: task.readablePromptBytes,
    leaseStatement: task.leaseStatement,
    lease: task.lease,
  };
}

function end(task: Task, endedAt: number, rest: Pick<EndedTask, 'outcome' | 'committed' | 'checks' | 'verdict'>): Task {
  return { ...termsOf(task), phase: 'ended', endedAt, ...rest };
}

export type EndedTask = Extract<Task, { phase: 'ended' }>;

function afterCommit(
  task: Extract<Task, { phase: 'running' }>,
  event: Extract<TaskEvent, { type: 'committed' }>,
): Task {
  const committed = { statement: event.statement, commit: event.commit };
  const endUnchecked = (outcome: Outcome, reason: UncheckedReason) =>
    end(task, event.at, { outcome, committed, checks: [], verdict: { value: 'unchecked', reason } });
  if (event.commit.finish === 'cancelled') {
    // Only a client may stop an answer: a tab that stops by itself has failed, or it could end every check before it began.
    return endUnchecked(event.stopped ? { value: 'cancelled' } : { value: 'failed', code: 'tab_lost' }, 'no_answer');
  }
  if (task.level === 'none') return endUnchecked({ value: 'answered' }, 'not_asked');
  const others = event.candidates.filter((candidate) => candidate.tab !== task.lease.tab);
  const best = others.filter((candidate) => candidate.independence === others[0]?.independence);
  const drawn = best[Math.min(best.length - 1, Math.floor(event.draw * best.length))];
  if (drawn === undefined) return endUnchecked({ value: 'answered' }, 'nobody_fit');
  return {
    ...termsOf(task),
    phase: 'drawing',
    deadlineAt: event.at + DRAW_DEADLINE_MS,
    committed,
    drawn: drawn.tab,
  };
}

function checkerOf(task: Task): string | null {
  if (task.phase === 'drawing') return task.drawn;
  return task.phase === 'checking' || task.phase === 'revealing' ? task.check.checker : null;
}

type OpenTask = Exclude<Task, EndedTask>;

function afterDeadline(task: OpenTask, at: number): Task {
  switch (task.phase) {
    case 'running':
      return end(task, at, {
        outcome: { value: 'failed', code: 'deadline_exceeded' },
        committed: null,
        checks: [],
        verdict: { value: 'unchecked', reason: 'no_answer' },
      });
    case 'checking':
      return unchecked(task, at, task.stage === 'wrapping' ? 'client_gone' : 'checker_lost');
    case 'drawing':
    case 'revealing':
      return unchecked(task, at, 'checker_lost');
  }
}

/** The answer stands, its check came to nothing. What the checker did sign stays in the receipt. */
function unchecked(task: OpenTask, at: number, reason: UncheckedReason): Task {
  const checks: CheckOutcome[] = [];
  if (task.phase === 'checking') checks.push({ ...task.check, commit: null, reveal: null, handedOn: null });
  if (task.phase === 'revealing') checks.push(task.check);
  return end(task, at, {
    outcome: { value: 'answered' },
    committed: task.phase === 'running' ? null : task.committed,
    checks,
    verdict: { value: 'unchecked', reason },
  });
}
