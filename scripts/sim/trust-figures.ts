import type { Level } from './demand.ts';
import type { Kind } from './tab-kinds.ts';

const HOUR_MS = 60 * 60 * 1000;

/** What became of the tabs of one kind. */
export interface KindOutcome {
  readonly tabs: number;
  /** Tokens a millisecond, of all tabs of the kind. */
  speed: number;
  /** Answers given to users, with those of level `strict` that were held back. */
  answers: number;
  /** False answers that users were given, by level; with `strict`, those that were found valid. */
  readonly bad: Record<Level, number>;
  /** False answers that were checked and found right. */
  falseAccepts: number;
  /** True answers, or true words of a checker, that a majority outvoted. */
  falseRejects: number;
  /** Times that a tab fell under suspicion or into quarantine, from good standing. */
  detections: number;
  quarantines: number;
  bans: number;
  /** At each detection: false answers that users had been given since the last, and checks that the tab had been through. */
  readonly badBefore: number[];
  readonly checksBefore: number[];
  /** Micro-credits: paid out or still held; refused or forfeited. */
  earned: number;
  lost: number;
  /** Tokens computed. */
  computed: number;
}

/** Tokens of work, by what asked for it. */
export interface Work {
  users: number;
  /** Checks and further executions that the network decided on. */
  checks: number;
  /** Checks that users asked for, by their level. */
  askedChecks: number;
  /** Questions of the network to tabs that could have served a user, and the checks of all questions. */
  networkTasks: number;
  /** Questions to tabs in quarantine. */
  requalifying: number;
}

export interface Hour {
  readonly work: Work;
  bad: number;
}

export interface TrustOutcome {
  readonly kinds: ReadonlyMap<Kind, KindOutcome>;
  readonly hours: readonly Hour[];
  /** Tokens a millisecond, of all tabs. */
  readonly capacity: number;
  /** While fewer tabs are free than the policy reserves for users, and otherwise. */
  readonly demandTime: Readonly<Work>;
  readonly idleTime: Readonly<Work>;
  readonly tasks: number;
  readonly refused: number;
  readonly disputed: number;
  readonly unchecked: number;
}

/** Sums of a run, added to while it goes. */
export class TrustFigures {
  readonly demandTime = noWork();
  readonly idleTime = noWork();
  readonly hours: Hour[] = [];
  tasks = 0;
  refused = 0;
  disputed = 0;
  unchecked = 0;

  worked(at: number, isDemandTime: boolean, what: keyof Work, tokens: number): void {
    (isDemandTime ? this.demandTime : this.idleTime)[what] += tokens;
    this.hour(at).work[what] += tokens;
  }

  hour(at: number): Hour {
    const index = Math.floor(at / HOUR_MS);
    while (this.hours.length <= index) this.hours.push({ work: noWork(), bad: 0 });
    return this.hours[index] ?? { work: noWork(), bad: 0 };
  }

  outcome(kinds: ReadonlyMap<Kind, KindOutcome>, capacity: number): TrustOutcome {
    const { hours, demandTime, idleTime, tasks, refused, disputed, unchecked } = this;
    return { kinds, capacity, hours, demandTime, idleTime, tasks, refused, disputed, unchecked };
  }
}

function noWork(): Work {
  return { users: 0, checks: 0, askedChecks: 0, networkTasks: 0, requalifying: 0 };
}

export function noOutcome(tabs: number): KindOutcome {
  return {
    tabs,
    speed: 0,
    answers: 0,
    bad: { none: 0, basic: 0, cross: 0, strict: 0 },
    falseAccepts: 0,
    falseRejects: 0,
    detections: 0,
    quarantines: 0,
    bans: 0,
    badBefore: [],
    checksBefore: [],
    earned: 0,
    lost: 0,
    computed: 0,
  };
}
