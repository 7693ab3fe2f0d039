import {
  ACK_DEADLINE_MS,
  CHECK_DEADLINE_MS,
  FIRST_FRAME_DEADLINE_MS,
  FRAME_GAP_DEADLINE_MS,
  HAND_ON_DEADLINE_MS,
  REVEAL_DEADLINE_MS,
  SHOWN_DEADLINE_MS,
  SUBTASK_DEADLINE_MS,
  WRAP_DEADLINE_MS,
} from '../../shared/limits.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import { type Lease, type LeaseRole, lease as leaseSchema } from '../../shared/protocol/lease.ts';
import { openStatement, parsePayload, type Signed, type Signer } from '../../shared/signing/signed-statement.ts';
import type { CheckOutcome } from '../task/task.ts';
import type { Tab } from './tab.ts';
import type { TakenKey } from './tab-roster.ts';

/** How long a tab that was told to stop may take to commit to what it wrote, ms. It needs a token's time and a signature. */
const STOP_DEADLINE_MS = 10_000;

/** Longest life of a check's lease, ms. Its session ends it earlier; this is for a session that was never heard again. */
const CHECK_LEASE_MS = WRAP_DEADLINE_MS + CHECK_DEADLINE_MS + SHOWN_DEADLINE_MS + REVEAL_DEADLINE_MS + 30_000;

/** A lease that a tab works on. */
export interface ActiveLease {
  readonly number: number;
  readonly lease: Lease;
  readonly statement: Signed;
  /** The tab's signature on the key that the lease seals to; null when the lease came back after a restart. */
  readonly keyStatement: Signed | null;
  /** Whose slot it takes. Changes when the tab comes back on another socket. */
  tab: Tab;
  state: 'leased' | 'accepted' | 'running';
  movedAt: number;
  /** When the tab took it up; null before, and for a lease that came back. */
  acceptedAt: number | null;
  /** Length of the prompt, as the tab says when it takes it up; null before. */
  promptTokens: number | null;
  /** Whether the envelope was passed on: from then on the tab may have read the prompt. */
  isDelivered: boolean;
  /** When the client asked to stop; null as long as it did not. */
  stoppedAt: number | null;
  /** The number of the frame that is due next by relay. */
  nextFrame: number;
  /** Tells the session of the task, once; resolves when it knows. Only a lease that is used gets a session. */
  open: () => Promise<void>;
  /** For a check: when the answering tab was asked to hand it on, until it arrived; and how it came. */
  handOnAskedAt: number | null;
  handedOn: CheckOutcome['handedOn'];
  /** For a check: whether the client itself has sent the subtask. */
  isFromClient: boolean;
  /** For a check that reads: what it is shown chunk by chunk, and its guesses so far, each received before its chunk was shown. */
  reading: { readonly answerLease: Lease; readonly evidenceKey: string; readonly leaves: string[] } | null;
}

/** The terms that the pool adds to a lease by itself are left out. */
export type LeaseTerms = Pick<
  Lease,
  | 'task'
  | 'attempt'
  | 'model'
  | 'variant'
  | 'class'
  | 'rung'
  | 'client'
  | 'nonce'
  | 'private'
  | 'kind'
  | 'sampling'
  | 'draw'
>;

/** What a holder's copy of a lease turned out to be. */
export interface KnownLease {
  readonly lease: Lease;
  readonly statement: Signed;
  /** Null when it is not in hand: it is over, or was issued before this pool's memory began. */
  readonly active: ActiveLease | null;
  /** Released, lost or expired: whoever holds it comes too late. */
  readonly isOver: boolean;
}

/** Leases in hand: issued, signed, watched, released. A lease occupies its tab from the moment it is drafted. */
export class LeaseBook {
  readonly #signer: Signer;
  readonly #onTaken: (lease: Lease) => void;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #leases = new Map<number, ActiveLease>();
  readonly #bornAt: number;
  #drafts = 0;

  /** `onTaken` is told of every lease that is in hand from now on. */
  constructor(signer: Signer, now: () => number, random: () => number, onTaken: (lease: Lease) => void) {
    this.#onTaken = onTaken;
    this.#signer = signer;
    this.#now = now;
    this.#random = random;
    this.#bornAt = now();
  }

  get size(): number {
    return this.#leases.size + this.#drafts;
  }

  get(number: number): ActiveLease | undefined {
    return this.#leases.get(number);
  }

