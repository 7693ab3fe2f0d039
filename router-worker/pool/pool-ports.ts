import type { UncheckedReason } from '../../shared/checking/verdict.ts';
import type { ErrorCode } from '../../shared/errors.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Sampling } from '../../shared/protocol/lease.ts';
import type { Level } from '../../shared/protocol/level.ts';
import type { Placement } from '../../shared/protocol/placement.ts';
import type { TaskKind } from '../../shared/protocol/task-kind.ts';
import type { Signed, Signer } from '../../shared/signing/signed-statement.ts';
import type { Sla } from '../allocation/fair-line.ts';
import type { PricedHold } from '../billing/bill.ts';
import type { ReadingStore } from '../calibration/reading-store.ts';
import type { NetworkTaskPorts } from '../network-tasks/network-tasks.ts';
import type { RecordBook } from '../record/record-book.ts';
import type { CommitCircumstances, Decision } from '../session/session.ts';
import type { CheckOutcome, TaskTerms } from '../task/task.ts';

/** The session of a task, as the pool calls it. Throws errors of the vocabulary. */
export interface SessionPort {
  open(terms: TaskTerms): Promise<void>;
  committed(tail: TaskTail, lease: Signed, commit: Signed, circumstances: CommitCircumstances): Promise<Decision>;
  checkLeased(tail: TaskTail, lease: Signed): Promise<Decision>;
  handedOn(tail: TaskTail): Promise<Decision>;
  checkCommitted(tail: TaskTail, lease: Signed, commit: Signed, handedOn: CheckOutcome['handedOn']): Promise<Decision>;
  checkRevealed(tail: TaskTail, lease: Signed, reveal: Signed, leaves: readonly string[]): Promise<Decision>;
  checkFailed(tail: TaskTail, checker: string, reason: UncheckedReason, isBlameless: boolean): Promise<Decision>;
  /** `attempt`: of the lease under which it failed. */
  failed(tail: TaskTail, code: ErrorCode, attempt: number): Promise<Decision>;
  /** Where the task stands, for a pool that lost its memory of it; null when the session does not know it. */
  standing(tail: TaskTail): Promise<Decision | null>;
}

/** Which of the network's pools this one is. */
export interface PoolPlace {
  readonly number: number;
  /** How many there are, as far as this one knows. */
  readonly pools: () => number;
  /** Makes what other pools know of an identity this pool's own; false where that cannot be had now. */
  readonly claim: (identity: string) => Promise<boolean>;
}

/** Of a network with one pool. */
export const ONLY_POOL: PoolPlace = { number: 0, pools: () => 1, claim: async () => true };

/** What the pool is built on. */
export interface PoolPorts {
  readonly signer: Signer;
  readonly sessions: SessionPort;
  readonly records: RecordBook;
  readonly place: PoolPlace;
  /** What idle tabs were seen to read. */
  readonly readings: ReadingStore;
  /** Tasks of the network's own; null: none are given. */
  readonly networkTasks: NetworkTaskPorts | null;
  readonly now: () => number;
  readonly random: () => number;
  /** Whether this is the pass that the operator gives to its guards. */
  readonly isGuard: (pass: string) => Promise<boolean>;
  /** The account that a tab is paired with; null: none. */
  readonly ownerOf: (tab: string) => Promise<string | null>;
  /** Called when there is something with a deadline: {@link Pool.tick} is wanted from now on. */
  readonly busy: () => void;
  /** One line a lifecycle transition; ids only. */
  readonly log: (event: string, fields: Readonly<Record<string, string | number>>) => void;
}

/** What a request needs of a tab, and what its lease will say. */
export interface LeaseWant {
  readonly task: TaskTail;
  readonly network: string;
  readonly variants: readonly { readonly model: string; readonly variant: string; readonly class: string }[];
  readonly level: Level;
  /** Agreeing checks that are asked for. */
  readonly wanted: 1 | 2 | 3;
  readonly private: boolean;
  readonly kind: TaskKind;
  readonly sampling: Sampling;
  /** Commitment to the secret of the draw of checkers. */
  readonly draw: string;
  readonly client: string;
  readonly nonce: string;
  readonly prefer: string | null;
  /** The only tab that is meant, and not waited for; null: any. */
  readonly only: string | null;
  readonly token: string;
  readonly readablePromptBytes: number;
  readonly claim: Claim;
  /** When the answer must be written, epoch ms; null: no sooner than any other. */
  readonly deadlineAt: number | null;
  /** Of a question of the network's own: see the task's terms. */
  readonly own?: PricedHold;
}

/** Who shares the tabs with whom, and which of them are wanted. */
export interface Claim extends Placement {
  /** Whoever pays. */
  readonly account: string;
  readonly sla: Sla;
  /** Digest of the conversation's beginning: a tab that holds it need not read it again. Null: the request belongs to none. */
  readonly conversation: string | null;
  /** Tabs that may answer; null: all. */
  readonly allow: readonly string[] | null;
  /** Tabs that may not: they are not wanted, failed this part of a request, or work on its twin. */
  readonly block: readonly string[];
  /** Whether both hold for the tabs that check, too, as a session's do. Otherwise checks are drawn as any other's. */
  readonly bindsCheckers: boolean;
}
