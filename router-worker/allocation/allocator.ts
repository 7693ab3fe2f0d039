import {
  type Candidate,
  type Choice,
  chooseTab,
  type Expected,
  expect as expectFrom,
  mayServe,
  waitScoreMs,
} from './choose-tab.ts';
import { ExpectedWork, type Size, type Work } from './expected-work.ts';
import { FairLine, type Place, type Sla } from './fair-line.ts';
import { HedgeBudget, lateAfterMs } from './hedge-budget.ts';
import { TabPlans } from './tab-plans.ts';
import { TabSpeeds } from './tab-speeds.ts';
import { WaitEstimate } from './wait-estimate.ts';
import { type Warm, WarmPrefixes } from './warm-prefixes.ts';

/** What a request asks of the network. */
export interface Asked {
  readonly model: string;
  readonly classes: readonly string[];
  readonly only: string | null;
  readonly allow: readonly string[] | null;
  readonly block: readonly string[];
  readonly prefer: string | null;
  readonly size: Size;
  /** Who shares the tabs with whom: a key, or a class of addresses. */
  readonly account: string;
  readonly sla: Sla;
  /** Digest of the conversation's beginning; null for a request that belongs to none. */
  readonly conversation: string | null;
}

/** A tab, and a class that it may serve. */
export type Seat = Pick<Candidate, 'tab' | 'class' | 'load' | 'rank' | 'isResting'>;

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

/** What an answer's lease is known by, from its issue to its end. */
export interface Begun {
  readonly tab: string;
  readonly class: string;
  readonly asked: Asked;
  readonly expected: Expected;
  readonly warmTokens: number;
  /** Whether a second tab may be asked when the first token is late. */
  readonly mayHedge: boolean;
}

interface Running extends Omit<Begun, 'asked'> {
  /** Null for work that nobody asked the allocator for: a check, or a lease from before its memory began. */
  readonly asked: Asked | null;
  readonly work: Work;
  /** What is known of the lengths of such answers. */
  readonly lengths: ExpectedWork;
  readonly begunAt: number;
  acceptedAt: number | null;
  /** By the tab's word, bounded by the prompt's bytes. */
  promptTokens: number | null;
  firstTokenAt: number | null;
  /** When the first token is expected, from its beginning on, ms: known better once the tab has said how long the prompt is. */
  firstTokenMs: number;
  isHedged: boolean;
}

interface Waiting<R> {
  readonly request: R;
  readonly asked: Asked;
  readonly work: Work;
  readonly place: Place;
  /** What was planned for its start when it came, ms; null as long as nothing was. */
  plannedMs: number | null;
}

/** Plans that are made anew in a second, as requests times tabs: what was planned for a tab that is late may be better with another. */
const PLANNED_A_TICK = 50_000;
/** Requests that are looked at when a tab is free for which nobody waits. */
const MOST_LOOKED_AT = 64;
/** One that waits for another tab changes to a free one when that saves this share of its time. */
const WORTH_CHANGING = 0.05;
/**
 * Where there are more seats, so many are drawn for a request, and compared: the power of some choices. Enough to meet a fast tab, few enough that not all
 * wait for the same.
 */
