import { canBeProven } from '../../router-worker/network-tasks/can-be-proven.ts';
import { FREE_TABS_A_TASK } from '../../router-worker/pool/network-desk.ts';
import { AnswerSizes } from '../../router-worker/record/answer-sizes.ts';
import { checkRate, mayServe, wantsNetworkTask } from '../../router-worker/record/record.ts';
import { CHECK_DEADLINE_MS, MAX_WAIT_MS, MAX_WAITING_REQUESTS } from '../../shared/limits.ts';
import { Behaviour } from './behaviour.ts';
import { Demand, type Prompt } from './demand.ts';
import { drawCheckers } from './draw-checkers.ts';
import { EventHeap } from './event-heap.ts';
import { Money } from './money.ts';
import { NetworkQuestions, type Question } from './network-questions.ts';
import { PlayedTask, TRUTH } from './played-task.ts';
import { Population } from './population.ts';
import { seededRandom } from './seeded-random.ts';
import { countBad, type SettlingParts, settleCase } from './settle-case.ts';
import type { AnswerJob, Case, CheckJob, Job, Participant, SimTab } from './sim-tab.ts';
import { Standings } from './standings.ts';
import { lengthShareOf, type Seen, type Told, workShareOf } from './tab-kinds.ts';
import { TrustFigures, type TrustOutcome, type Work } from './trust-figures.ts';
import type { TrustOptions } from './trust-options.ts';

const DAY_MS = 24 * 60 * 60 * 1000;

/** How often tabs that want a network task are looked for, ms. */
const SWEEP_MS = 60_000;

/** A pool begins one question a second, and is split with the thousandth tab. */
const QUESTIONS_PER_SWEEP = SWEEP_MS / 1000;
const TABS_PER_POOL = 1_000;

/** The last rush begins so long before the end, days: in the morning of the last day. */
const LAST_RUSH_DAYS = 0.6;

/** Bytes of an English token, about. */
const BYTES_PER_TOKEN = 4;

/** A network of tabs under load, with the router's own rules. Events in order of time; the same seed gives the same run. */
export class TrustSimulation {
  readonly #options: TrustOptions;
  readonly #random: () => number;
  readonly #demand: Demand;
  readonly #population: Population;
  readonly #parts: SettlingParts;
  readonly #behaviour: Behaviour;
  readonly #sizes = new AnswerSizes();
  readonly #ends: EventHeap;
  readonly #lastRushAt: number;
  #waiting: { readonly prompt: Prompt; readonly deadlineAt: number }[] = [];
  #now = 0;

