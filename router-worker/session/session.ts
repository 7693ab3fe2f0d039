import { type DrawCandidate, drawOrder } from '../../shared/checking/draw.ts';
import type { Finding } from '../../shared/checking/tally.ts';
import { type Sure, sureOf, type UncheckedReason, type Verdict } from '../../shared/checking/verdict.ts';
import type { ErrorCode } from '../../shared/errors.ts';
import { ShoalError } from '../../shared/errors.ts';
import { CHAIN_BLOCK_BYTES, MAX_TAB_STATEMENT, RECEIPT_KEPT_MS } from '../../shared/limits.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import { type Lease, lease as leaseSchema } from '../../shared/protocol/lease.ts';
import { receiptId, taskId } from '../../shared/protocol/task-ids.ts';
import {
  type AnswerCommit,
  answerCommit,
  type CheckReveal,
  checkCommit,
  checkReveal,
} from '../../shared/receipt/statements.ts';
import { opens } from '../../shared/receipt/verify.ts';
import { leaseDigest } from '../../shared/sealing/envelope.ts';
import { openStatement, parsePayload, type Signed } from '../../shared/signing/signed-statement.ts';
import type { PricedHold } from '../billing/bill.ts';
import { drawSecret, type RouterKeys } from '../keys/router-keys.ts';
import { buildReceipt } from '../task/build-receipt.ts';
import { type Mark, marksOf } from '../task/marks.ts';
import {
  type CheckOutcome,
  checksOf,
  drawnOf,
  type EndedTask,
  openTask,
  stepTask,
  type Task,
  type TaskEvent,
  type TaskTerms,
} from '../task/task.ts';
import type { SessionStore } from './session-store.ts';

/** What the pool is asked to do after an event: it holds the sockets and the client's stream. */
export type Decision =
  | { readonly do: 'nothing' }
  /** The tab is still to commit to its answer. */
  | { readonly do: 'run' }
  /** Lease a check to this tab. */
  | { readonly do: 'draw'; readonly checker: string }
  /** The check is leased: ask the client to wrap the key for it. */
  | { readonly do: 'wrap'; readonly checkLease: Signed }
  /** Let the first tab show its answer to the checker, and the checker reveal. */
  | {
      readonly do: 'show';
      readonly answerLease: Lease;
      readonly answerCommit: Signed;
      readonly checkLease: Lease;
      readonly evidenceKey: string;
      /** What the checker committed to. */
      readonly commitment: string;
    }
  | Ended;

export interface Ended {
  readonly do: 'end';
  readonly endedAt: number;
  readonly outcome: EndedTask['outcome'];
  readonly verdict: Verdict;
  readonly receipt: Signed;
  /** Who took part, and what the end says of each. */
  readonly class: string;
  readonly answerTab: string;
  readonly checkers: readonly string[];
  readonly marks: readonly Mark[];
}

/** What the pool knows when a tab commits. */
export interface CommitCircumstances {
  /** Who could check, in any order. */
  readonly candidates: readonly DrawCandidate[];
  /** Whether the client had asked to stop. */
  readonly stopped: boolean;
  /** Level `basic`: whether this answer is checked. */
  readonly sampled: boolean;
}

const NOTHING: Decision = { do: 'nothing' };

/** One session's tasks, from their lease to their receipt. Knows neither sockets nor SQL nor the clock. */
export class Session {
  readonly #store: SessionStore;
  readonly #keys: RouterKeys;
  readonly #now: () => number;
  readonly #holdOf: (tail: TaskTail) => PricedHold | null;
  /** Running tasks, as they are stored: a cache of the store, and the proof that nothing changed while a receipt was signed. */
  readonly #running = new Map<TaskTail, Task>();

  /** `holdOf`: what was set aside for a task; null without. */
  constructor(
    store: SessionStore,
    keys: RouterKeys,
    now: () => number,
    holdOf: (tail: TaskTail) => PricedHold | null = () => null,
  ) {
    this.#store = store;
    this.#keys = keys;
    this.#now = now;
    this.#holdOf = holdOf;
  }

