import { isExactClass } from '../../shared/classes/class-id.ts';
import { ShoalError } from '../../shared/errors.ts';
import { MAX_WAIT_MS, SUBTASK_DEADLINE_MS } from '../../shared/limits.ts';
import type { Leased, Seat } from '../allocation/allocator.ts';
import type { Choice } from '../allocation/choose-tab.ts';
import { type AnswerLease, type AnswerLeases, type AnswerLeasesHost, mayHaveRead } from './answer-leases.ts';
import { askedOf } from './asked-of.ts';
import type { HedgeDesk } from './hedge-desk.ts';
import type { ActiveLease } from './lease-book.ts';
import { lost, unfinished } from './stream-errors.ts';
import type { ServedTask, TaskBook, Vacancy } from './task-book.ts';

export interface SuccessorDeskHost extends AnswerLeasesHost {
  readonly tasks: TaskBook;
  readonly hedges: HedgeDesk;
  release(number: number): ActiveLease | null;
  /** Who may answer. */
  seats(): readonly Seat[];
  /** The answer is written under this lease from now on. */
  adopt(served: ServedTask, issued: AnswerLease): void;
  /** Nobody goes on with it. */
  failed(active: ActiveLease, error: ShoalError): void;
  /** Sets a tab free that works for the network itself. */
  makeRoom(classes: readonly string[]): void;
}

/** Tabs that are tried for one answer. */
export const MAX_ATTEMPTS = 3;

/** A client that has waited so long for a first frame is told that it failed, ms: one more tab would take as long again. */
const REPLACED_WITHIN_MS = 2 * 60_000;

/** How often a client is told that it waits for another tab, ms: it takes a silent router for a dead one. */
const TELL_EVERY_MS = 5_000;

/**
 * Other tabs for answers whose tab was lost, in the same stream. Before its first frame any tab will do. Later only one of the same exact class, which
 * writes the same: it begins with the prompt, and whoever reads the stream swallows what is known and compares it. When all of them are busy, the first
 * that is free is waited for.
 */
export class SuccessorDesk {
  readonly #host: SuccessorDeskHost;
  readonly #leases: AnswerLeases;
  readonly #vacant = new Map<ServedTask, { toldAt: number }>();

  constructor(host: SuccessorDeskHost, leases: AnswerLeases) {
    this.#host = host;
    this.#leases = leases;
  }

  /** Whether somebody takes the place of a lost tab, or is waited for. Its slot is not free yet. */
  takes(active: ActiveLease, error: ShoalError): boolean {
    const { tasks, hedges, ports } = this.#host;
    const served = tasks.get(active.lease.task);
    if (served === undefined || !this.#mayBeFollowed(served, active)) return false;
    if (hedges.takeOver(served)) return true;
    if (served.attempts >= MAX_ATTEMPTS) return false;
    const until = ports.now() + MAX_WAIT_MS;
    const told = served.writers.length > 0 ? unfinished(error) : error;
    const vacancy: Vacancy = { lost: active, error: told, until, isTaken: false };
    const next = this.#choose(served, vacancy);
    if (next.do === 'refuse') return false;
    if (served.issued !== null && mayHaveRead(served.issued)) served.earlier = [...served.earlier, active.lease.tab];
    served.vacancy = vacancy;
    this.#vacant.set(served, { toldAt: Number.NEGATIVE_INFINITY });
    this.#do(served, vacancy, next);
    return true;
  }

  #mayBeFollowed(served: ServedTask, active: ActiveLease): boolean {
    const { want, stream, issued, since } = served;
    const isBegun = served.writers.length > 0;
    if (stream === null || want === null || want.only !== null) return false;
    if (issued?.active !== active || active.stoppedAt !== null) return false;
    const within = isBegun ? SUBTASK_DEADLINE_MS : REPLACED_WITHIN_MS;
    return this.#host.ports.now() - since <= within && (!isBegun || isExactClass(active.lease.class));
  }

  /** A slot is free, a tab has come, or time has passed: whoever was in the middle of an answer goes first. */
  serve(): void {
    for (const served of this.#vacant.keys()) {
      const { vacancy } = served;
      if (vacancy === null) this.#vacant.delete(served);
      else if (!vacancy.isTaken) {
        const next = this.#choose(served, vacancy);
        if (next.do === 'refuse' || this.#host.ports.now() >= vacancy.until)
          this.#giveUp(served, vacancy, vacancy.error);
        else this.#do(served, vacancy, next);
      }
    }
  }

  /** Its client went away. `false`: no tab is looked for. */
  left(served: ServedTask): boolean {
    const { vacancy } = served;
    if (vacancy === null) return false;
    if (!vacancy.isTaken) this.#giveUp(served, vacancy, lost('cancelled'));
    return true;
  }

  #giveUp(served: ServedTask, { lost: active }: Vacancy, error: ShoalError): void {
    served.vacancy = null;
    this.#vacant.delete(served);
    this.#host.failed(active, error);
  }

  #choose({ want, issued, earlier, writers }: ServedTask, { lost: { lease } }: Vacancy): Choice {
    const { allocator } = this.#host;
    if (want === null) return { do: 'refuse' };
    const asked = { ...askedOf(want), prefer: null };
    const others = this.#host.seats().filter(({ tab }) => tab !== lease.tab && !earlier.includes(tab));
    const isBegun = writers.length > 0;
    const mayBeBegun = isBegun || (lease.private && issued?.event.direct === true);
    if (!mayBeBegun) return allocator.choose(others, asked);
    const isLike = (seat: Seat) => seat.class === lease.class;
    const choice = allocator.choose(isExactClass(lease.class) ? others.filter(isLike) : [], asked);
    if (choice.do !== 'refuse' || isBegun) return choice;
    // Whether anything came over the link, only the client knows. If so, it takes no tab of another class.
    return allocator.choose(
      others.filter((seat) => !isLike(seat)),
      asked,
    );
  }

  #do(served: ServedTask, vacancy: Vacancy, next: Exclude<Choice, { do: 'refuse' }>): void {
    const { tasks, ports } = this.#host;
    if (next.do === 'lease') {
      vacancy.isTaken = true;
      ports.log('task_leased_again', { task: served.task, lost: vacancy.lost.lease.tab, tab: next.tab });
      this.#lease(served, vacancy, next).catch((cause) => {
        if (served.vacancy === vacancy) this.#giveUp(served, vacancy, ShoalError.from(cause));
      });
      return;
    }
    const told = this.#vacant.get(served);
    if (told === undefined || ports.now() - told.toldAt < TELL_EVERY_MS) return;
    told.toldAt = ports.now();
    tasks.tell(served.task, { t: 'waiting', ahead: 0, etaMs: Math.round(next.expected.startMs) });
    this.#host.makeRoom([vacancy.lost.lease.class]);
  }

  async #lease(served: ServedTask, vacancy: Vacancy, choice: Leased): Promise<void> {
    const { want, writers } = served;
    if (want === null) return;
    const attempt = this.#host.tasks.nextAttempt(served);
    const mayHedge = writers.length === 0 && served.attempts < MAX_ATTEMPTS;
    const issued = await this.#leases.issue(want, choice, { attempt, mayHedge });
    if (served.stream === null) {
      // Its client left while the lease was signed: nobody has seen it.
      this.#host.release(issued.active.number);
      return this.#giveUp(served, vacancy, lost('cancelled'));
    }
    served.vacancy = null;
    this.#vacant.delete(served);
    this.#host.adopt(served, issued);
  }
}
