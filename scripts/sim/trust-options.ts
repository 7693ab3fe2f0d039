import { DEPOSIT_TASKS } from '../../router-worker/ledger/deposit.ts';
import { TRUST_POLICY, type TrustPolicy } from '../../router-worker/record/policy.ts';
import { type LevelShares, type Trace, USUAL_LEVELS } from './demand.ts';
import type { Kind } from './tab-kinds.ts';

/** A run of the simulation. */
export interface TrustOptions {
  readonly seed: number;
  readonly days: number;
  /** Tabs of each kind. */
  readonly tabs: Readonly<Partial<Record<Kind, number>>>;
  /** Demand of users over the capacity of all tabs, on the mean of a day. */
  readonly load: number;
  /** How far demand swings around its mean, 0 … 1. */
  readonly swing: number;
  /** Share of the honest tabs that is replaced by newcomers in a day. */
  readonly turnover: number;
  /** Mean tasks whose pay is held back from every tab, half of each pay until it is together; given back to whoever leaves unrefuted. */
  readonly depositTasks: number;
  /** Share of the chances to serve that a new tab spends on a question of the network while users wait. The router has no such rule: 0. */
  readonly qualifyingShare: number;
  readonly trace: Trace | null;
  readonly levels: LevelShares;
  readonly policy: TrustPolicy;
}

export const TRUST_DEFAULTS: Omit<TrustOptions, 'tabs'> = {
  seed: 1,
  days: 2,
  load: 0.55,
  swing: 0.65,
  turnover: 0.05,
  // What a tab that has nothing more to lose gives between two checks, 1/rateFloor mean tasks, and as much again: a cheap lie takes a tenth of the
  // time, so that many more of them are given while the check of the first and the execution that decides are under way.
  depositTasks: DEPOSIT_TASKS,
  qualifyingShare: 0,
  trace: null,
  levels: USUAL_LEVELS,
  policy: TRUST_POLICY,
};