  open(terms: TaskTerms): void {
    const before = this.#load(terms.task);
    if (before === null) return this.#save(openTask(terms), null);
    const after = stepTask(before, { type: 'leased_again', at: this.#now(), terms });
    if (after !== before) this.#save(after, null);
  }

  /** The answering tab's commit. Throws `integrity_failed` for a commit that is not this lease's. */
  async committed(leaseStatement: Signed, statement: Signed, circumstances: CommitCircumstances): Promise<Decision> {
    refuseTooLong(statement);
    const { lease, digest } = await this.#openLease(leaseStatement, 'answer');
    // Another tab has its place.
    if (this.#load(lease.task)?.lease.number !== lease.number) return NOTHING;
    const commit = await openStatement('commit', answerCommit, statement, lease.tab);
    if (commit.task !== lease.task || commit.lease !== digest || commit.class !== lease.class) {
      throw new ShoalError('integrity_failed', 'The commit does not belong to its lease.');
    }
    if (!hasAllBlocks(commit.chain)) throw new ShoalError('integrity_failed', 'The commit lacks blocks of its answer.');
    // Drawn from the commit, so that nobody knows the checker while the answer can still be changed.
    const secret = await drawSecret(this.#keys, lease.task);
    const seed = { secret, commitSignature: statement.signature, nonce: lease.nonce };
    const { candidates, stopped, sampled } = circumstances;
    const order = await drawOrder(seed, candidates);
    return this.#apply(lease.task, {
      type: 'committed',
      at: this.#now(),
      statement,
      commit,
      order,
      secret,
      stopped,
      sampled,
    });
  }

  async checkLeased(leaseStatement: Signed): Promise<Decision> {
    const { lease } = await this.#openLease(leaseStatement, 'check');
    return this.#apply(lease.task, {
      type: 'check_leased',
      at: this.#now(),
      checker: lease.tab,
      leaseStatement,
      lease,
    });
  }

  async handedOn(tail: TaskTail): Promise<Decision> {
    return this.#apply(tail, { type: 'handed_on', at: this.#now() });
  }

