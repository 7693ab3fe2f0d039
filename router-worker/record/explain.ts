import { TRUST_POLICY, type TrustPolicy } from './policy.ts';
import { type Observation, type Outcome, type Standing, standingOf, type TabRecord } from './record.ts';

/** Why a tab stands where it stands. */
export type Why =
  | 'not_qualified'
  | 'qualified'
  | 'trust_lapsed'
  | 'disputed'
  | 'missed'
  | 'suspicious'
  | 'refuted'
  | 'banned_by_operator'
  | 'banned_for_fraud';

/**
 * What a person is shown of a tab's record. The rate of checks is secret and not in it. Passed checks of users and of the network are one figure,
 * and progress moves in steps: nobody is to learn from them which tasks were the network's.
 */
export interface Explanation {
  readonly standing: Standing;
  /** ms since 1970. */
  readonly since: number;
  readonly why: Why;
  readonly text: string;
  readonly next: string;
  /** On the way to trust; null for whoever is on none. */
  readonly progress: { readonly passed: number; readonly needed: number } | null;
  /** Before this instant a quarantined tab is given nothing, ms since 1970; null for others. */
  readonly waitsUntil: number | null;
  readonly counts: Readonly<Record<Outcome, number>>;
}

const PROGRESS_STEP = 5;

const TEXTS: Readonly<Record<Why, string>> = {
  not_qualified: 'This tab is new here. Its answers are all checked, and tabs with a record are asked first.',
  qualified: 'This tab has passed its checks.',
  trust_lapsed: 'This tab was not checked for a long time, so its record no longer counts: it is new again.',
  disputed:
    'Its answer and that of another tab differ, and nobody was there to decide between them. That proves nothing against either; both are checked more for a while.',
  missed:
    'It was asked to check answers, or to show one of its own to a checker, and delivered nothing, more than once.',
  suspicious: 'One of its answers looked wrong: empty, going in circles, or beside the question.',
  refuted: 'One of its answers, or of its checks, was shown to be false.',
  banned_by_operator: 'The operator of this network has banned this tab.',
  banned_for_fraud: 'False answers to users were confirmed again and again, each after a quarantine.',
};

const NEXTS: Readonly<Record<Standing, string>> = {
  new: 'Leave it open: the network sends it tasks of its own, and when it has passed them it is trusted.',
  trusted: 'Nothing.',
  suspected:
    'Nothing, if it is honest: a few passed checks clear it. If checks were missed, keep the tab open and awake.',
  quarantined:
    'It gets no tasks until its wait is over, then tasks of the network; when it has passed them all it is trusted again. If nobody meddled with it, the device itself may compute wrongly: another browser, a restart, or another device will tell.',
  banned: 'Ask the operator, if you think that this is a mistake.',
};

export function explain(record: TabRecord, at: number, policy: TrustPolicy = TRUST_POLICY): Explanation {
  const standing = standingOf(record, at, policy);
  const { state } = record;
  const why = whyOf(record, standing);
  const onTheWay = standing === 'quarantined' || standing === 'new';
  const passed = 'passed' in state ? state.passed : 0;
  return {
    standing,
    since: sinceOf(record, standing, policy),
    why,
    text: TEXTS[why],
    next: NEXTS[standing],
    progress: onTheWay ? { passed: passed - (passed % PROGRESS_STEP), needed: policy.qualifyingPasses } : null,
    waitsUntil: state.name === 'quarantined' ? state.until : null,
    counts: record.counts,
  };
}

function whyOf({ state, lastTrouble }: TabRecord, standing: Standing): Why {
  if (state.name === 'banned') return state.by === 'operator' ? 'banned_by_operator' : 'banned_for_fraud';
  switch (standing) {
    case 'quarantined':
    case 'banned':
      return 'refuted';
    case 'suspected':
      return suspicionOf(lastTrouble);
    case 'new':
      return state.name === 'qualified' ? 'trust_lapsed' : 'not_qualified';
    case 'trusted':
      return 'qualified';
  }
}

function suspicionOf(trouble: Observation | null): Why {
  return trouble === null || trouble.outcome === 'agreed' ? 'suspicious' : trouble.outcome;
}

function sinceOf(record: TabRecord, standing: Standing, policy: TrustPolicy): number {
  if (standing === 'suspected') return record.lastTrouble?.at ?? record.at;
  if (standing === 'new' && record.state.name === 'qualified')
    return (record.passedAt ?? record.at) + policy.trustKeptMs;
  return record.state.since;
}
