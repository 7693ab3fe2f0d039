import type { TrustPolicy } from '../../router-worker/record/policy.ts';
import { mayServe, observe, type Source, type Standing, standingOf } from '../../router-worker/record/record.ts';
import { findingFor } from '../../router-worker/record/weigh-marks.ts';
import type { Mark } from '../../router-worker/task/marks.ts';
import type { Money } from './money.ts';
import type { Population } from './population.ts';
import type { Seat } from './sim-tab.ts';

/** The records of the tabs, and what follows when a standing changes. */
export class Standings {
  readonly #population: Population;
  readonly #money: Money;
  readonly #policy: TrustPolicy;

  constructor(population: Population, money: Money, policy: TrustPolicy) {
    this.#population = population;
    this.#money = money;
    this.#policy = policy;
  }

  /** A mark goes on record. */
  observe(
    seat: Seat,
    mark: Mark,
    how: { readonly at: number; readonly source: Source; readonly byKnownAnswer: boolean },
  ): void {
    const { identity } = seat;
    const finding = findingFor(mark, how.byKnownAnswer);
    if (finding === null) return;
    const seen = { ...finding, at: how.at, role: mark.role, source: how.source };
    identity.record = observe(identity.record, seen, this.#policy);
    if (mark.outcome === 'refuted') this.#money.forfeit(seat);
    this.look(seat, how.at);
  }

  /** The standing as of now: it changes by observations, and suspicion fades by itself. */
  look(seat: Seat, at: number): void {
    const { tab, identity } = seat;
    const before = identity.standing;
    const after = standingOf(identity.record, at, this.#policy);
    if (before === after) return;
    const isCurrent = tab.identity === identity;
    const isFree = isCurrent && tab.place !== -1;
    if (isFree) this.#population.unlist(tab);
    if (isCurrent) {
      this.#population.serving += Number(mayServe(after)) - Number(mayServe(before));
      this.#population.trusted += Number(after === 'trusted') - Number(before === 'trusted');
    }
    identity.standing = after;
    if (after === 'trusted') this.#money.release(seat);
    if (isGood(before) && !isGood(after)) caught(seat);
    if (!mayServe(after)) {
      tab.outcome[after === 'banned' ? 'bans' : 'quarantines']++;
      identity.answersSinceCaught = 0;
      if (isCurrent && tab.kind === 'whitewasher') {
        this.#money.forfeit(seat);
        this.#population.beginAnew(tab);
      }
    }
    if (isFree) this.#population.list(tab);
  }
}

function isGood(standing: Standing): boolean {
  return standing === 'new' || standing === 'trusted';
}

function caught({ tab, identity }: Seat): void {
  tab.outcome.detections++;
  tab.outcome.badBefore.push(identity.badSinceCaught);
  tab.outcome.checksBefore.push(identity.checkedSinceCaught);
  identity.badSinceCaught = 0;
  identity.checkedSinceCaught = 0;
}
