import { addEvidence, decayed, failureWeight, passWeight } from '../../shared/checking/sequential-test.ts';
import type { Standing } from '../../shared/checking/standing.ts';
import { TRUST_POLICY, type TrustPolicy } from './policy.ts';

export type Role = 'answer' | 'check';

/** Who asked: a user, or the router with a task whose answer it knows. The tab cannot tell. */
export type Source = 'user' | 'network';

/** What a check, a known answer or a look at the text said about a tab. */
export type Finding =
  /** Its answer, or its word as a checker, was found right. */
  | { readonly outcome: 'agreed' }
  /** It was found false, and by whom is known to be no liar himself. */
  | { readonly outcome: 'refuted'; readonly reason: 'third_execution' | 'known_answer' | 'guard' }
  /** Two tabs differ and nobody was left to decide: one of them lied. */
  | { readonly outcome: 'disputed' }
  /** As a checker it delivered nothing, or an opening that does not fit its commitment; or it showed its own answer to nobody who would read it. */
  | { readonly outcome: 'missed'; readonly reason: 'checker_lost' | 'opening_refused' }
  | {
      readonly outcome: 'suspicious';
      readonly reason: 'empty' | 'looping' | 'cut' | 'wrong_language' | 'off_topic' | 'blind_guesses' | 'no_vectors';
    };

export type Outcome = Finding['outcome'];

export type Observation = Finding & { readonly at: number; readonly role: Role; readonly source: Source };

type State =
  | { readonly name: 'qualifying'; readonly since: number; readonly passed: number }
  | { readonly name: 'qualified'; readonly since: number }
  | { readonly name: 'quarantined'; readonly since: number; readonly until: number; readonly passed: number }
  | { readonly name: 'banned'; readonly since: number; readonly by: 'operator' | 'fraud' };

/** Everything that is remembered of one tab in one class. Stored: fields may be added, never repurposed. */
export interface TabRecord {
  readonly version: 1;
  readonly tab: string;
  readonly class: string;
  /** Instant up to which the decaying figures are brought: the last observation. */
  readonly at: number;
  /** Evidence that the tab cheats, nats; 0 says nothing. Decays. */
  readonly evidence: number;
  /** Checks passed; decays, so that an old record weighs less than a fresh one. */
  readonly passes: number;
  /** Quarantines, and failed ways out of one; decays. */
  readonly offences: number;
  /** Refuted answers to users that led into quarantine; decays. */
  readonly frauds: number;
  readonly passedAt: number | null;
  /** When a network task last came back. */
  readonly networkTaskAt: number | null;
  readonly state: State;
  /** Since the record began; these do not decay. */
  readonly counts: Readonly<Record<Outcome, number>>;
  readonly lastTrouble: Observation | null;
}

export type { Standing };

export function newRecord(tab: string, classId: string, at: number): TabRecord {
  return {
    version: 1,
    tab,
    class: classId,
    at,
    evidence: 0,
    passes: 0,
    offences: 0,
    frauds: 0,
    passedAt: null,
    networkTaskAt: null,
    state: { name: 'qualifying', since: at, passed: 0 },
    counts: { agreed: 0, refuted: 0, disputed: 0, missed: 0, suspicious: 0 },
    lastTrouble: null,
  };
}

/** The record after an observation. One that is older than the last is taken as of the last: results of checks overtake each other. */
export function observe(record: TabRecord, seen: Observation, policy: TrustPolicy = TRUST_POLICY): TabRecord {
  const now = settle(record, seen.at, policy);
  const counted: TabRecord = {
    ...now,
    counts: { ...now.counts, [seen.outcome]: now.counts[seen.outcome] + 1 },
    networkTaskAt: seen.source === 'network' ? now.at : now.networkTaskAt,
    lastTrouble: seen.outcome === 'agreed' ? now.lastTrouble : seen,
  };
  switch (counted.state.name) {
    case 'banned':
      return counted;
    case 'quarantined':
      return inQuarantine(counted, counted.state, seen, policy);
    case 'qualifying':
    case 'qualified':
      return atLarge(counted, seen, policy);
  }
}

function atLarge(record: TabRecord, seen: Observation, policy: TrustPolicy): TabRecord {
  const ceiling = seen.outcome === 'refuted' ? Number.POSITIVE_INFINITY : policy.unprovenCeiling;
  const evidence = addEvidence(record.evidence, weightOf(seen.outcome, policy), ceiling);
  if (evidence >= policy.quarantinedFrom) {
    return quarantined({ ...record, evidence, frauds: record.frauds + (seen.source === 'user' ? 1 : 0) }, policy);
  }
  if (seen.outcome !== 'agreed') return { ...record, evidence };
  const passed = { ...record, evidence, passes: record.passes + 1, passedAt: record.at };
  if (record.state.name !== 'qualifying' || seen.source !== 'network') return passed;
  // Only tasks of the network qualify: users' tasks are paid, and two tabs of one owner could pass each other's.
  return { ...passed, state: oneMorePassed(record.state, record.at, policy) };
}

function oneMorePassed(state: Extract<State, { passed: number }>, at: number, policy: TrustPolicy): State {
  const passed = state.passed + 1;
  return passed >= policy.qualifyingPasses ? { name: 'qualified', since: at } : { ...state, passed };
}