const MOST_SEATS = 128;
/** A tab that is later than expected is expected to take this share of the time once more: the longer an answer is, the longer it goes on. */
const OVERDUE_SHARE = 0.4;
/** A tab that has just been given a lease, or works on one from before this memory began, ms: nothing is known of it, but it is not free. */
const LEAST_BUSY_MS = 1_000;
/** Until a tab says how long the prompt is, tokens are bounded by its bytes and what a template adds. */
const TEMPLATE_TOKENS = 512;

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
  /** Free tabs that nobody of the line is better off with. */
  readonly #idle = new Set<string>();
  readonly #running = new Map<number, Running>();
  readonly #leasesOf = new Map<string, Set<number>>();
  readonly #hedges = new HedgeBudget();
  readonly #waits = new WaitEstimate();

  constructor(now: () => number, random: () => number) {
    this.#now = now;
    this.#random = random;
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

  /** A tab that has become free begins with the first in the line who waits for it, or is better off with it than where it waits. */
  #fillFree(seats: readonly Seat[]): Step<R> | null {
    for (const seat of seats) {
      if (seat.load > 0) {
        this.#idle.delete(seat.tab);
        continue;
      }
      if (this.#idle.has(seat.tab)) continue;
      const next = this.#plans.nextOn(seat.tab);
      const [candidate] = this.#candidates([seat]);
      const waiting = candidate === undefined ? null : (this.#betterOffOn(candidate, next) ?? next);
      if (candidate === undefined || waiting === null) {
        this.#idle.add(seat.tab);
        continue;
      }
      const choice = this.#chooseFor(waiting, [{ ...candidate, busyForMs: 0 }]);
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

  /** The first in the line that begins sooner here than where it waits; of those before `next`, who waits for this tab. */
  #betterOffOn(candidate: Candidate, next: Waiting<R> | null): Waiting<R> | null {
    let looked = 0;
    for (const waiting of [...this.#waiting.values()].sort(byTag)) {
      if (waiting === next || looked++ >= MOST_LOOKED_AT) return null;
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
    for (const waiting of this.#waiting.values()) {
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

  #startsInMs({ place }: Waiting<R>, tab: string): number {
    return this.#busyForMs(tab, this.#now()) + this.#plans.beforeMs(tab, place.tag);
  }

  #chooseFor({ asked, work, place }: Waiting<R>, candidates: readonly (Candidate & { busyForMs: number })[]): Choice {
    // A seat for which others wait is as good as taken, for as long as their work takes.
    const seen = candidates.map((candidate) => {
      const beforeMs = this.#plans.beforeMs(candidate.tab, place.tag);
      return beforeMs === 0
        ? candidate
        : { ...candidate, load: Math.max(1, candidate.load), busyForMs: candidate.busyForMs + beforeMs };
    });
    return chooseTab(seen, { ...asked, warm: this.#warmOf(asked) }, work, this.#random);
  }

  // ---- leases ------------------------------------------------------------------------------------------------------

  /** A tab was leased an answer. */
  began(number: number, begun: Begun): void {
    this.#warm.began(begun.tab, begun.asked.conversation);
    const lengths = this.#workOf(begun.asked.model);
    this.#track(number, begun, lengths.of(begun.asked.size), lengths);
    this.#hedges.earn();
  }

  /** A tab works on something else: a check, or an answer from before this memory began. It is busy, and what its engine held is gone. */
  occupied(number: number, tab: string, classId: string, model: string, maxTokens: number): void {
    this.#warm.began(tab, null);
    const lengths = this.#workOf(model);
    const work = lengths.of({ promptBytes: null, maxTokens });
    const expected = { startMs: 0, firstTokenMs: 0, workMs: 0, scoreMs: 0 };
    this.#track(number, { tab, class: classId, asked: null, expected, warmTokens: 0, mayHedge: false }, work, lengths);
  }

  #track(
    number: number,
    begun: Omit<Begun, 'asked'> & { readonly asked: Asked | null },
    work: Work,
    lengths: ExpectedWork,
  ): void {
    this.#running.set(number, {
      ...begun,
      work,
      lengths,
      begunAt: this.#now(),
      acceptedAt: null,
      promptTokens: null,
      firstTokenAt: null,
      firstTokenMs: begun.expected.firstTokenMs,
      isHedged: false,
    });
    const leases = this.#leasesOf.get(begun.tab) ?? new Set();
    leases.add(number);
    this.#leasesOf.set(begun.tab, leases);
  }

  /** The tab took it up, and says how long the prompt is. */
  accepted(number: number, promptTokens: number): void {
    const running = this.#running.get(number);
    if (running === undefined || running.asked === null || running.acceptedAt !== null) return;
    running.acceptedAt = this.#now();
    const { size } = running.asked;
    const most = size.promptBytes === null ? Number.POSITIVE_INFINITY : size.promptBytes + TEMPLATE_TOKENS;
    running.promptTokens = Math.min(promptTokens, most);
    this.#workOf(running.asked.model).read(size, running.promptTokens);
    const { prefill } = this.#speeds.of(running.tab, running.class);
    const toRead = Math.max(1, running.promptTokens - running.warmTokens);
    running.firstTokenMs = running.acceptedAt - running.begunAt + (1000 * toRead) / prefill;
  }

  firstToken(number: number): void {
    const running = this.#running.get(number);
    if (running !== undefined) running.firstTokenAt ??= this.#now();
  }

  /** The tab finished its answer of so many tokens and bytes; a token holds at least a byte, whatever the tab says. Not for stopped ones. */
  finished(number: number, completionTokens: number, answerBytes: number): void {
    const running = this.#end(number);
    if (running === null || running.asked === null) return;
    const { tab, class: classId, asked, begunAt, acceptedAt, firstTokenAt, promptTokens, warmTokens } = running;
    const tokens = Math.min(completionTokens, answerBytes);
    const at = this.#now();
    this.#speeds.finished(tab, classId, {
      // A conversation that was warm was not read: how much of it, only the engine knows.
      prefill:
        acceptedAt === null || firstTokenAt === null || promptTokens === null || warmTokens > 0
          ? null
          : { tokens: promptTokens, ms: firstTokenAt - acceptedAt },
      decode: firstTokenAt === null ? null : { tokens: tokens - 1, ms: at - firstTokenAt },
      roundTripMs: acceptedAt === null ? null : acceptedAt - begunAt,
    });
    this.#workOf(asked.model).wrote(tokens);
    if (asked.conversation !== null) {
      this.#warm.served(tab, classId, asked.conversation, (promptTokens ?? running.work.promptTokens) + tokens);
    }
  }

  /** The tab failed at it, went away, or missed its deadline. */
  lost(number: number): void {
    const running = this.#end(number);
    if (running !== null) this.#speeds.lost(running.tab, running.class);
  }

  /** Another tab was faster: what is known is how long this one took so far, and that is told when it is longer than expected. */
  outrun(number: number): void {
    const running = this.#end(number);
    if (running === null || running.asked === null || running.warmTokens > 0) return;
    const { tab, class: classId, begunAt, acceptedAt, work } = running;
    const tokens = running.promptTokens ?? work.promptTokens;
    const ms = this.#now() - (acceptedAt ?? begunAt);
    if (ms > (1000 * tokens) / this.#speeds.of(tab, classId).prefill) this.#speeds.slower(tab, classId, { tokens, ms });
  }

  /** It is over, and says nothing of the tab: stopped by its client, or a check. */
  over(number: number): void {
    this.#end(number);
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

  #end(number: number): Running | null {
    const running = this.#running.get(number);
    if (running === undefined) return null;
    this.#running.delete(number);
    this.#idle.delete(running.tab);
    const leases = this.#leasesOf.get(running.tab);
    leases?.delete(number);
    if (leases?.size === 0) this.#leasesOf.delete(running.tab);
    return running;
  }

  // ---- hedges ------------------------------------------------------------------------------------------------------

  /**
   * Answers whose first token is late, and another tab for each, of the same class where there is one, as far as free tabs and the budget go. Nobody is hedged
   * while somebody waits. `seats`: who may write beside the first tab.
   */
  hedges(seats: (asked: Asked) => readonly Seat[]): { readonly number: number; readonly choice: Leased }[] {
    if (this.#waiting.size > 0) return [];
    const at = this.#now();
    const hedged: { number: number; choice: Leased }[] = [];
    const taken = new Set<string>();
    for (const [number, running] of this.#running) {
      if (running.asked === null || !running.mayHedge || running.isHedged || running.firstTokenAt !== null) continue;
      if (at - running.begunAt < lateAfterMs(running.firstTokenMs)) continue;
      if (!this.#hedges.allows) break;
      const asked = { ...running.asked, prefer: null };
      const others = seats(asked).filter(({ tab }) => tab !== running.tab && !taken.has(tab));
      const like = others.filter((seat) => seat.class === running.class && seat.load === 0);
      const choice = this.choose(like.length > 0 ? like : others, asked);
      if (choice.do !== 'lease') continue;
      running.isHedged = true;
      this.#hedges.spend();
      taken.add(choice.tab);
      hedged.push({ number, choice });
    }
    return hedged;
  }

  /** Tokens that a tab writes in a second, as they were measured; null before it has finished an answer. */
  speedOf(tab: string, classId: string): number | null {
    const { decode, isMeasured } = this.#speeds.of(tab, classId);
    return isMeasured ? decode : null;
  }

  // ---- what is known -----------------------------------------------------------------------------------------------

  #warmOf({ conversation, classes }: Asked): Warm | null {
    const warm = this.#warm.holderOf(conversation);
    return warm !== null && classes.includes(warm.class) ? warm : null;
  }

  #candidates(seats: readonly Seat[]): (Candidate & { busyForMs: number })[] {
    const at = this.#now();
    return seats.map((seat) => ({
      tab: seat.tab,
      class: seat.class,
      load: seat.load,
      rank: seat.rank,
      isResting: seat.isResting,
      busyForMs: seat.load === 0 ? 0 : Math.max(LEAST_BUSY_MS, this.#busyForMs(seat.tab, at)),
      speeds: this.#speeds.of(seat.tab, seat.class),
    }));
  }

  /** Until the tab is through with what it works on, ms. */
  #busyForMs(tab: string, at: number): number {
    let longest = 0;
    for (const number of this.#leasesOf.get(tab) ?? []) {
      const running = this.#running.get(number);
      if (running === undefined) continue;
      const { prefill, decode, roundTripMs } = this.#speeds.of(tab, running.class);
      const { firstTokenAt, begunAt, warmTokens, work } = running;
      let restMs: number;
      if (firstTokenAt === null) {
        const toRead = Math.max(1, (running.promptTokens ?? work.promptTokens) - warmTokens);
        const readMs = roundTripMs + (1000 * toRead) / prefill;
        restMs =
          Math.max(readMs - (at - begunAt), OVERDUE_SHARE * (at - begunAt)) + (1000 * work.outputTokens) / decode;
      } else {
        const written = Math.min(work.most, ((at - firstTokenAt) * decode) / 1000);
        restMs = (1000 * Math.max(1, Math.min(work.most - written, running.lengths.remaining(written)))) / decode;
      }
      longest = Math.max(longest, restMs);
    }
    return longest;
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
