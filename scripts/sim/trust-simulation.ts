import { TRUST_POLICY, type TrustPolicy } from '../../router-worker/record/policy.ts';
import {
  checkRate,
  type Finding,
  mayServe,
  newRecord,
  observe,
  type Role,
  SERVING_ORDER,
  type Source,
  type Standing,
  standingOf,
  type TabRecord,
  wantsNetworkTask,
} from '../../router-worker/record/record.ts';
import { CHECK_DEADLINE_MS, MAX_WAIT_MS, MAX_WAITING_REQUESTS } from '../../shared/limits.ts';
import { Demand, type Level, type LevelShares, type Prompt, type Trace, USUAL_LEVELS } from './demand.ts';
import { EventHeap } from './event-heap.ts';
import { normal, seededRandom } from './seeded-random.ts';
import {
  ALL_KINDS,
  answerOf,
  checkOf,
  groupSizeOf,
  type Involved,
  type Kind,
  type Seen,
  slanders,
  type Told,
  workShareOf,
} from './tab-kinds.ts';

const HOUR_MS = 60 * 60 * 1000;
const DAY_MS = 24 * HOUR_MS;

/** Speed of a tab, tokens per second, reading as writing: WebAssembly reads no faster than it writes. Log-normal: from phones to desktops. */
const SPEED = { median: 11, sigma: 0.5 };

/** Micro-credits a token. The figure does not matter, only that all tokens cost the same. */
const PRICE = 10;

/** Tabs behind one network prefix, on average. */
const TABS_PER_NETWORK = 4;

/** How often tabs that want a network task are looked for, ms. */
const SWEEP_MS = 60_000;

/** Share of the chances to serve that a new tab spends on a network task while tabs are short: without it a network that is always busy would never trust anybody. */
const QUALIFYING_SHARE = 0.5;

/** Executions of one task after which a disagreement stays undecided, and checkers that may be lost before an answer stays unchecked. */
const MAX_EXECUTIONS = 5;
const MAX_LOST_CHECKERS = 3;

/** Random picks before all free tabs are looked through for the most independent ones. */
const QUICK_PICKS = 8;

/** The last rush begins so long before the end, days: in the morning of the last day. */
const LAST_RUSH_DAYS = 0.6;

const TRUE_CHAIN = 0;

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
  depositTasks: 2 / TRUST_POLICY.rateFloor,
  trace: null,
  levels: USUAL_LEVELS,
  policy: TRUST_POLICY,
};

/** What became of the tabs of one kind. */
export interface KindOutcome {
  readonly tabs: number;
  /** Tokens a millisecond, of all tabs of the kind. */
  speed: number;
  /** Answers given to users, with those of level `strict` that were held back. */
  answers: number;
  /** False answers that users were given, by level; with `strict`, those that a checker had confirmed. */
  readonly bad: Record<Level, number>;
  /** False answers that were checked and found right. */
  falseAccepts: number;
  /** True answers, or true words of a checker, that were refuted. */
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
  /** Tasks with known answers, to tabs that could have served a user. */
  networkTasks: number;
  /** The same, to tabs in quarantine. */
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

interface Identity {
  record: TabRecord;
  standing: Standing;
  escrow: number;
  answersSinceCaught: number;
  badSinceCaught: number;
  checkedSinceCaught: number;
}

interface SimTab {
  readonly index: number;
  readonly kind: Kind;
  readonly group: number | null;
  readonly owner: number;
  readonly network: number;
  readonly speed: number;
  readonly outcome: KindOutcome;
  identity: Identity;
  job: Job | null;
  /** Place in the list of free tabs of its standing; -1 when it works. */
  place: number;
}

interface Statement {
  readonly tab: SimTab;
  readonly identity: Identity;
  readonly chain: number;
}

/** An answer and its checks. */
interface Case {
  readonly prompt: Prompt;
  readonly statements: Statement[];
  readonly slanderDraw: number;
  readonly lost: Identity[];
  deadlineAt: number;
}

type Job =
  | { readonly does: 'answer'; readonly prompt: Prompt; readonly identity: Identity; readonly told: Told }
  | { readonly does: 'check'; readonly of: Case; readonly identity: Identity; readonly told: Told | null }
  | {
      readonly does: 'network';
      readonly role: Role;
      readonly tokens: number;
      readonly identity: Identity;
      readonly told: Told | null;
      readonly isPaid: boolean;
    };

/** A network of tabs under load, with the router's own rules for records. Events in order of time; the same seed gives the same run. */
export class TrustSimulation {
  readonly #options: TrustOptions;
  readonly #policy: TrustPolicy;
  readonly #random: () => number;
  readonly #demand: Demand;
  readonly #tabs: SimTab[];
  readonly #kinds: Map<Kind, KindOutcome>;
  readonly #ends: EventHeap;
  readonly #free: Record<Standing, SimTab[]> = { new: [], trusted: [], suspected: [], quarantined: [], banned: [] };
  readonly #capacity: number;
  readonly #lastRushAt: number;
  /** Micro-credits of a tab's pay that stay held back. */
  readonly #deposit: number;
  readonly #hours: Hour[] = [];
  readonly #demandTime = noWork();
  readonly #idleTime = noWork();
  #waiting: { readonly prompt: Prompt; readonly deadlineAt: number }[] = [];
  #pendingChecks: Case[] = [];
  #serving: number;
  #now = 0;
  #ownLies = 0;
  #identities = 0;
  #tasks = 0;
  #refused = 0;
  #disputed = 0;
  #unchecked = 0;

