import type { ShoalError } from '../../shared/errors.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Lease } from '../../shared/protocol/lease.ts';
import { ANYWHERE, type Placement } from '../../shared/protocol/placement.ts';
import type { StreamEvent } from '../../shared/protocol/stream-records.ts';
import type { AnswerLease } from './answer-leases.ts';
import type { ActiveLease } from './lease-book.ts';
import type { LeaseWant } from './pool-ports.ts';
import { type StreamSink, TaskStream } from './task-stream.ts';

/** The tab of an answer was lost, and another one is to take its place. */
export interface Vacancy {
  readonly lost: ActiveLease;
  /** What its client is told when nobody does. */
  readonly error: ShoalError;
  /** Until when a tab is waited for. */
  readonly until: number;
  /** Whether one is found, and its lease is being signed. */
  isTaken: boolean;
}

/** A task between its request and its end, as the pool knows it. */
export interface ServedTask {
  readonly task: TaskTail;
  /** When it was asked, or taken up by this pool. */
  readonly since: number;
  /** Who reads it now; null when the client went away. The check goes on without. */
  stream: TaskStream | null;
  /** The lease of the answer, once there is one. It is needed until the end: the check is handed on by the tab that it names. */
  answer: Lease | null;
  /** What the answer was leased for; null where this pool's memory began later. */
  want: LeaseWant | null;
  /** The same, as it was issued and told; null where this pool's memory began later. */
  issued: AnswerLease | null;
  /** Leases of the answer so far. */
  attempts: number;
  /** The number that the first of them bears: see {@link TaskBook.nextAttempt}. */
  readonly firstAttempt: number;
  /** Tabs whose words of the answer came through here: once there is one, only a tab that writes the same to the byte can go on. */
  writers: readonly string[];
  /** Other tabs that had a lease of the answer, and may have read the prompt. */
  earlier: readonly string[];
  vacancy: Vacancy | null;
  /** A second tab that writes because the first token is late: the first of the two that writes something wins. */
  hedge: AnswerLease | null;
  /** The task has ended, and a client that came back is sent the frames that it lacks, until then; null otherwise. */
  replayUntil: number | null;
  /** Tabs that may read it. A pool that lost its memory does not know, and its session holds them to it. */
  placement: Placement;
  /** When its answer must be written; null: no sooner than any other. */
  deadlineAt: number | null;
}

/** A lease bears a number up to 16, and an answer has five leases at most. */
const FIRST_ATTEMPTS = 12;

/** The tasks in hand. One reader a task: a second one takes the first one's place. */
export class TaskBook {
  readonly #tasks = new Map<TaskTail, ServedTask>();
  readonly #byAnswer = new Map<number, ServedTask>();
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #onGone: (served: ServedTask, stream: TaskStream) => void;

  /** `onGone` is called when the reader of a task went away, and nobody had taken its place. */
  constructor(now: () => number, random: () => number, onGone: (served: ServedTask, stream: TaskStream) => void) {
    this.#now = now;
    this.#random = random;
    this.#onGone = onGone;
  }

  get size(): number {
    return this.#tasks.size;
  }

  get(task: TaskTail): ServedTask | undefined {
    return this.#tasks.get(task);
  }

  all(): ServedTask[] {
    return [...this.#tasks.values()];
  }

  open(task: TaskTail, sink: StreamSink): { readonly served: ServedTask; readonly stream: TaskStream } {
    const served = this.#tasks.get(task) ?? {
      task,
      since: this.#now(),
      stream: null,
      answer: null,
      want: null,
      issued: null,
      attempts: 0,
      firstAttempt: 1 + Math.floor(this.#random() * FIRST_ATTEMPTS),
      writers: [],
      earlier: [],
      vacancy: null,
      hedge: null,
      replayUntil: null,
      placement: ANYWHERE,
      deadlineAt: null,
    };
    served.stream?.close();
    const stream: TaskStream = new TaskStream(sink, () => {
      if (served.stream !== stream) return;
      served.stream = null;
      this.#onGone(served, stream);
    });
    served.stream = stream;
    this.#tasks.set(task, served);
    return { served, stream };
  }

  /**
   * The number that the next lease of the answer bears. They rise from one that is drawn for each task: questions of the network are never asked twice, and a tab that saw from its
   * lease that another had it before would know that a user asks.
   */
  nextAttempt(served: ServedTask): number {
    served.attempts++;
    return served.firstAttempt + served.attempts - 1;
  }

  /** The lease of the task's answer is known. */
  answeredUnder(served: ServedTask, lease: Lease): void {
    if (served.answer !== null) this.#byAnswer.delete(served.answer.number);
    served.answer = lease;
    served.attempts = Math.max(served.attempts, 1);
    this.#byAnswer.set(lease.number, served);
  }

  /** The task whose answer has this lease number. */
  ofAnswer(number: number): ServedTask | undefined {
    return this.#byAnswer.get(number);
  }

  /** Tells whoever reads the task. */
  tell(task: TaskTail, event: StreamEvent): void {
    this.#tasks.get(task)?.stream?.event(event);
  }

  /** The task is over for this pool: its stream ends. */
  close(task: TaskTail): void {
    const served = this.#tasks.get(task);
    if (served === undefined) return;
    this.#tasks.delete(task);
    if (served.answer !== null) this.#byAnswer.delete(served.answer.number);
    const { stream } = served;
    served.stream = null;
    stream?.close();
  }
}
