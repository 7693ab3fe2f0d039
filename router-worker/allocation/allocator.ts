import type { Asked } from './asked.ts';
import { type Candidate, type Choice, chooseTab, expect as expectFrom, mayServe, waitScoreMs } from './choose-tab.ts';
import { ExpectedWork, type Work } from './expected-work.ts';
import { FairLine, type Place, type Sla } from './fair-line.ts';
import { HedgeBudget } from './hedge-budget.ts';
import { type Begun, LeasesAtWork } from './leases-at-work.ts';
import { TabPlans } from './tab-plans.ts';
import { TabSpeeds } from './tab-speeds.ts';
import { WaitEstimate } from './wait-estimate.ts';
import { type Warm, WarmPrefixes } from './warm-prefixes.ts';

/** A tab, and a class that it may serve. */
export type Seat = Pick<Candidate, 'tab' | 'class' | 'load' | 'rank' | 'isResting' | 'country'>;

export type Leased = Extract<Choice, { do: 'lease' }>;

/** Where a request stands. */
export interface Turn {
  /** Requests of the same model that are before it. */
  readonly ahead: number;
  /** Until its first token, ms. */
  readonly etaMs: number;
}

/** What is to be done with a request of the line. */
export type Step<R> =
  | { readonly do: 'lease'; readonly request: R; readonly choice: Leased }
  | { readonly do: 'refuse'; readonly request: R };

/** A request, and what stands before it: all with a lower tag. */
interface Standing {
  readonly asked: Asked;
  readonly work: Work;
  readonly place: Pick<Place, 'tag'>;
}

/** Behind everybody. */
const LAST = { tag: Number.POSITIVE_INFINITY };

interface Waiting<R> extends Standing {
  readonly request: R;
  readonly place: Place;
  /** What was planned for its start when it came, ms; null as long as nothing was. */
  plannedMs: number | null;
}

/** Plans that are made anew in a second, as requests times tabs: what was planned for a tab that is late may be better with another. */
const PLANNED_A_TICK = 200_000;
/** Requests that are looked at when a tab is free for which nobody waits. */
const MOST_LOOKED_AT = 64;
/** One that waits for another tab changes to a free one when that saves this share of its time. */
const WORTH_CHANGING = 0.05;
/**
 * Where there are more seats, so many are drawn for a request, and compared: what a decision costs is bounded. Of few seats the fast ones are missed: with 256 of
 * 1,000 the 99th percentile of the wait is a third longer at 80 % load.
 */
const MOST_SEATS = 1_024;
/** A tab that has just been given a lease, or works on one from before this memory began, ms: nothing is known of it, but it is not free. */
const LEAST_BUSY_MS = 1_000;
/**
 * Who works for whom: lines that are fair between accounts, tabs by expected completion, warm conversations first, hedges for late first tokens. Knows
 * neither sockets nor the clock: the pool runs it, and so does `npm run sim -- azure`.
 */
export class Allocator<R> {
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #speeds = new TabSpeeds();
  readonly #works = new Map<string, ExpectedWork>();
  readonly #warm = new WarmPrefixes();
  readonly #lines = new Map<string, FairLine>();
  readonly #waiting = new Map<R, Waiting<R>>();
  /** Those of them for whom no tab was thought of yet. */
  readonly #unplanned = new Set<Waiting<R>>();
  readonly #plans = new TabPlans<Waiting<R>>();
  /** Free tabs that nobody of the line is better off with, and the classes in which that was seen. */
  readonly #idle = new Map<string, Set<string>>();
  readonly #atWork: LeasesAtWork;
  readonly #hedges = new HedgeBudget();
  readonly #waits = new WaitEstimate();