  ofTask(task: TaskTail): ActiveLease[] {
    return [...this.#leases.values()].filter((active) => active.lease.task === task);
  }

  /**
   * Reads a lease that somebody brings along. A living one is known by its signature. One that is not in hand was issued before this pool's
   * memory began, or it is over. Throws `integrity_failed` for what is no lease of ours.
   */
  async find(statement: Signed): Promise<KnownLease> {
    const claimed = parsePayload('lease', leaseSchema, statement);
    const active = this.#leases.get(claimed.number);
    if (active?.statement.signature === statement.signature && active.statement.payload === statement.payload) {
      return { lease: active.lease, statement, active, isOver: false };
    }
    const lease = await openStatement('lease', leaseSchema, statement, this.#signer.publicKey);
    const isOver = active !== undefined || lease.issuedAt >= this.#bornAt || lease.expiresAt <= this.#now();
    return { lease, statement, active: null, isOver };
  }

  /** Drafts and signs a lease. The tab's slot is taken before anything is awaited: the next request must see the load. */
  async issue(tab: Tab, role: LeaseRole, key: TakenKey, terms: LeaseTerms): Promise<ActiveLease> {
    const issuedAt = this.#now();
    const lease: Lease = {
      v: 3,
      task: terms.task,
      subtask: 0,
      attempt: terms.attempt,
      number: this.#newNumber(),
      role,
      rung: terms.rung,
      tab: tab.identity,
      sealTo: key.sealTo,
      oneTime: key.oneTime,
      model: terms.model,
      variant: terms.variant,
      class: terms.class,
      client: terms.client,
      nonce: terms.nonce,
      private: terms.private,
      kind: terms.kind,
      sampling: terms.sampling,
      draw: terms.draw,
      issuedAt,
      expiresAt: issuedAt + SUBTASK_DEADLINE_MS,
    };
    tab.leases.add(lease.number);
    this.#drafts++;
    try {
      const statement = await this.#signer.sign('lease', JSON.stringify(lease));
      return this.#track(tab, lease, statement, key.statement, 'leased', 0);
    } catch (cause) {
      tab.leases.delete(lease.number);
      throw cause;
    } finally {
      this.#drafts--;
    }
  }

  /** A lease that its holders brought back after the pool lost its memory. */
  takeBack(tab: Tab, lease: Lease, statement: Signed, nextFrame: number): ActiveLease {
    tab.leases.add(lease.number);
    return this.#track(tab, lease, statement, null, 'running', nextFrame);
  }

  #track(
    tab: Tab,
    lease: Lease,
    statement: Signed,
    keyStatement: Signed | null,
    state: ActiveLease['state'],
    nextFrame: number,
  ): ActiveLease {
    const active: ActiveLease = {
      number: lease.number,
      lease,
      statement,
      keyStatement,
      tab,
      state,
      movedAt: this.#now(),
      acceptedAt: null,
      promptTokens: null,
      isDelivered: false,
      stoppedAt: null,
      nextFrame,
      open: () => Promise.resolve(),
      handOnAskedAt: null,
      handedOn: null,
      isFromClient: false,
      reading: null,
    };
    this.#leases.set(lease.number, active);
    this.#onTaken(lease);
    return active;
  }

  /** Frees the tab's slot. Null when the lease is not in hand any more. */
  release(number: number): ActiveLease | null {
    const active = this.#leases.get(number);
    if (active === undefined) return null;
    this.#leases.delete(number);
    active.tab.leases.delete(number);
    return active;
  }

  /** The tab came back on another socket and still works on this lease. */
  moveTo(number: number, tab: Tab): void {
    const active = this.#leases.get(number);
    if (active === undefined) return;
    tab.leases.add(number);
    active.tab = tab;
  }

  moved(active: ActiveLease, state: ActiveLease['state']): void {
    active.state = state;
    active.movedAt = this.#now();
  }

  stopped(active: ActiveLease): void {
    active.stoppedAt ??= this.#now();
  }

  /**
   * Leases whose tab missed a deadline. The frames of a private answer may go over a direct link: their gaps are watched by the client, which
   * stops the tab.
   */
  late(): ActiveLease[] {
    const at = this.#now();
    return [...this.#leases.values()].filter(({ lease, state, movedAt, stoppedAt }) => {
      if (lease.role === 'check') return at - lease.issuedAt > CHECK_LEASE_MS;
      if (stoppedAt !== null && at - stoppedAt > STOP_DEADLINE_MS) return true;
      const idleMs = at - movedAt;
      if (state === 'leased') return idleMs > ACK_DEADLINE_MS;
      if (at > lease.expiresAt) return true;
      if (lease.private) return false;
      return idleMs > (state === 'accepted' ? FIRST_FRAME_DEADLINE_MS : FRAME_GAP_DEADLINE_MS);
    });
  }

  /** Checks that the answering tab was asked to hand on, and that did not arrive. */
  notHandedOn(): ActiveLease[] {
    const at = this.#now();
    return [...this.#leases.values()].filter(
      ({ handOnAskedAt }) => handOnAskedAt !== null && at - handOnAskedAt > HAND_ON_DEADLINE_MS,
    );
  }

  #newNumber(): number {
    for (;;) {
      const number = 1 + Math.floor(this.#random() * 0xffff_fffe);
      if (!this.#leases.has(number)) return number;
    }
  }
}
