import type { Leased, Seat } from '../allocation/allocator.ts';
import type { Asked } from '../allocation/asked.ts';
import { type AnswerLease, type AnswerLeases, type AnswerLeasesHost, mayHaveRead, once } from './answer-leases.ts';
import type { ActiveLease } from './lease-book.ts';
import type { ServedTask, TaskBook } from './task-book.ts';

export interface HedgeDeskHost extends AnswerLeasesHost {
  readonly tasks: TaskBook;
  release(number: number): ActiveLease | null;
  /** Who may answer. */
  seats(): readonly Seat[];
  /** The session of the lease's task cannot be reached. */
  giveUp(active: ActiveLease, cause: unknown): void;
}

/**
 * Second tabs for answers whose first token is late. Both have the prompt, each sealed to itself; the first that writes something has the answer, and the
 * other is stopped. It is not paid for, it is not blamed, and it stands among the readers of the receipt.
 */
export class HedgeDesk {
  readonly #host: HedgeDeskHost;
  readonly #leases: AnswerLeases;

  constructor(host: HedgeDeskHost, leases: AnswerLeases) {
    this.#host = host;
    this.#leases = leases;
  }

  /** Asks a second tab wherever a first token is late, as far as the allocator's budget goes. */
  tick(): void {
    const { allocator, tasks, ports } = this.#host;
    for (const { number, choice } of allocator.hedges((asked) => this.#seats(asked))) {
      const served = tasks.ofAnswer(number);
      if (served === undefined || !this.#isAwaited(served, number)) continue;
      this.#ask(served, number, choice).catch((cause) =>
        ports.log('hedge_failed', { task: served.task, reason: String(cause) }),
      );
    }
  }

  /** Frames over a direct link are not seen here, and so neither is which tab wrote first: no link for private prompts. */
  #seats({ size }: Asked): readonly Seat[] {
    const { roster } = this.#host;
    const isPrivate = size.promptBytes === null;
    return this.#host.seats().filter(({ tab }) => !isPrivate || roster.get(tab)?.direct !== true);
  }

  #isAwaited(served: ServedTask, number: number): boolean {
    const { stream, answer, issued, hedge, vacancy, writers } = served;
    if (stream === null || answer?.number !== number || hedge !== null || vacancy !== null) return false;
    return writers.length === 0 && issued?.active.number === number && issued.active.stoppedAt === null;
  }

  async #ask(served: ServedTask, number: number, choice: Leased): Promise<void> {
    const { tasks, leases, ports } = this.#host;
    const { want, issued } = served;
    if (want === null || issued === null) return;
    const hedge = await this.#leases.issue(want, choice, { attempt: tasks.nextAttempt(served), mayHedge: false });
    const { active } = hedge;
    if (!this.#isAwaited(served, number) || leases.get(number) === undefined) {
      this.#host.release(active.number); // It was not late after all, or is lost: nobody has seen the second lease.
      return;
    }
    served.hedge = hedge;
    const asReader = () => ({ ...issued.terms, earlier: [...served.earlier, active.lease.tab] });
    active.open = once(() => ports.sessions.open(asReader()).catch((cause) => this.#host.giveUp(active, cause)));
    tasks.tell(served.task, { ...hedge.event, beside: true });
    ports.log('task_hedged', { task: served.task, late: issued.active.lease.tab, tab: active.lease.tab });
  }

  /** A tab has written the first of its answer, or the whole. The other one is too late. */
  wrote(served: ServedTask, active: ActiveLease): void {
    const { hedge, issued } = served;
    if (hedge?.active === active) {
      this.takeOver(served);
      if (issued !== null) this.#stop(issued.active, true);
    } else if (hedge !== null && issued?.active === active) this.#drop(served, true);
  }

  /** The second tab alone writes the answer now. `false`: there is none. */
  takeOver(served: ServedTask): boolean {
    const { tasks, ports } = this.#host;
    const { hedge, issued } = served;
    if (hedge === null) return false;
    served.hedge = null;
    if (issued !== null && mayHaveRead(issued)) served.earlier = [...served.earlier, issued.active.lease.tab];
    served.issued = hedge;
    const { active, event, terms } = hedge;
    tasks.answeredUnder(served, active.lease);
    const readBefore = active.open;
    active.open = once(async () => {
      if (mayHaveRead(hedge)) await readBefore();
      await ports.sessions
        .open({ ...terms, earlier: served.earlier })
        .catch((cause) => this.#host.giveUp(active, cause));
    });
    tasks.tell(served.task, event);
    const { promptTokens } = active;
    if (promptTokens !== null) tasks.tell(served.task, { t: 'accepted', promptTokens });
    if (mayHaveRead(hedge)) void active.open();
    return true;
  }

  /** The second tab was lost, or is not needed any more. The first goes on. */
  lost(served: ServedTask): void {
    this.#drop(served, false);
  }

  #drop(served: ServedTask, isOutrun: boolean): void {
    const { hedge, issued } = served;
    if (hedge === null) return;
    served.hedge = null;
    if (mayHaveRead(hedge)) this.#remember(served, hedge, issued);
    this.#stop(hedge.active, isOutrun);
  }

  /** The receipt is not written before the session knows who read the prompt. */
  #remember(served: ServedTask, hedge: AnswerLease, issued: AnswerLease | null): void {
    served.earlier = [...served.earlier, hedge.active.lease.tab];
    if (issued === null) return;
    const { open } = issued.active;
    issued.active.open = once(async () => {
      await open();
      await hedge.active.open();
    });
  }

  #stop(active: ActiveLease, isOutrun: boolean): void {
    const { roster, allocator } = this.#host;
    roster.send(active.tab, { t: 'stop', number: active.number });
    if (isOutrun) allocator.outrun(active.number);
    this.#host.release(active.number);
  }
}