  constructor(now: () => number, random: () => number) {
    this.#now = now;
    this.#random = random;
    this.#atWork = new LeasesAtWork(now, {
      speeds: this.#speeds,
      warm: this.#warm,
      workOf: (model) => this.#workOf(model),
      ended: (tab) => this.#idle.delete(tab),
    });
  }

  // ---- the line ----------------------------------------------------------------------------------------------------

  /** Requests that wait. */
  get length(): number {
    return this.#waiting.size;
  }

  has(request: R): boolean {
    return this.#waiting.has(request);
  }

  join(request: R, asked: Asked): void {
    const work = this.#workOf(asked.model).of(asked.size);
    const typical = this.#speeds.typical(asked.classes[0] ?? '');
    const cost = (1000 * work.promptTokens) / typical.prefill + (1000 * work.outputTokens) / typical.decode;
    const place = this.#lineOf(asked.model).join(asked.account, asked.sla, cost, this.#now());
    const waiting: Waiting<R> = { request, asked, work, place, plannedMs: null };
    this.#waiting.set(request, waiting);
    this.#unplanned.add(waiting);
  }

  leave(request: R): boolean {
    const waiting = this.#waiting.get(request);
    if (waiting !== undefined) this.#take(waiting, 'left');
    return waiting !== undefined;
  }

  /**
   * Makes room in lines that have at most `limit` places in all: who gives way is the last of the account that has the most in one of them, or the
   * newcomer. Null when there is room.
   */
  overflow(limit: number, newcomer: R): R | null {
    if (this.#waiting.size <= limit) return null;
    let last = this.#waiting.get(newcomer);
    let length = last === undefined ? 0 : this.#lineOf(last.asked.model).waitingOf(last.asked.account);
    for (const waiting of this.#waiting.values()) {
      const { asked, place } = waiting;
      const waits = this.#lineOf(asked.model).waitingOf(asked.account);
      const isLast = asked.account === last?.asked.account && place.tag > last.place.tag;
      if (waits < length || (waits === length && !isLast)) continue;
      last = waiting;
      length = waits;
    }
    if (last === undefined) return null;
    this.#take(last, 'left');
    return last.request;
  }

  /** Takes out those that waited too long for their class. */
  expired(longestMs: Readonly<Record<Sla, number>>): R[] {
    const at = this.#now();
    const late = [...this.#waiting.values()].filter(({ place }) => at - place.since >= longestMs[place.sla]);
    for (const waiting of late) this.#take(waiting, 'left');
    return late.map(({ request }) => request);
  }

  /**
   * What is to be done for those in the line, until all that are left have to wait. Every lease takes a seat at once, so `seats` are asked for again after each.
   * `isTick`: it is time to doubt plans that were made before.
   */
  *steps(seatsNow: () => readonly Seat[], isTick = false): Generator<Step<R>, void, undefined> {
    if (this.#waiting.size === 0) return;
    let seats = seatsNow();
    if (isTick) this.#doubt(seats);
    for (;;) {
      const step = this.#planNext(seats) ?? this.#fillFree(seats);
      if (step === null) return;
      yield step;
      seats = seatsNow();
    }
  }

  /** Plans those who have no plan, in their order. Returns the first of them who can begin now, or whom nobody serves. */
  #planNext(seats: readonly Seat[]): Step<R> | null {
    if (this.#unplanned.size === 0) return null;
    const candidates = this.#candidates(this.#some(seats));
    for (const waiting of [...this.#unplanned].sort(byTag)) {
      let choice = this.#chooseFor(waiting, candidates);
      // Those who were drawn may not be those who are wanted.
      if (choice.do === 'refuse' && candidates.length < seats.length) {
        choice = this.#chooseFor(waiting, this.#candidates(seats));
      }
      if (choice.do === 'wait') {
        const { tab, expected } = choice;
        this.#plans.set(waiting, {
          tab,
          tag: waiting.place.tag,
          workMs: expected.workMs,
          restMs: expected.scoreMs - waitScoreMs(expected.startMs),
        });
        this.#unplanned.delete(waiting);
        waiting.plannedMs ??= expected.startMs;
        continue;
      }
      this.#take(waiting, choice.do === 'lease' ? 'served' : 'left');
      return choice.do === 'refuse'
        ? { do: 'refuse', request: waiting.request }
        : { do: 'lease', request: waiting.request, choice };
    }
    return null;
  }

  #some(seats: readonly Seat[]): readonly Seat[] {
    if (seats.length <= MOST_SEATS) return seats;
    const drawn = new Set<Seat>();
    for (const waiting of this.#unplanned) {
      const warm = this.#warmOf(waiting.asked);
      for (const seat of seats) if (seat.tab === warm?.tab || seat.tab === waiting.asked.prefer) drawn.add(seat);
    }
    while (drawn.size < MOST_SEATS) {
      const one = seats[Math.floor(this.#random() * seats.length)];
      if (one !== undefined) drawn.add(one);
    }
    return [...drawn];
  }

  /** A tab that has become free begins with the first of those who wait for it; where nobody does, with the first who is better off with it. */
  #fillFree(seats: readonly Seat[]): Step<R> | null {
    for (const seat of seats) {
      if (seat.load > 0) {
        this.#idle.delete(seat.tab);
        continue;
      }
      if (this.#idle.get(seat.tab)?.has(seat.class) === true) continue;
      const [candidate] = this.#candidates([seat]);
      const waiting = candidate === undefined ? null : (this.#plans.nextOn(seat.tab) ?? this.#betterOffOn(candidate));
      if (candidate === undefined || waiting === null) {
        this.#idle.set(seat.tab, (this.#idle.get(seat.tab) ?? new Set()).add(seat.class));
        continue;
      }
      // Whoever waits for this tab may wait for another class of it.
      const own = this.#candidates(seats.filter(({ tab }) => tab === seat.tab));
      const { asked, work } = waiting;
      const choice = chooseTab(own, { ...asked, warm: this.#warmOf(asked) }, work, this.#random);
      if (choice.do !== 'lease') {
        // It serves another class by now, or may not serve any more.
        this.#plans.delete(waiting);
        this.#unplanned.add(waiting);
        return this.#planNext(seats);
      }
      this.#take(waiting, 'served');
      return { do: 'lease', request: waiting.request, choice };
    }
    return null;
  }

  /** The first in the line that is better off here, on a tab for which nobody waits, than where it waits. */
  #betterOffOn(candidate: Candidate): Waiting<R> | null {
    let looked = 0;
    for (const waiting of [...this.#waiting.values()].sort(byTag)) {
      if (looked++ >= MOST_LOOKED_AT) return null;
      if (!mayServe(candidate, { ...waiting.asked, warm: null })) continue;
      const plan = this.#plans.get(waiting);
      if (plan === undefined) continue;
      const plannedMs = waitScoreMs(this.#startsInMs(waiting, plan.tab)) + plan.restMs;
      const hereMs = expectFrom(candidate, waiting.work, 0).scoreMs;
      if (hereMs < (1 - WORTH_CHANGING) * plannedMs) return waiting;
    }
    return null;
  }

  /** Some plans are made again: those of tabs that went away, and of the others as many as there is time for, the oldest first. */
  #doubt(seats: readonly Seat[]): void {
    const connected = new Set(seats.map(({ tab }) => tab));
    let left = Math.ceil(PLANNED_A_TICK / Math.max(1, seats.length));
    for (const waiting of [...this.#plans.oldestFirst]) {
      const plan = this.#plans.get(waiting);
      if (plan === undefined) continue;
      if (connected.has(plan.tab) && left-- <= 0) continue;
      this.#plans.delete(waiting);
      this.#unplanned.add(waiting);
    }
  }

  /** A tab for a request that does not wait: one that is hedged, asked again, or meant for one tab alone. */
  choose(seats: readonly Seat[], asked: Asked): Choice {
    const work = this.#workOf(asked.model).of(asked.size);
    return chooseTab(this.#candidates(seats), { ...asked, warm: this.#warmOf(asked) }, work, this.#random);
  }

  /** Where a request stands, and when its first token is to be expected; null when it does not wait. */
  turnOf(request: R): Turn | null {
    const waiting = this.#waiting.get(request);
    const plan = waiting === undefined ? undefined : this.#plans.get(waiting);
    if (waiting === undefined || plan === undefined) return null;
    let ahead = 0;
    for (const other of this.#waiting.values()) {
      if (other.asked.model === waiting.asked.model && other.place.tag < waiting.place.tag) ahead++;
    }
    const classId = waiting.asked.classes[0] ?? '';
    const { prefill, roundTripMs } = this.#speeds.of(plan.tab, classId);
    const readMs = roundTripMs + (1000 * waiting.work.promptTokens) / prefill;
    const startMs = this.#waits.corrected(this.#startsInMs(waiting, plan.tab));
    return { ahead, etaMs: Math.round(startMs + readMs) };
  }

  /**
   * How long a request that came now, and stood last in its line, would wait for its tab, ms; null where nobody serves it, or nobody knows how fast the tab is that
   * it would wait for.
   */
  waitOf(seats: readonly Seat[], asked: Asked): number | null {
    const work = this.#workOf(asked.model).of(asked.size);
    const choice = this.#chooseFor({ asked, work, place: LAST }, this.#candidates(seats));
    if (choice.do !== 'wait') return choice.do === 'lease' ? 0 : null;
    const isMeasured = asked.classes.some((id) => this.#speeds.of(choice.tab, id).isMeasured);
    return isMeasured ? Math.round(this.#waits.corrected(choice.expected.startMs)) : null;
  }

  /** Tokens that a tab writes in a second, as they were measured; null before it has finished an answer. */
  speedOf(tab: string, classId: string): number | null {
    const { decode, isMeasured } = this.#speeds.of(tab, classId);
    return isMeasured ? decode : null;
  }

  #startsInMs({ place }: Waiting<R>, tab: string): number {
    return this.#atWork.busyForMs(tab) + this.#plans.lineOn(tab, place.tag).beforeMs;
  }

  #chooseFor({ asked, work, place }: Standing, candidates: readonly Candidate[]): Choice {
    const lineOn = (tab: string) => this.#plans.lineOn(tab, place.tag);
    return chooseTab(candidates, { ...asked, warm: this.#warmOf(asked) }, work, this.#random, lineOn);
  }

  // ---- leases ------------------------------------------------------------------------------------------------------

  /** A tab was leased an answer. */
  began(number: number, begun: Begun): void {
    this.#atWork.began(number, begun);
    this.#hedges.earn();
  }

  /** A tab works on something else: a check, or an answer from before this memory began. It is busy, and what its engine held is gone. */
  occupied(number: number, tab: string, classId: string, model: string, maxTokens: number): void {
    this.#atWork.occupied(number, tab, classId, model, maxTokens);
  }

  /** The tab took it up, and says how long the prompt is. */
  accepted(number: number, promptTokens: number): void {
    this.#atWork.accepted(number, promptTokens);
  }

  firstToken(number: number): void {
    this.#atWork.firstToken(number);
  }

  /** The tab finished its answer of so many tokens and bytes; a token holds at least a byte, whatever the tab says. Not for stopped ones. */
  finished(number: number, completionTokens: number, answerBytes: number): void {
    this.#atWork.finished(number, completionTokens, answerBytes);
  }

  /** The tab failed at it, went away, or missed its deadline. */
  lost(number: number): void {
    this.#atWork.lost(number);
  }

  /** Another tab was faster. */
  outrun(number: number): void {
    this.#atWork.outrun(number);
  }

  /** It is over, and says nothing of the tab: stopped by its client, or a check. */
  over(number: number): void {
    this.#atWork.over(number);
  }

  /** It went away: who waits for it is to look for another. */
  left(tab: string): void {
    this.#warm.left(tab);
    this.#idle.delete(tab);
    for (const waiting of this.#plans.of(tab)) {
      this.#plans.delete(waiting);
      this.#unplanned.add(waiting);
    }
  }

  // ---- hedges ------------------------------------------------------------------------------------------------------

  /**
   * Answers whose first token is late, and another tab for each, of the same class where there is one, as far as free tabs and the budget go. Nobody is hedged
   * while somebody waits. `seats`: who may write beside the first tab.
   */
  hedges(seats: (asked: Asked) => readonly Seat[]): { readonly number: number; readonly choice: Leased }[] {
    if (this.#waiting.size > 0) return [];
    const hedged: { number: number; choice: Leased }[] = [];
    const taken = new Set<string>();
    for (const [number, running] of this.#atWork.late()) {
      if (!this.#hedges.allows) break;
      const asked = { ...running.asked, prefer: null };
      const others = seats(asked).filter(({ tab }) => tab !== running.tab && !taken.has(tab));
      const like = others.filter((seat) => seat.class === running.class && seat.load === 0);
      const choice = this.choose(like.length > 0 ? like : others, asked);
      if (choice.do !== 'lease') continue;
      this.#atWork.hedged(number);
      this.#hedges.spend();
      taken.add(choice.tab);
      hedged.push({ number, choice });
    }
    return hedged;
  }

  // ---- what is known -----------------------------------------------------------------------------------------------

  #warmOf({ conversation, classes }: Asked): Warm | null {
    const warm = this.#warm.holderOf(conversation);
    return warm !== null && classes.includes(warm.class) ? warm : null;
  }

  #candidates(seats: readonly Seat[]): Candidate[] {
    return seats.map((seat) => ({
      tab: seat.tab,
      class: seat.class,
      load: seat.load,
      rank: seat.rank,
      isResting: seat.isResting,
      country: seat.country ?? null,
      busyForMs: seat.load === 0 ? 0 : Math.max(LEAST_BUSY_MS, this.#atWork.busyForMs(seat.tab)),
      speeds: this.#speeds.of(seat.tab, seat.class),
    }));
  }

  #take(waiting: Waiting<R>, how: 'served' | 'left'): void {
    const { request, asked, place, plannedMs } = waiting;
    this.#waiting.delete(request);
    this.#unplanned.delete(waiting);
    this.#plans.delete(waiting);
    const line = this.#lineOf(asked.model);
    line[how](place);
    if (line.length === 0) this.#lines.delete(asked.model);
    if (how === 'served' && plannedMs !== null) this.#waits.came(plannedMs, this.#now() - place.since);
  }

  #lineOf(model: string): FairLine {
    const line = this.#lines.get(model) ?? new FairLine();
    this.#lines.set(model, line);
    return line;
  }

  /** Models are those of the router's catalogue: there are a few. */
  #workOf(model: string): ExpectedWork {
    const work = this.#works.get(model) ?? new ExpectedWork();
    this.#works.set(model, work);
    return work;
  }
}

function byTag<R>(a: Waiting<R>, b: Waiting<R>): number {
  return a.place.tag - b.place.tag;
}