/** What comes in during the wait belongs to the offence that led here: it is counted, and adds none. */
function inQuarantine(
  record: TabRecord,
  state: Extract<State, { name: 'quarantined' }>,
  seen: Observation,
  policy: TrustPolicy,
): TabRecord {
  if (seen.source !== 'network' || record.at < state.until) return record;
  if (seen.outcome === 'refuted') return quarantined(record, policy);
  if (seen.outcome !== 'agreed') return record;
  const next = oneMorePassed(state, record.at, policy);
  const passed = { ...record, state: next, passes: record.passes + 1, passedAt: record.at };
  return next.name === 'qualified' ? { ...passed, evidence: 0 } : passed;
}

function quarantined(record: TabRecord, policy: TrustPolicy): TabRecord {
  // Half an offence is forgiven: three within a half-life are three, although the first has faded a little.
  if (record.frauds > policy.fraudsUntilBan - 0.5) {
    return { ...record, state: { name: 'banned', since: record.at, by: 'fraud' } };
  }
  const offences = record.offences + 1;
  const waitMs = Math.min(policy.longestQuarantineMs, policy.firstQuarantineMs * 2 ** (offences - 1));
  const state = { name: 'quarantined', since: record.at, until: record.at + Math.round(waitMs), passed: 0 } as const;
  return { ...record, offences, passes: 0, state };
}

function weightOf(outcome: Outcome, policy: TrustPolicy): number {
  return outcome === 'agreed' ? passWeight(policy.refuted) : failureWeight(policy[outcome]);
}

/** The record as of an instant, with everything that fades by itself. */
function settle(record: TabRecord, at: number, policy: TrustPolicy): TabRecord {
  const now = Math.max(at, record.at);
  const elapsedMs = now - record.at;
  return {
    ...record,
    at: now,
    evidence: decayed(record.evidence, elapsedMs, policy.evidenceHalfLifeMs),
    passes: decayed(record.passes, elapsedMs, policy.memoryHalfLifeMs),
    offences: decayed(record.offences, elapsedMs, policy.memoryHalfLifeMs),
    frauds: decayed(record.frauds, elapsedMs, policy.memoryHalfLifeMs),
    state: hasLapsed(record, now, policy) ? { name: 'qualifying', since: now, passed: 0 } : record.state,
  };
}

function hasLapsed({ state, passedAt }: TabRecord, at: number, policy: TrustPolicy): boolean {
  return state.name === 'qualified' && at - (passedAt ?? state.since) > policy.trustKeptMs;
}

/** Bans by word of the operator, whatever the record says. */
export function ban(record: TabRecord, at: number, policy: TrustPolicy = TRUST_POLICY): TabRecord {
  const now = settle(record, at, policy);
  return { ...now, state: { name: 'banned', since: now.at, by: 'operator' } };
}

/** Takes back a ban or a quarantine by word of the operator: the tab is new again. Counts stay. */
export function pardon(record: TabRecord, at: number): TabRecord {
  return { ...newRecord(record.tab, record.class, Math.max(at, record.at)), counts: record.counts };
}

export function standingOf(record: TabRecord, at: number, policy: TrustPolicy = TRUST_POLICY): Standing {
  const { state } = record;
  if (state.name === 'banned' || state.name === 'quarantined') return state.name;
  const evidence = decayed(record.evidence, at - record.at, policy.evidenceHalfLifeMs);
  if (evidence >= policy.suspectedFrom) return 'suspected';
  return state.name === 'qualified' && !hasLapsed(record, at, policy) ? 'trusted' : 'new';
}

/** Who is asked first, to answer as to check. An order and no refusal: in a young network everybody is new, and somebody must serve. */
export const SERVING_ORDER: readonly Standing[] = ['trusted', 'new', 'suspected'];

export function mayServe(standing: Standing): boolean {
  return SERVING_ORDER.includes(standing);
}

/**
 * The chance, 0 … 1, with which an answer of level `basic` is checked: the larger of what the record asks for and what idle tabs allow. Secret.
 * `idleShare`: free tabs among those that may serve, 0 … 1. `size`: the answer's tokens (prompt and answer) over those of the mean task: were
 * large answers not checked more often, whoever cheats in these alone would save more between two checks than an identity costs.
 */
export function checkRate(
  record: TabRecord,
  at: number,
  idleShare: number,
  size: number,
  policy: TrustPolicy = TRUST_POLICY,
): number {
  if (standingOf(record, at, policy) !== 'trusted') return 1;
  const passes = Math.max(decayed(record.passes, at - record.at, policy.memoryHalfLifeMs), Number.MIN_VALUE);
  const recordRate = size * Math.max(policy.rateFloor, policy.ratePasses / passes);
  return Math.min(1, Math.max(recordRate, idleRate(idleShare, policy)));
}

/** Checks cost nobody anything while tabs are idle: the answers of users are the better place for that work. */
export function idleRate(idleShare: number, policy: TrustPolicy = TRUST_POLICY): number {
  return Math.min(1, Math.max(0, (idleShare - policy.idleReserve) / (policy.idlePlenty - policy.idleReserve)));
}

/** Whether a task with a known answer would tell something about the tab now. When to send it is for whoever sees the load. */
export function wantsNetworkTask(record: TabRecord, at: number, policy: TrustPolicy = TRUST_POLICY): boolean {
  switch (standingOf(record, at, policy)) {
    case 'banned':
      return false;
    case 'quarantined':
      return record.state.name === 'quarantined' && at >= record.state.until;
    case 'new':
    case 'suspected':
      return true;
    case 'trusted':
      return at - (record.networkTaskAt ?? Number.NEGATIVE_INFINITY) >= policy.networkTaskEveryMs;
  }
}