  constructor(options: TrustOptions) {
    this.#options = options;
    this.#policy = options.policy;
    this.#random = seededRandom(options.seed);
    this.#kinds = new Map(
      ALL_KINDS.filter((kind) => (options.tabs[kind] ?? 0) > 0).map((kind) => [
        kind,
        noOutcome(options.tabs[kind] ?? 0),
      ]),
    );
    this.#tabs = this.#makeTabs();
    this.#serving = this.#tabs.length;
    this.#capacity = this.#tabs.reduce((sum, tab) => sum + tab.speed, 0);
    this.#ends = new EventHeap(this.#tabs.length);
    this.#demand = new Demand({
      tokensPerMs: options.load * this.#capacity,
      swing: options.swing,
      trace: options.trace,
      levels: options.levels,
      random: this.#random,
    });
    this.#lastRushAt = (options.days - LAST_RUSH_DAYS) * DAY_MS;
    this.#deposit = options.depositTasks * this.#demand.meanTokens * PRICE;
  }

  run(): TrustOutcome {
    const endAt = this.#options.days * DAY_MS;
    let promptAt = this.#demand.nextGapMs(0);
    let sweepAt = 0;
    for (;;) {
      const endsAt = this.#ends.nextAt;
      this.#now = Math.min(endsAt, promptAt, sweepAt);
      if (this.#now >= endAt) break;
      if (this.#now === endsAt) this.#finishNext();
      else if (this.#now === promptAt) {
        this.#arrive(this.#demand.next());
        promptAt = this.#now + this.#demand.nextGapMs(this.#now);
      } else {
        this.#sweep();
        sweepAt = this.#now + SWEEP_MS;
      }
    }
    for (const tab of this.#tabs) tab.outcome.earned += tab.identity.escrow;
    return {
      kinds: this.#kinds,
      hours: this.#hours,
      capacity: this.#capacity,
      demandTime: this.#demandTime,
      idleTime: this.#idleTime,
      tasks: this.#tasks,
      refused: this.#refused,
      disputed: this.#disputed,
      unchecked: this.#unchecked,
    };
  }

  #makeTabs(): SimTab[] {
    const kinds = [...this.#kinds].flatMap(([kind, { tabs }]) => Array.from({ length: tabs }, (_, i) => ({ kind, i })));
    const networks = Math.max(2, Math.round(kinds.length / TABS_PER_NETWORK));
    let groups = 0;
    let together = { owner: 0, network: 0 };
    return kinds.map(({ kind, i }, index) => {
      const size = groupSizeOf(kind);
      const alone = { owner: index, network: Math.floor(this.#random() * networks) };
      if (i % size === 0) {
        groups++;
        together = alone;
      }
      const outcome = this.#kinds.get(kind) ?? noOutcome(0);
      const speed = (SPEED.median * Math.exp(SPEED.sigma * normal(this.#random))) / 1000;
      outcome.speed += speed;
      const tab: SimTab = {
        index,
        kind,
        group: size > 1 ? groups : null,
        ...(kind.endsWith('together') ? together : alone),
        speed,
        outcome,
        identity: this.#newIdentity(0),
        job: null,
        place: -1,
      };
      this.#list(tab);
      return tab;
    });
  }

  #newIdentity(at: number): Identity {
    return {
      record: newRecord(`tab ${this.#identities++}`, 'cls', at),
      standing: 'new',
      escrow: 0,
      answersSinceCaught: 0,
      badSinceCaught: 0,
      checkedSinceCaught: 0,
    };
  }

  // Who is free

  #list(tab: SimTab): void {
    const list = this.#free[tab.identity.standing];
    tab.place = list.length;
    list.push(tab);
  }

  #unlist(tab: SimTab): void {
    if (tab.place === -1) return;
    const list = this.#free[tab.identity.standing];
    const last = list.pop();
    if (last !== undefined && last !== tab) {
      list[tab.place] = last;
      last.place = tab.place;
    }
    tab.place = -1;
  }

  #idleShare(): number {
    const free = SERVING_ORDER.reduce((sum, standing) => sum + this.#free[standing].length, 0);
    return free / Math.max(1, this.#serving);
  }

  #isDemandTime(): boolean {
    return this.#idleShare() < this.#policy.idleReserve;
  }

  /** A free tab for a prompt: any of the best standing. */
  #drawServer(): SimTab | null {
    for (const standing of SERVING_ORDER) {
      const list = this.#free[standing];
      const drawn = list[Math.floor(this.#random() * list.length)];
      if (drawn !== undefined) return drawn;
    }
    return null;
  }

  /** The router's draw: uniform among the free tabs of the best standing that are as independent as any of those who have spoken. */
  #drawChecker(of: Case): SimTab | null {
    for (const standing of SERVING_ORDER) {
      const list = this.#free[standing];
      for (let i = 0; i < QUICK_PICKS && list.length > 0; i++) {
        const drawn = list[Math.floor(this.#random() * list.length)];
        if (drawn !== undefined && mayCheck(drawn, of) && distance(drawn, of) === FARTHEST) return drawn;
      }
      const able = list.filter((tab) => mayCheck(tab, of));
      const best = Math.max(...able.map((tab) => distance(tab, of)));
      const equals = able.filter((tab) => distance(tab, of) === best);
      const drawn = equals[Math.floor(this.#random() * equals.length)];
      if (drawn !== undefined) return drawn;
    }
    return null;
  }

  // Work begins

  #arrive(prompt: Prompt): void {
    const tab = this.#drawServer();
    if (tab !== null) this.#answer(tab, prompt);
    else if (this.#waiting.length < MAX_WAITING_REQUESTS) {
      this.#waiting.push({ prompt, deadlineAt: this.#now + MAX_WAIT_MS });
    } else this.#refused++;
  }

  #answer(tab: SimTab, prompt: Prompt): void {
    const told = answerOf(this.#toldBy(tab), this.#seen(prompt), this.#random);
    tab.identity.answersSinceCaught++;
    this.#account('users', prompt.tokens);
    this.#start(tab, { does: 'answer', prompt, identity: tab.identity, told }, prompt.tokens, told);
  }

  #check(tab: SimTab, of: Case): void {
    const told = checkOf(tab.kind, this.#involvement(tab, of), this.#random);
    const isAsked = of.statements.length === 1 && (of.prompt.level === 'cross' || of.prompt.level === 'strict');
    this.#account(isAsked ? 'askedChecks' : 'checks', of.prompt.tokens);
    this.#start(tab, { does: 'check', of, identity: tab.identity, told }, of.prompt.tokens, told);
  }

  /** Same shape and size as a user's task, in either role. */
  #networkTask(tab: SimTab): void {
    const prompt = this.#demand.next();
    const { tokens } = prompt;
    const role = this.#random() < 0.5 ? 'answer' : 'check';
    const told =
      role === 'answer'
        ? answerOf(this.#toldBy(tab), this.#seen(prompt), this.#random)
        : checkOf(tab.kind, 'stays_out', this.#random);
    if (role === 'answer') tab.identity.answersSinceCaught++;
    this.#account(tab.identity.standing === 'quarantined' ? 'requalifying' : 'networkTasks', tokens);
    const isPaid = tab.identity.standing === 'trusted';
    this.#start(tab, { does: 'network', role, tokens, identity: tab.identity, told, isPaid }, tokens, told);
  }

  #start(tab: SimTab, job: Job, tokens: number, told: Told | null): void {
    this.#unlist(tab);
    tab.job = job;
    const work = told === null ? 0 : tokens * workShareOf(tab.kind, told);
    tab.outcome.computed += work;
    // A check that is never delivered blocks its tab until the deadline.
    this.#ends.push(this.#now + (told === null ? CHECK_DEADLINE_MS : work / tab.speed), tab.index);
  }

  #wantsNetworkTask({ kind, identity }: SimTab): boolean {
    const isGone = kind === 'leaver' && identity.standing === 'quarantined';
    return !isGone && wantsNetworkTask(identity.record, this.#now, this.#policy);
  }

  #toldBy({ kind, identity }: SimTab) {
    return { kind, standing: identity.standing, answersSinceCaught: identity.answersSinceCaught };
  }

  #seen({ tokens }: Prompt): Seen {
    return {
      size: tokens / this.#demand.meanTokens,
      isBusy: this.#isDemandTime(),
      isLastRush: this.#now >= this.#lastRushAt,
    };
  }

  #involvement({ group, identity }: SimTab, of: Case): Involved {
    if (group === null) return 'stays_out';
    const own = of.statements.filter(({ tab }) => tab.group === group);
    if (own.length > 0) return own.some(({ chain }) => chain !== TRUE_CHAIN) ? 'lied' : 'stays_out';
    if (identity.standing !== 'trusted') return 'stays_out';
    return slanders((of.slanderDraw + group * 0.618) % 1) ? 'slanders' : 'stays_out';
  }

  #account(what: keyof Work, tokens: number): void {
    (this.#isDemandTime() ? this.#demandTime : this.#idleTime)[what] += tokens;
    this.#hour().work[what] += tokens;
  }

  #hour(): Hour {
    const index = Math.floor(this.#now / HOUR_MS);
    while (this.#hours.length <= index) this.#hours.push({ work: noWork(), bad: 0 });
    return this.#hours[index] ?? { work: noWork(), bad: 0 };
  }

  // Work ends

  #finishNext(): void {
    const tab = this.#tabs[this.#ends.pop() ?? -1];
    if (tab?.job == null) return;
    const { job } = tab;
    tab.job = null;
    this.#list(tab);
    switch (job.does) {
      case 'answer':
        this.#answered(tab, job);
        break;
      case 'check':
        this.#checked(tab, job);
        break;
      case 'network':
        this.#networkTaskDone(tab, job);
        break;
    }
    if (tab.place !== -1) this.#occupy(tab);
  }

  /** What a tab that has become free does next. Checks that are due go first: they are few, and without them nothing is known. */
  #occupy(tab: SimTab): void {
    const { standing } = tab.identity;
    if (standing === 'quarantined') {
      if (this.#wantsNetworkTask(tab)) this.#networkTask(tab);
      return;
    }
    if (!mayServe(standing)) return;
    const due = this.#pendingChecks.findIndex((of) => mayCheck(tab, of));
    if (due !== -1) {
      const [of] = this.#pendingChecks.splice(due, 1);
      if (of !== undefined) return this.#check(tab, of);
    }
    if (this.#waiting.length === 0) return;
    if (standing === 'new' && this.#random() < QUALIFYING_SHARE) return this.#networkTask(tab);
    const [next] = this.#waiting.splice(0, 1);
    if (next !== undefined) this.#answer(tab, next.prompt);
  }

  #answered(tab: SimTab, { prompt, identity, told }: Extract<Job, { does: 'answer' }>): void {
    const chain = this.#chainOf(tab, told);
    const { outcome } = tab;
    this.#tasks++;
    outcome.answers++;
    if (chain !== TRUE_CHAIN && prompt.level !== 'strict') this.#servedBad(tab, identity, prompt.level);
    if (prompt.level === 'none') return this.#pay(tab, identity, prompt.tokens);
    if (this.#random() >= this.#rateOf(prompt, identity)) return this.#pay(tab, identity, prompt.tokens);
    this.#askChecker({
      prompt,
      statements: [{ tab, identity, chain }],
      slanderDraw: this.#random(),
      lost: [],
      deadlineAt: 0,
    });
  }

  #rateOf({ level, tokens }: Prompt, { record }: Identity): number {
    if (level !== 'basic') return 1;
    return checkRate(record, this.#now, this.#idleShare(), tokens / this.#demand.meanTokens, this.#policy);
  }

  #servedBad(tab: SimTab, identity: Identity, level: Level): void {
    tab.outcome.bad[level]++;
    identity.badSinceCaught++;
    this.#hour().bad++;
  }

  #askChecker(of: Case): void {
    const checker = this.#drawChecker(of);
    if (checker !== null) return this.#check(checker, of);
    of.deadlineAt = this.#now + CHECK_DEADLINE_MS;
    this.#pendingChecks.push(of);
  }

  #checked(tab: SimTab, { of, identity, told }: Extract<Job, { does: 'check' }>): void {
    if (told === null) {
      this.#observe(tab, identity, { outcome: 'missed', reason: 'checker_lost' }, 'check', 'user');
      of.lost.push(identity);
      return of.lost.length < MAX_LOST_CHECKERS ? this.#askChecker(of) : this.#giveUp(of);
    }
    of.statements.push({ tab, identity, chain: this.#chainOf(tab, told) });
    const decided = of.statements.find(
      ({ chain }) => of.statements.filter((other) => other.chain === chain).length > 1,
    );
    if (decided !== undefined) this.#decide(of, decided.chain);
    else if (of.statements.length < MAX_EXECUTIONS) this.#askChecker(of);
    else this.#giveUp(of);
  }

  /** Two executions agree. */
  #decide(of: Case, found: number): void {
    const [answer] = of.statements;
    if (answer === undefined) return;
    if (answer.chain === found && found !== TRUE_CHAIN) {
      answer.tab.outcome.falseAccepts++;
      if (of.prompt.level === 'strict') this.#servedBad(answer.tab, answer.identity, 'strict');
    }
    for (const [index, { tab, identity, chain }] of of.statements.entries()) {
      const role = index === 0 ? 'answer' : 'check';
      identity.checkedSinceCaught++;
      if (chain === found) {
        this.#pay(tab, identity, of.prompt.tokens);
        this.#observe(tab, identity, { outcome: 'agreed' }, role, 'user');
        continue;
      }
      if (chain === TRUE_CHAIN) tab.outcome.falseRejects++;
      tab.outcome.lost += of.prompt.tokens * PRICE;
      this.#observe(tab, identity, { outcome: 'refuted', reason: 'third_execution' }, role, 'user');
    }
  }

  /** Nobody is left to decide, or to check at all. */
  #giveUp(of: Case): void {
    if (of.statements.length > 1) this.#disputed++;
    else this.#unchecked++;
    for (const [index, { tab, identity }] of of.statements.entries()) {
      this.#pay(tab, identity, of.prompt.tokens);
      if (of.statements.length === 1) continue;
      this.#observe(tab, identity, { outcome: 'disputed' }, index === 0 ? 'answer' : 'check', 'user');
    }
  }

  #networkTaskDone(tab: SimTab, job: Extract<Job, { does: 'network' }>): void {
    const { identity, role, tokens, told, isPaid } = job;
    identity.checkedSinceCaught++;
    const finding: Finding =
      told === null
        ? { outcome: 'missed', reason: 'checker_lost' }
        : told === 'true'
          ? { outcome: 'agreed' }
          : { outcome: 'refuted', reason: 'known_answer' };
    if (finding.outcome === 'agreed' && isPaid) this.#pay(tab, identity, tokens);
    this.#observe(tab, identity, finding, role, 'network');
  }

  #chainOf({ group }: SimTab, told: Told): number {
    if (told === 'true') return TRUE_CHAIN;
    return told === 'group_lie' && group !== null ? -group : ++this.#ownLies;
  }

  // What follows

  /** Half of the pay is held back until the tab is trusted and its deposit is together. */
  #pay(tab: SimTab, identity: Identity, tokens: number): void {
    const amount = tokens * PRICE;
    const isHeld = identity.standing !== 'trusted' || identity.escrow < this.#deposit;
    const held = isHeld ? Math.floor(amount / 2) : 0;
    tab.outcome.earned += amount - held;
    identity.escrow += held;
  }

  #observe(tab: SimTab, identity: Identity, finding: Finding, role: Role, source: Source): void {
    identity.record = observe(identity.record, { ...finding, at: this.#now, role, source }, this.#policy);
    if (finding.outcome === 'refuted') {
      tab.outcome.lost += identity.escrow;
      identity.escrow = 0;
    }
    this.#stand(tab, identity);
  }

  #stand(tab: SimTab, identity: Identity): void {
    const before = identity.standing;
    const after = standingOf(identity.record, this.#now, this.#policy);
    if (before === after) return;
    const isCurrent = tab.identity === identity;
    const isFree = isCurrent && tab.place !== -1;
    if (isFree) this.#unlist(tab);
    if (isCurrent) this.#serving += Number(mayServe(after)) - Number(mayServe(before));
    identity.standing = after;
    if (after === 'trusted') {
      const released = Math.max(0, identity.escrow - this.#deposit);
      tab.outcome.earned += released;
      identity.escrow -= released;
    }
    if (isGood(before) && !isGood(after)) caught(tab, identity);
    if (after === 'quarantined' || after === 'banned') {
      tab.outcome[after === 'banned' ? 'bans' : 'quarantines']++;
      identity.answersSinceCaught = 0;
      if (isCurrent && tab.kind === 'whitewasher') this.#beginAnew(tab);
    }
    if (isFree) this.#list(tab);
  }

  /** A new key: what the old one has earned stays paid, what was held is gone with it. The tab must not be in a list. */
  #beginAnew(tab: SimTab): void {
    if (!mayServe(tab.identity.standing)) this.#serving++;
    tab.outcome.lost += tab.identity.escrow;
    tab.identity = this.#newIdentity(this.#now);
  }

  #sweep(): void {
    const late = this.#pendingChecks.filter((of) => of.deadlineAt <= this.#now);
    this.#pendingChecks = this.#pendingChecks.filter((of) => of.deadlineAt > this.#now);
    for (const of of late) this.#giveUp(of);
    const kept = this.#waiting.filter(({ deadlineAt }) => deadlineAt > this.#now);
    this.#refused += this.#waiting.length - kept.length;
    this.#waiting = kept;
    const leaving = (this.#options.turnover * SWEEP_MS) / DAY_MS;
    const first = Math.floor(this.#random() * this.#tabs.length);
    for (let i = 0; i < this.#tabs.length; i++) {
      const tab = this.#tabs[(first + i) % this.#tabs.length];
      if (tab === undefined || tab.place === -1) continue;
      if (tab.kind === 'honest' && this.#random() < leaving) this.#replace(tab);
      if (tab.identity.standing === 'suspected') this.#stand(tab, tab.identity);
      if (!this.#wantsNetworkTask(tab)) continue;
      if (tab.identity.standing === 'quarantined' || !this.#isDemandTime()) this.#networkTask(tab);
    }
  }

  /** Somebody leaves and somebody else comes: the one who leaves takes along what was held. */
  #replace(tab: SimTab): void {
    this.#unlist(tab);
    tab.outcome.earned += tab.identity.escrow;
    if (!mayServe(tab.identity.standing)) this.#serving++;
    tab.identity = this.#newIdentity(this.#now);
    this.#list(tab);
  }
}

/** The distances that the network knows: another key, another owner, another network. */
const FARTHEST = 2;

function distance(tab: SimTab, of: Case): number {
  let nearest = FARTHEST;
  for (const { tab: other } of of.statements) {
    if (other.network === tab.network) nearest = Math.min(nearest, other.owner === tab.owner ? 0 : 1);
  }
  return nearest;
}

function mayCheck(tab: SimTab, of: Case): boolean {
  return of.statements.every((statement) => statement.tab !== tab) && !of.lost.includes(tab.identity);
}

function isGood(standing: Standing): boolean {
  return standing === 'new' || standing === 'trusted';
}

function caught(tab: SimTab, identity: Identity): void {
  tab.outcome.detections++;
  tab.outcome.badBefore.push(identity.badSinceCaught);
  tab.outcome.checksBefore.push(identity.checkedSinceCaught);
  identity.badSinceCaught = 0;
  identity.checkedSinceCaught = 0;
}

function noWork(): Work {
  return { users: 0, checks: 0, askedChecks: 0, networkTasks: 0, requalifying: 0 };
}

function noOutcome(tabs: number): KindOutcome {
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
