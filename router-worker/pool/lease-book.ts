import {
  ACK_DEADLINE_MS,
  FIRST_FRAME_DEADLINE_MS,
  FRAME_GAP_DEADLINE_MS,
  HAND_ON_DEADLINE_MS,
  SUBTASK_DEADLINE_MS,
} from '../../shared/limits.ts';
import type { TaskTail } from '../../shared/protocol/fields.ts';
import type { Lease, LeaseRole } from '../../shared/protocol/lease.ts';
import type { Signed, Signer } from '../../shared/signing/signed-statement.ts';
import type { CheckOutcome } from '../task/task.ts';
import type { Tab } from './tab.ts';
import type { TakenKey } from './tab-roster.ts';

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
  readonly leasedAt: number;
  movedAt: number;
  /** The number of the frame that is due next by relay. */
  nextFrame: number;
  /** Tells the session of the task, once; resolves when it knows. Only a lease that is used gets a session. */
  open: () => Promise<void>;
  /** For a check: when the answering tab was asked to hand it on, until it arrived; and how it came. */
  handOnAskedAt: number | null;
  handedOn: CheckOutcome['handedOn'];
}

/** The terms that the pool adds to a lease by itself are left out. */
export type LeaseTerms = Pick<
  Lease,
  'task' | 'model' | 'variant' | 'class' | 'client' | 'nonce' | 'private' | 'sampling'
>;

/** Leases in hand: issued, signed, watched, released. A lease occupies its tab from the moment it is drafted. */
export class LeaseBook {
  readonly #signer: Signer;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #leases = new Map<number, ActiveLease>();

  constructor(signer: Signer, now: () => number, random: () => number) {
    this.#signer = signer;
    this.#now = now;
    this.#random = random;
  }

  get size(): number {
    return this.#leases.size;
  }

  get(number: number): ActiveLease | undefined {
    return this.#leases.get(number);
  }

  all(): ActiveLease[] {
    return [...this.#leases.values()];
  }

  ofTask(task: TaskTail): ActiveLease[] {
    return this.all().filter((active) => active.lease.task === task);
  }

  /** Drafts and signs a lease. The tab's slot is taken before anything is awaited: the next request must see the load. */
  async issue(tab: Tab, role: LeaseRole, key: TakenKey, terms: LeaseTerms): Promise<ActiveLease> {
    const issuedAt = this.#now();
    const lease: Lease = {
      v: 1,
      task: terms.task,
      subtask: 0,
      attempt: 1,
      number: this.#newNumber(),
      role,
      tab: tab.identity,
      sealTo: key.sealTo,
      oneTime: key.oneTime,
      model: terms.model,
      variant: terms.variant,
      class: terms.class,
      client: terms.client,
      nonce: terms.nonce,
      private: terms.private,
      sampling: terms.sampling,
      issuedAt,
      expiresAt: issuedAt + SUBTASK_DEADLINE_MS,
    };
    tab.leases.add(lease.number);
    const statement = await this.#signer.sign('lease', JSON.stringify(lease));
    return this.#track(tab, lease, statement, key.statement, 'leased', 0);
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
    const at = this.#now();
    const active: ActiveLease = {
      number: lease.number,
      lease,
      statement,
      keyStatement,
      tab,
      state,
      leasedAt: at,
      movedAt: at,
      nextFrame,
      open: () => Promise.resolve(),
      handOnAskedAt: null,
      handedOn: null,
    };
    this.#leases.set(lease.number, active);
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

  /** Answers whose tab missed a deadline. Checks are watched by their session, frames over a direct link by the client. */
  late(): ActiveLease[] {
    const at = this.#now();
    return this.all().filter((active) => {
      if (active.lease.role === 'check') return false;
      const idleMs = at - active.movedAt;
      if (active.state === 'leased') return idleMs > ACK_DEADLINE_MS;
      if (at - active.leasedAt > SUBTASK_DEADLINE_MS) return true;
      if (active.lease.private) return false;
      return idleMs > (active.state === 'accepted' ? FIRST_FRAME_DEADLINE_MS : FRAME_GAP_DEADLINE_MS);
    });
  }

  /** Checks that the answering tab was asked to hand on, and that did not arrive. */
  notHandedOn(): ActiveLease[] {
    const at = this.#now();
    return this.all().filter(({ handOnAskedAt }) => handOnAskedAt !== null && at - handOnAskedAt > HAND_ON_DEADLINE_MS);
  }

  #newNumber(): number {
    for (;;) {
      const number = 1 + Math.floor(this.#random() * 0xffff_fffe);
      if (!this.#leases.has(number)) return number;
    }
  }
}