  constructor(options: TrustOptions) {
    this.#options = options;
    const now = () => this.#now;
    const random = seededRandom(options.seed);
    this.#random = random;
    const population = new Population(options.tabs, random, now);
    this.#population = population;
    this.#demand = new Demand({
      tokensPerMs: options.load * population.capacity,
      swing: options.swing,
      trace: options.trace,
      levels: options.levels,
      random,
    });
    const money = new Money(options.depositTasks);
    this.#parts = {
      population,
      money,
      standings: new Standings(population, money, options.policy),
      questions: new NetworkQuestions(random, now),
      figures: new TrustFigures(),
    };
    this.#behaviour = new Behaviour(random);
    this.#ends = new EventHeap(population.tabs.length);
    this.#lastRushAt = (options.days - LAST_RUSH_DAYS) * DAY_MS;
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
    const { tabs, kinds, capacity } = this.#population;
    for (const tab of tabs) this.#parts.money.close(tab);
    return this.#parts.figures.outcome(kinds, capacity);
  }

  get #isDemandTime(): boolean {
    return this.#population.idleShare < this.#options.policy.idleReserve;
  }

  // Work begins

  #arrive(prompt: Prompt): void {
    const tab = this.#population.drawServer();
    if (tab !== null) this.#answer(tab, prompt, null);
    else if (this.#waiting.length < MAX_WAITING_REQUESTS) {
      this.#waiting.push({ prompt, deadlineAt: this.#now + MAX_WAIT_MS });
    } else this.#parts.figures.refused++;
  }

  #answer(tab: SimTab, prompt: Prompt, question: Question | null): void {
    const { identity } = tab;
    const told = this.#behaviour.answer(tab, this.#seen(prompt));
    identity.answersSinceCaught++;
    const forWhom = question === null ? 'users' : identity.standing === 'quarantined' ? 'requalifying' : 'networkTasks';
    this.#account(forWhom, prompt.tokens);
    const job = { does: 'answer', prompt, identity, told, question, begunAt: this.#now } as const;
    this.#start(tab, job, prompt.tokens, told);
  }

  #ask(tab: SimTab): void {
    const { serving, trusted, free } = this.#population;
    const { standing } = tab.identity;
    const isTrusted = Number(standing === 'trusted');
    const canCheck = canBeProven({
      serving: serving - Number(mayServe(standing)),
      trusted: trusted - isTrusted,
      freeTrusted: free.trusted.length - isTrusted,
    });
    const question = this.#parts.questions.ask(canCheck, standing === 'trusted');
    this.#answer(tab, NetworkQuestions.promptOf(question), question);
  }

  #check(tab: SimTab, of: Case): void {
    const told = this.#behaviour.check(tab, of);
    const isAsked = of.participants.length === 1 && (of.prompt.level === 'cross' || of.prompt.level === 'strict');
    this.#account(of.question !== null ? 'networkTasks' : isAsked ? 'askedChecks' : 'checks', of.prompt.tokens);
    of.task.checkBegun(this.#now, tab.identity.record.tab);
    this.#start(tab, { does: 'check', of, identity: tab.identity, told }, of.prompt.tokens, told);
  }

  #start(tab: SimTab, job: Job, tokens: number, told: Told | null): void {
    this.#population.unlist(tab);
    tab.job = job;
    const work = told === null ? 0 : tokens * workShareOf(tab.kind, told);
    tab.outcome.computed += work;
    // A check that is never delivered blocks its tab until the deadline. Whoever works is given the time that it needs.
    this.#ends.push(this.#now + (told === null ? CHECK_DEADLINE_MS : work / tab.speed), tab.index);
  }

  #seen({ tokens }: Prompt): Seen {
    return {
      size: tokens / this.#demand.meanTokens,
      isBusy: this.#isDemandTime,
      isLastRush: this.#now >= this.#lastRushAt,
    };
  }

  #account(what: keyof Work, tokens: number): void {
    this.#parts.figures.worked(this.#now, this.#isDemandTime, what, tokens);
  }

  // Work ends

  #finishNext(): void {
    const tab = this.#population.tabs[this.#ends.pop() ?? -1];
    if (tab?.job == null) return;
    const { job } = tab;
    tab.job = null;
    this.#population.list(tab);
    if (job.does === 'answer') this.#answered(tab, job);
    else this.#checked(tab, job);
    if (tab.place !== -1) this.#occupy(tab);
  }

  /** What a tab that has become free does next. Checks that it was drawn for go first. */
  #occupy(tab: SimTab): void {
    for (let of = tab.due.shift(); of !== undefined; of = tab.due.shift()) {
      const drawn = of.task.drawn;
      if (drawn === tab.identity.record.tab) return this.#check(tab, of);
      if (drawn !== null) this.#gone(of, drawn); // It has another key by now.
      if (tab.place === -1) return;
    }
    const { standing } = tab.identity;
    if (!mayServe(standing) || this.#waiting.length === 0) return;
    if (standing === 'new' && this.#random() < this.#options.qualifyingShare) return this.#ask(tab);
    const [next] = this.#waiting.splice(0, 1);
    if (next !== undefined) this.#answer(tab, next.prompt, null);
  }

  #answered(tab: SimTab, { prompt, identity, told, question, begunAt }: AnswerJob): void {
    const { figures, population } = this.#parts;
    const { level } = prompt;
    const written = this.#behaviour.written(tab, told);
    const length = lengthShareOf(tab.kind, told);
    const answer: Participant = { tab, identity, role: 'answer', written };
    if (question === null) {
      figures.tasks++;
      tab.outcome.answers++;
      if (written !== TRUTH && level !== 'strict') countBad(answer, level, this.#now, figures);
    }
    population.resting.worked(identity.record.tab);
    const of: Case = {
      task: new PlayedTask({ level, tab: identity.record.tab, standing: identity.standing, at: begunAt }),
      prompt,
      paidTokens: prompt.tokens - (1 - length) * prompt.answerTokens,
      question,
      begunAt,
      participants: [answer],
      drawn: [],
      slanderDraw: this.#random(),
    };
    const size = this.#sizes.next(length * prompt.answerTokens * BYTES_PER_TOKEN);
    const rate = checkRate(identity.record, this.#now, population.idleShare, size, this.#options.policy);
    of.task.committed(this.#now, written, this.#random() < rate, () => {
      of.drawn = drawCheckers(population, tab, this.#random);
      return of.drawn.map((seat) => ({ tab: seat.identity.record.tab, independence: 'network' }));
    });
    this.#goOn(of);
  }

  #checked(tab: SimTab, { of, identity, told }: CheckJob): void {
    const name = identity.record.tab;
    const written = told === null ? null : this.#behaviour.written(tab, told);
    of.participants.push({ tab, identity, role: 'check', written });
    if (written === null) {
      this.#population.resting.missed(name);
      of.task.late(this.#now);
    } else of.task.checked(this.#now, name, written);
    this.#goOn(of);
  }

  #gone(of: Case, drawn: string): void {
    of.task.gone(this.#now, drawn);
    this.#goOn(of);
  }

  /** The next checker, as the router's machine has it, or the end. */
  #goOn(of: Case): void {
    const { drawn } = of.task;
    if (drawn !== null) {
      const seat = of.drawn.find(({ identity }) => identity.record.tab === drawn);
      if (seat === undefined || seat.tab.identity !== seat.identity) return this.#gone(of, drawn);
      if (seat.tab.place !== -1) return this.#check(seat.tab, of);
      seat.tab.due.push(of);
      return;
    }
    const { ended } = of.task;
    if (ended !== null) settleCase(of, ended, this.#now, this.#parts);
  }

  // Time passes

  #sweep(): void {
    const { figures, population, standings, questions } = this.#parts;
    const kept = this.#waiting.filter(({ deadlineAt }) => deadlineAt > this.#now);
    figures.refused += this.#waiting.length - kept.length;
    this.#waiting = kept;
    const leaving = (this.#options.turnover * SWEEP_MS) / DAY_MS;
    const first = Math.floor(this.#random() * population.tabs.length);
    let left = Math.ceil(population.tabs.length / TABS_PER_POOL) * QUESTIONS_PER_SWEEP;
    for (let i = 0; i < population.tabs.length; i++) {
      const tab = population.tabs[(first + i) % population.tabs.length];
      if (tab === undefined || tab.place === -1) continue;
      if (tab.kind === 'honest' && this.#random() < leaving) population.replace(tab);
      if (tab.identity.standing === 'suspected') standings.look({ tab, identity: tab.identity }, this.#now);
      const most = Math.max(1, Math.floor(population.freeToServe / FREE_TABS_A_TASK));
      if (left === 0 || questions.running >= most || !this.#wantsQuestion(tab)) continue;
      left--;
      this.#ask(tab);
    }
  }

  /** As the router has it; but that it stops a question when a user comes is played by beginning none while tabs are short. */
  #wantsQuestion({ kind, identity }: SimTab): boolean {
    const isGone = kind === 'leaver' && identity.standing === 'quarantined';
    if (isGone || this.#waiting.length > 0) return false;
    if (identity.standing !== 'quarantined' && this.#isDemandTime) return false;
    if (this.#parts.questions.pauses.until(identity.record.tab) > this.#now) return false;
    return wantsNetworkTask(identity.record, this.#now, this.#options.policy);
  }
}
