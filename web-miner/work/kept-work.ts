import type { Bytes } from '../../shared/bytes.ts';
import { ANSWER_KEPT_MS, SUBTASK_DEADLINE_MS } from '../../shared/limits.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { LeaseRole } from '../../shared/protocol/lease.ts';
import type { TabToRouter } from '../../shared/protocol/tab-socket.ts';
import type { OpenedEnvelope } from '../../shared/sealing/envelope.ts';
import type { Answered } from './answer-job.ts';

/** An answer that is done, kept for clients that lost frames and for the checker. */
export interface KeptAnswer {
  readonly opened: OpenedEnvelope;
  readonly answered: Answered;
}

/** What a tab said last of a check. */
export type CheckStatement = Extract<TabToRouter, { t: 'checkCommitted' | 'guessed' | 'checkRevealed' }>;

/**
 * What a tab has done and may have to say again: a socket that drops swallows what was on its way, and nobody but the tab has it. Kept until
 * the longest check is over.
 */
export class KeptWork {
  readonly #answers = new Map<number, KeptAnswer>();
  readonly #checks = new Map<number, { readonly task: TaskTail; readonly statement: CheckStatement }>();
  /** Numbers of leases that were taken once: an envelope that comes again is not run again. */
  readonly #taken = new Set<number>();
  /** Verdicts that were told, as `role task`: a router that repeats itself is counted once. */
  readonly #told = new Set<string>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #closed = false;

  /** True the first time for each lease (L3). */
  take(number: number): boolean {
    if (this.#closed || this.#taken.has(number)) return false;
    this.#taken.add(number);
    this.#after(SUBTASK_DEADLINE_MS, () => this.#taken.delete(number));
    return true;
  }

  /** The lease was not run after all. */
  giveBack(number: number): void {
    this.#taken.delete(number);
  }

  keep(answer: KeptAnswer): void {
    if (this.#closed) return;
    const { number } = answer.opened.lease;
    this.#answers.set(number, answer);
    this.#after(ANSWER_KEPT_MS, () => this.#answers.delete(number));
  }

  answer(number: number): KeptAnswer | undefined {
    return this.#answers.get(number);
  }

  /** Frames of a kept answer that a client or a router missed; none when it is not kept any more. */
  frames(number: number, from: number): readonly Bytes[] {
    return this.#answers.get(number)?.answered.frames.slice(from) ?? [];
  }

  /** The last statement of a check replaces the one before. */
  said(opened: OpenedEnvelope, statement: CheckStatement): void {
    if (this.#closed) return;
    const { number, task } = opened.lease;
    const isFirst = !this.#checks.has(number);
    this.#checks.set(number, { task, statement });
    if (isFirst) this.#after(ANSWER_KEPT_MS, () => this.#checks.delete(number));
  }

  /** A check that was stopped, or that failed, has nothing more to say. */
  unsay(number: number): void {
    this.#checks.delete(number);
  }

  /** Statements of checks whose verdict was not told yet: the router may have missed any of them. */
  get statements(): readonly CheckStatement[] {
    return [...this.#checks.values()].map(({ statement }) => statement);
  }

  /** Numbers of leases whose work is done and whose verdict was not told yet, the newest first. */
  get untold(): readonly number[] {
    const answers = [...this.#answers]
      .filter(([, { opened }]) => !this.#told.has(`answer ${opened.lease.task}`))
      .map(([number]) => number);
    return [...answers, ...this.#checks.keys()].reverse();
  }

  /** The router told a verdict. False when it had told it before. */
  told(task: TaskTail, role: LeaseRole): boolean {
    const verdict = `${role} ${task}`;
    if (this.#told.has(verdict)) return false;
    this.#told.add(verdict);
    this.#after(ANSWER_KEPT_MS, () => this.#told.delete(verdict));
    if (role === 'check') {
      for (const [number, check] of this.#checks) if (check.task === task) this.#checks.delete(number);
    }
    return true;
  }

  /** Forgets everything, for good. */
  close(): void {
    this.#closed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#answers.clear();
    this.#checks.clear();
  }

  #after(ms: number, forget: () => void): void {
    if (this.#closed) return;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      forget();
    }, ms);
    this.#timers.add(timer);
  }
}