  async checkCommitted(
    leaseStatement: Signed,
    statement: Signed,
    handedOn: CheckOutcome['handedOn'],
  ): Promise<Decision> {
    refuseTooLong(statement);
    const { lease, digest } = await this.#openLease(leaseStatement, 'check');
    const commit = await openStatement('check-commit', checkCommit, statement, lease.tab);
    if (commit.task !== lease.task || commit.lease !== digest || commit.class !== lease.class) {
      throw new ShoalError('integrity_failed', "The checker's commit does not belong to its lease.");
    }
    return this.#apply(lease.task, {
      type: 'check_committed',
      at: this.#now(),
      checker: lease.tab,
      statement,
      commitment: commit.commitment,
      evidenceKey: commit.evidenceKey,
      handedOn,
    });
  }

  /** `leaves`: the guesses of a checker that reads, as the pool received them, each before the chunk was shown. */
  async checkRevealed(leaseStatement: Signed, statement: Signed, leaves: readonly string[]): Promise<Decision> {
    refuseTooLong(statement);
    const { lease, digest } = await this.#openLease(leaseStatement, 'check');
    const reveal = await openStatement('check-reveal', checkReveal, statement, lease.tab);
    if (reveal.task !== lease.task || reveal.lease !== digest) {
      throw new ShoalError('integrity_failed', "The checker's opening does not belong to its lease.");
    }
    const task = this.#load(lease.task);
    const scope = { task: lease.task, lease: digest, checker: lease.tab };
    const commitment = task?.phase === 'revealing' && task.check.checker === lease.tab ? task.commitment : null;
    return this.#apply(lease.task, {
      type: 'check_revealed',
      at: this.#now(),
      checker: lease.tab,
      statement,
      reveal,
      opens: commitment !== null && isAsGuessed(reveal, leaves) && (await opens(commitment, reveal, scope)),
    });
  }

  /** `isBlameless`: nothing says that it was the checker's fault. */
  async checkFailed(tail: TaskTail, checker: string, reason: UncheckedReason, isBlameless: boolean): Promise<Decision> {
    return this.#apply(tail, { type: 'check_failed', at: this.#now(), checker, reason, isBlameless });
  }

  /** `attempt`: of the lease under which it failed. */
  async failed(tail: TaskTail, code: ErrorCode, attempt: number): Promise<Decision> {
    return this.#apply(tail, { type: 'failed', at: this.#now(), code, attempt });
  }

  /** Whether other tabs had a lease of this answer, and may have read the prompt. */
  hadOtherTabs(tail: TaskTail): boolean {
    return (this.#load(tail)?.earlier ?? []).length > 0;
  }

  /** What became of a task is known, after it has ended: its receipt is signed again, and says so. Nothing where it says so, or where its money is settled. */
  async priceAgain(tail: TaskTail): Promise<void> {
    const task = this.#load(tail);
    const hold = this.#holdOf(tail);
    if (task?.phase !== 'ended' || hold === null) return;
    const receipt = await buildReceipt(task, this.#keys.signer, hold);
    const before = this.#store.receipt(tail);
    if (before !== null && before.payload !== receipt.payload) this.#save(task, receipt);
  }

  /** Where a task stands, for a pool that lost its memory of it; null when there is no such task. */
  standing(tail: TaskTail): Decision | null {
    const task = this.#load(tail);
    return task === null ? null : this.#decisionOf(task);
  }

  /** Steps what is past its deadline, forgets what is old. Returns what the pool is to do about it. */
  async sweep(): Promise<{ readonly tail: TaskTail; readonly decision: Decision }[]> {
    const at = this.#now();
    const decisions: { tail: TaskTail; decision: Decision }[] = [];
    for (const task of this.#store.due(at)) {
      try {
        const decision = await this.#apply(task.task, { type: 'clock', at });
        if (decision.do !== 'nothing') decisions.push({ tail: task.task, decision });
      } catch (cause) {
        // One task that cannot be ended must not keep the others from their end. It is due again at the next look.
        console.error(JSON.stringify({ event: 'task_sweep_failed', task: task.task, reason: String(cause) }));
      }
    }
    this.#store.forget(at - RECEIPT_KEPT_MS);
    return decisions;
  }

  view(tail: TaskTail): TaskView {
    const task = this.#load(tail);
    if (task === null) throw new ShoalError('task_not_found', 'There is no task with this id.');
    return viewOf(task, this.#store.receipt(tail) !== null);
  }

  receipt(tail: TaskTail): Signed {
    const receipt = this.#store.receipt(tail);
    if (receipt !== null) return receipt;
    if (this.#load(tail) === null) throw new ShoalError('receipt_not_found', 'There is no receipt with this id.');
    throw new ShoalError('receipt_pending', 'The task has not ended yet.', { retryAfterMs: 1000 });
  }

  /** A lease of ours. The one that the task was opened with is known; any other is verified. */
  async #openLease(statement: Signed, role: Lease['role']): Promise<{ lease: Lease; digest: string }> {
    const claimed = parsePayload('lease', leaseSchema, statement);
    const known = this.#load(claimed.task)?.leaseStatement;
    const isKnown = known?.signature === statement.signature && known.payload === statement.payload;
    const lease = isKnown ? claimed : await openStatement('lease', leaseSchema, statement, this.#keys.signer.publicKey);
    if (lease.role !== role) throw new ShoalError('integrity_failed', 'The lease is for another role.');
    return { lease, digest: await leaseDigest(statement) };
  }

  #load(tail: TaskTail): Task | null {
    const running = this.#running.get(tail);
    if (running !== undefined) return running;
    const stored = this.#store.load(tail);
    if (stored !== null && stored.phase !== 'ended') this.#running.set(tail, stored);
    return stored;
  }

  #save(task: Task, receipt: Signed | null): void {
    this.#store.save(task, receipt);
    if (task.phase === 'ended') this.#running.delete(task.task);
    else this.#running.set(task.task, task);
  }

  /**
   * Loads, steps and saves without yielding, so that two events cannot interleave. A task that ends is saved with its receipt; if another event
   * came while that was signed, the step is taken again from where the task is then. An event that was seen before gets the same decision
   * again: the caller may have lost the first one with the connection. So does every event on a task that has ended.
   */
  async #apply(tail: TaskTail, event: TaskEvent): Promise<Decision> {
    for (;;) {
      const before = this.#load(tail);
      if (before === null) return NOTHING;
      const after = stepTask(before, event);
      if (after === before) return wasSeen(before, event) ? this.#decisionOf(before) : NOTHING;
      if (after.phase !== 'ended') {
        this.#save(after, null);
        return this.#decisionOf(after);
      }
      const receipt = await buildReceipt(after, this.#keys.signer, after.own ?? this.#holdOf(tail));
      if (this.#load(tail) !== before) continue;
      this.#save(after, receipt);
      return endedWith(after, receipt);
    }
  }

  #decisionOf(task: Task): Decision {
    switch (task.phase) {
      case 'running':
        return { do: 'run' };
      case 'drawing':
        return { do: 'draw', checker: drawnOf(task)?.tab ?? '' };
      case 'checking':
        return task.stage === 'wrapping' ? { do: 'wrap', checkLease: task.check.leaseStatement } : NOTHING;
      case 'revealing': {
        const { lease, committed, check, evidenceKey, commitment } = task;
        const { statement } = committed;
        const shown = { answerLease: lease, answerCommit: statement, checkLease: check.lease };
        return { do: 'show', ...shown, evidenceKey, commitment };
      }
      case 'ended': {
        const receipt = this.#store.receipt(task.task);
        return receipt === null ? NOTHING : endedWith(task, receipt);
      }
    }
  }
}

/** What one tab signs has room beside what all others sign: or it could make a receipt that nobody can store or read. */
function refuseTooLong({ payload }: Signed): void {
  if (payload.length <= MAX_TAB_STATEMENT && JSON.stringify(JSON.stringify(payload)).length <= MAX_TAB_STATEMENT)
    return;
  throw new ShoalError('integrity_failed', 'The statement is longer than any answer needs.');
}

/** A chain has a link for every complete block of its answer, or it could be neither compared nor audited. */
function hasAllBlocks(chain: AnswerCommit['chain']): boolean {
  return chain.blocks.length === Math.floor(chain.bytes / CHAIN_BLOCK_BYTES);
}

/** Whether a checker that reads opens what it had guessed in time: the router saw each guess before it had the chunk shown. */
function isAsGuessed(reveal: CheckReveal, leaves: readonly string[]): boolean {
  return reveal.form === 'written' || JSON.stringify(reveal.leaves) === JSON.stringify(leaves);
}

function wasSeen(task: Task, event: TaskEvent): boolean {
  if (task.phase === 'ended') return true;
  switch (event.type) {
    case 'committed':
      return task.phase === 'drawing' && task.committed.statement.signature === event.statement.signature;
    case 'check_leased':
      return task.phase === 'checking' && task.check.leaseStatement.signature === event.leaseStatement.signature;
    case 'check_committed':
      return task.phase === 'revealing' && task.check.commit?.signature === event.statement.signature;
    case 'check_revealed':
    case 'check_failed': {
      // Its check is over, and the next one was drawn for it.
      const before = task.phase === 'drawing' ? task.draw.order[task.draw.drawn - 2] : undefined;
      return before?.tab === event.checker;
    }
    default:
      return false;
  }
}

function endedWith(task: EndedTask, receipt: Signed): Ended {
  return {
    do: 'end',
    endedAt: task.endedAt,
    outcome: task.outcome,
    verdict: task.verdict,
    receipt,
    class: task.lease.class,
    answerTab: task.lease.tab,
    checkers: task.checks.map((check) => check.checker),
    marks: marksOf(task),
  };
}

/** `GET /v1/tasks/:id`. */
export interface TaskView {
  readonly id: string;
  readonly object: 'task';
  readonly status: 'running' | 'checking' | 'ended';
  readonly stage: string;
  readonly outcome: string | null;
  readonly model: string;
  readonly variant: string;
  readonly class: string;
  readonly private: boolean;
  /** Null as long as the tab may still change its answer: it knows the id too, and is not to learn whether it will be checked. */
  readonly level: string | null;
  readonly wanted_checks: number | null;
  readonly tab: string;
  /** Tabs that were thought of for the answer: what was expected of each, in weighed ms, and why it was not taken. Empty before the commit, as the level is. */
  readonly candidates: readonly {
    readonly tab: string;
    readonly class: string;
    readonly score_ms: number;
    readonly warm_tokens: number;
    readonly outcome: string;
  }[];
  /** Tabs that had the prompt, too: they were lost, or slower. Empty before the end: questions of the network have none, and whoever is asked is not to see which it has. */
  readonly earlier_tabs: readonly string[];
  /** Who checks it, or checked it, in the order of the draw. */
  readonly checkers: readonly {
    readonly tab: string;
    readonly independence: string;
    readonly finding: string | null;
  }[];
  readonly created_at: number;
  readonly ended_at: number | null;
  readonly usage: {
    readonly prompt_tokens: number;
    readonly completion_tokens: number;
    readonly total_tokens: number;
  } | null;
  /** How the answer's frames left the tab. */
  readonly sent: { readonly relay_bytes: number; readonly direct_bytes: number } | null;
  /** How the check's sealed subtask reached the checker. */
  readonly handed_on: { readonly path: string; readonly bytes: number } | null;
  /** Bytes of prompt and answer that passed the router in the clear. */
  readonly router_read: { readonly prompt_bytes: number; readonly answer_bytes: number };
  readonly verdict: Verdict | null;
  /** How sure the network is, in one word. */
  readonly sure: Sure;
  readonly receipt: string | null;
}

/** A finding, as a person reads it. */
function wordsOf(finding: Finding): string {
  switch (finding.rung) {
    case 'similarity':
      return `cosine ${finding.cosine ?? 'not measurable'}`;
    case 'exact':
      return finding.falseBlock === null ? 'same' : `differs from block ${finding.falseBlock} on`;
    case 'statistical':
    case 'cross-class':
      if (finding.failed === null) return 'could not be read';
      return finding.failed.length === 0 ? 'fits' : `does not fit: ${finding.failed.join(', ')}`;
  }
}

export function viewOf(task: Task, hasReceipt: boolean): TaskView {
  const committed = task.phase === 'running' ? null : task.committed;
  const commit = committed?.commit ?? null;
  const ended = task.phase === 'ended';
  const checks = checksOf(task);
  const handedOn = checks.findLast((check) => check.handedOn !== null)?.handedOn ?? null;
  return {
    id: taskId(task.task),
    object: 'task',
    status: ended ? 'ended' : task.phase === 'running' ? 'running' : 'checking',
    stage: task.phase === 'checking' ? task.stage : task.phase,
    outcome: ended ? task.outcome.value : null,
    model: task.model,
    variant: task.variant,
    class: task.lease.class,
    private: task.private,
    level: task.phase === 'running' ? null : task.level,
    wanted_checks: task.phase === 'running' ? null : task.wanted,
    tab: task.lease.tab,
    candidates: (task.phase === 'running' ? [] : (task.considered ?? [])).map(
      ({ tab, class: id, scoreMs, warmTokens, outcome }) => ({
        tab,
        class: id,
        score_ms: scoreMs,
        warm_tokens: warmTokens,
        outcome,
      }),
    ),
    earlier_tabs: ended ? (task.earlier ?? []) : [],
    checkers: checks.map(({ checker, independence, finding }) => ({
      tab: checker,
      independence,
      finding: finding === null ? null : wordsOf(finding),
    })),
    created_at: task.openedAt,
    ended_at: ended ? task.endedAt : null,
    usage:
      commit === null
        ? null
        : {
            prompt_tokens: commit.tokens.prompt,
            completion_tokens: commit.tokens.completion,
            total_tokens: commit.tokens.prompt + commit.tokens.completion,
          },
    sent: commit === null ? null : { relay_bytes: commit.sent.relay.bytes, direct_bytes: commit.sent.direct.bytes },
    handed_on: handedOn,
    router_read: {
      prompt_bytes: task.readablePromptBytes,
      answer_bytes: task.private ? 0 : (commit?.chain.bytes ?? 0),
    },
    verdict: ended ? task.verdict : null,
    sure: sureOf(ended ? task.verdict : null),
    receipt: hasReceipt ? receiptId(task.task) : null,
  };
}
