import { alarmBound, type FailureRates } from '../../shared/checking/sequential-test.ts';

/**
 * How much trust costs and what it brings. The values were chosen by `npm run sim -- trust`, which takes another policy for comparison;
 * docs/trust.md says what each of them trades.
 */
export interface TrustPolicy {
  /** How often each kind of observation goes against an honest tab and against a cheat. */
  readonly refuted: FailureRates;
  readonly disputed: FailureRates;
  readonly suspicious: FailureRates;
  readonly missed: FailureRates;
  /** Evidence, nats, from which a tab is suspected. */
  readonly suspectedFrom: number;
  /** Evidence, nats, from which a tab is quarantined. */
  readonly quarantinedFrom: number;
  /** Most evidence, nats, that observations which prove no lie add up to: below {@link quarantinedFrom}. */
  readonly unprovenCeiling: number;
  /** Time in which half of the evidence against a tab is forgotten, ms. */
  readonly evidenceHalfLifeMs: number;
  /** Time in which half of the passes and half of the offences are forgotten, ms. */
  readonly memoryHalfLifeMs: number;
  /** Network tasks that a tab must pass before it is trusted. They earn nothing: they are the price of an identity. */
  readonly qualifyingPasses: number;
  /** A trusted tab that has passed nothing for so long is new again, ms. */
  readonly trustKeptMs: number;
  /** The record's rate of checks: this number over the passes on record … */
  readonly ratePasses: number;
  /** … and never below this; both for an answer of the mean size, and in proportion for others. */
  readonly rateFloor: number;
  /** Share of free tabs that is kept for users: with fewer, nothing is checked beyond the record's rate. */
  readonly idleReserve: number;
  /** Share of free tabs from which on every answer is checked. */
  readonly idlePlenty: number;
  /** A trusted tab is given a network task after so long without one, ms. */
  readonly networkTaskEveryMs: number;
  /** First wait in quarantine, ms; every further offence on record doubles it. */
  readonly firstQuarantineMs: number;
  readonly longestQuarantineMs: number;
  /** Refuted answers to users, each after a quarantine that was passed, that end in a ban. Older ones count for less as they are forgotten. */
  readonly fraudsUntilBan: number;
}

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;

export const TRUST_POLICY: TrustPolicy = {
  // An exact class: no honest difference in thousands of answers (docs/exactness.md). A hundredth of a percent is left for what was not met
  // yet, and for two checkers who agree on a lie about an honest tab. A cheat is taken to lie in three answers of ten, as in the calibration of the probes.
  refuted: { honest: 0.0001, cheat: 0.3 },
  // One of two lied. The honest one of them was unlucky in whom it met.
  disputed: { honest: 0.02, cheat: 0.3 },
  // Short or odd prompts have short or odd answers.
  suspicious: { honest: 0.02, cheat: 0.3 },
  // People close tabs and phones fall asleep: one miss is no suspicion, a second soon after is.
  missed: { honest: 0.1, cheat: 0.25 },
  suspectedFrom: Math.log(3),
  quarantinedFrom: alarmBound(0.001),
  unprovenCeiling: Math.log(100),
  evidenceHalfLifeMs: 7 * DAY_MS,
  memoryHalfLifeMs: 30 * DAY_MS,
  // Whoever is checked at the rate r × size gives answers worth 1/r mean tasks between two checks, large ones or small ones. To lie, to lose the
  // identity and to begin anew earns less than honesty as long as that is no more than a new identity costs: these tasks, and the half of its
  // first pay that is held back. So qualifyingPasses ≥ 1/(2 · rateFloor), with a deposit of 2/rateFloor mean tasks. The network's tasks are short ones, so an identity
  // costs less than that says: docs/trust.md tells where it shows.
  qualifyingPasses: 25,
  trustKeptMs: 30 * DAY_MS,
  ratePasses: 2,
  rateFloor: 0.025,
  idleReserve: 0.1,
  idlePlenty: 0.3,
  networkTaskEveryMs: 12 * HOUR_MS,
  firstQuarantineMs: HOUR_MS,
  longestQuarantineMs: 7 * DAY_MS,
  fraudsUntilBan: 3,
};
