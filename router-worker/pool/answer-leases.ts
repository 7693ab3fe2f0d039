import type { StreamEvent } from '../../shared/protocol/stream-records.ts';
import type { Allocator, Leased } from '../allocation/allocator.ts';
import type { TaskTerms } from '../task/task.ts';
import { askedOf } from './asked-of.ts';
import type { ActiveLease, LeaseBook } from './lease-book.ts';
import type { LeaseWant, PoolPorts } from './pool-ports.ts';
import { noTab } from './stream-errors.ts';
import type { TabRecords } from './tab-records.ts';
import type { TabRoster } from './tab-roster.ts';
import type { WaitingRequest } from './waiting-line.ts';

export type LeasedEvent = Extract<StreamEvent, { t: 'leased' }>;

/** A lease of an answer, as it is told to its client and, once it is used, to its session. */
export interface AnswerLease {
  readonly active: ActiveLease;
  readonly event: LeasedEvent;
  readonly terms: TaskTerms;
}

export interface AnswerLeasesHost {
  readonly ports: PoolPorts;
  readonly roster: TabRoster;
  readonly leases: LeaseBook;
  readonly allocator: Allocator<WaitingRequest>;
  readonly records: TabRecords;
}

/** Which lease of the answer it is, and whether a second tab may be asked when its first token is late. */
interface Attempt {
  readonly attempt: number;
  readonly mayHedge: boolean;
}

/** Leases for answers: signed, with the key that the tab has signed, and what the session is to know of them. */
export class AnswerLeases {
  readonly #host: AnswerLeasesHost;

  constructor(host: AnswerLeasesHost) {
    this.#host = host;
  }

  /** Leases the answer to the chosen tab. Its `open` does nothing yet. Throws `no_tab`. */
  async issue(want: LeaseWant, choice: Leased, { attempt, mayHedge }: Attempt): Promise<AnswerLease> {
    const { roster, leases, allocator, records } = this.#host;
    const tab = roster.get(choice.tab);
    const variant = want.variants.find((candidate) => candidate.class === choice.class);
    if (tab === undefined || variant === undefined) throw noTab(want);
    const key = roster.takeKey(tab);
    const active = await leases.issue(tab, 'answer', key, { ...want, ...variant, rung: null, attempt });
    const { lease, statement, number } = active;
    // First tokens that go over a direct link are not seen here: nobody could say that they are late.
    allocator.began(number, {
      ...choice,
      asked: askedOf(want),
      mayHedge: mayHedge && want.only === null && !(want.private && tab.direct),
    });
    return {
      active,
      event: {
        t: 'leased',
        lease: statement,
        tabKey: key.statement,
        token: want.token,
        direct: tab.direct,
        strict: want.level === 'strict',
        beside: false,
      },
      terms: {
        task: want.task,
        network: want.network,
        model: variant.model,
        variant: variant.variant,
        private: want.private,
        level: want.level,
        wanted: want.wanted,
        sampling: want.sampling,
        openedAt: lease.issuedAt,
        readablePromptBytes: want.readablePromptBytes,
        leaseStatement: statement,
        lease,
        standing: records.standing(tab, lease.class),
        considered: choice.considered,
        ...(want.own !== undefined && { own: want.own }),
      },
    };
  }
}

/** Whether the leased tab may have read the prompt. One that is private may have gone over a link that the pool does not see. */
export function mayHaveRead({ active, event }: Pick<AnswerLease, 'active' | 'event'>): boolean {
  const { isDelivered, state, lease } = active;
  return isDelivered || state !== 'leased' || (lease.private && event.direct);
}

/** At most once, and then the same promise for all who ask. */
export function once(act: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | null = null;
  return () => {
    done ??= act();
    return done;
  };
}
