import { type Candidate, type Choice, chooseTab, type Expected, mayServe, type Requirements } from './choose-tab.ts';
import { ExpectedWork, type Size, type Work } from './expected-work.ts';
import { FairLine, type Sla } from './fair-line.ts';
import { HedgeBudget, lateAfterMs } from './hedge-budget.ts';
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
  readonly begunAt: number;
  acceptedAt: number | null;
  /** By the tab's word, bounded by the prompt's bytes. */
  promptTokens: number | null;
  firstTokenAt: number | null;
  isHedged: boolean;
}

interface Waiting<R> {
  readonly request: R;
  readonly asked: Asked;
  readonly since: number;
  etaMs: number;
  startMs: number;
}

/** Requests at the head of a line that are looked at when a tab is free: those behind them have no better claim to it. */
const LOOKED_AT = 16;
/** Tabs whose ends are looked at for an estimate. */
const MOST_SAMPLED = 128;
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
  readonly #lines = new Map<string, FairLine<Waiting<R>>>();
  readonly #waiting = new Map<R, Waiting<R>>();
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
    const since = this.#now();
    const work = this.#workOf(asked.model).of(asked.size);
    const typical = this.#speeds.typical(asked.classes[0] ?? '');
    const cost = (1000 * work.promptTokens) / typical.prefill + (1000 * work.outputTokens) / typical.decode;
    const waiting: Waiting<R> = { request, asked, since, etaMs: 0, startMs: 0 };
    this.#waiting.set(request, waiting);
    this.#lineOf(asked.model).join({ request: waiting, account: asked.account, sla: asked.sla, cost, since });
  }

  leave(request: R): boolean {
    return this.#take(request, 'left') !== null;
  }

  /**
   * Makes room in lines that have at most `limit` places in all: who gives way is the last of the account that has the most in one of them, or the
   * newcomer. Null when there is room.
   */
  overflow(limit: number, newcomer: R): R | null {
    if (this.#waiting.size <= limit) return null;
    const own = this.#waiting.get(newcomer)?.asked;
    let request = newcomer;
    let length = own === undefined ? 0 : this.#lineOf(own.model).waitingOf(own.account);
    for (const line of this.#lines.values()) {
      const last = line.longest();
      if (last === null || line.waitingOf(last.account) <= length) continue;
      request = last.request.request;
      length = line.waitingOf(last.account);
    }
    this.leave(request);
    return request;
  }

  /** Takes out those that waited too long for their class. */
  expired(longestMs: Readonly<Record<Sla, number>>): R[] {
    const at = this.#now();
    const late = [...this.#lines.values()].flatMap((line) => line.expired(at, longestMs));
    for (const { request } of late) this.#take(request.request, 'left');
    return late.map(({ request }) => request.request);
  }

  /**
   * The next step for somebody in the line; null when all that wait have to. To be called until then: every lease takes a seat, so `seats` are asked for
   * again each time.
   */
  *steps(seats: () => readonly Seat[]): Generator<Step<R>, void, undefined> {
    for (const line of [...this.#lines.values()]) {
      for (;;) {
        const step = line.length === 0 ? null : this.#stepOf(line, seats());
        if (step === null) break;
        yield step;
      }
    }
  }

  #stepOf(line: FairLine<Waiting<R>>, seats: readonly Seat[]): Step<R> | null {
    const candidates = this.#candidates(seats);
    if (seats.length > 0 && !candidates.some(({ load }) => load === 0)) {
      // Nobody can be leased; whoever nobody serves any more is refused all the same.
      for (const { request: waiting } of line.inOrder()) {
        if (seats.some((seat) => mayServe(seat, { ...waiting.asked, warm: null }))) continue;
        this.#take(waiting.request, 'left');
        return { do: 'refuse', request: waiting.request };
      }
      return null;
    }
    for (const { request: waiting } of line.inOrder(LOOKED_AT)) {
      const work = this.#workOf(waiting.asked.model).of(waiting.asked.size);
      const choice = this.#choose(candidates, waiting.asked, work);
      if (choice.do === 'wait') {
        // Who comes after it finds the tab that it waits for busy for longer.
        const awaited = candidates.find(({ tab }) => tab === choice.tab);
        if (awaited !== undefined) awaited.busyForMs = choice.expected.scoreMs;
        continue;
      }
      this.#take(waiting.request, choice.do === 'lease' ? 'served' : 'left');
      if (choice.do === 'refuse') return { do: 'refuse', request: waiting.request };
      return { do: 'lease', request: waiting.request, choice };
    }
    return null;
  }

  /** A tab for a request that does not wait: one that is hedged, asked again, or meant for one tab alone. */
  choose(seats: readonly Seat[], asked: Asked): Choice {
    return this.#choose(this.#candidates(seats), asked, this.#workOf(asked.model).of(asked.size));
  }

  /** Where a request stands, and when its first token is to be expected; null when it does not wait. What is said first is what it is held to. */
  turnOf(request: R, seats: readonly Seat[]): Turn | null {
    const waiting = this.#waiting.get(request);
    if (waiting === undefined) return null;
    const { asked } = waiting;
    let ahead = 0;
    for (const place of this.#lineOf(asked.model).inOrder()) {
      if (place.request === waiting) break;
      ahead++;
    }
    const turn = { ahead, ...this.#estimate(asked, ahead, seats) };
    if (waiting.startMs === 0) waiting.startMs = turn.startMs;
    return { ahead, etaMs: Math.round(turn.etaMs) };
  }

  /** When the first token of a request is to be expected that is asked now, ms; null when nobody serves it. */
  etaOf(asked: Asked, seats: readonly Seat[]): number | null {
    const choice = this.choose(seats, asked);
    if (choice.do === 'refuse') return null;
    const ahead = this.#lineOf(asked.model).length;
    if (choice.do === 'lease' && ahead === 0) return choice.expected.firstTokenMs;
    return this.#estimate(asked, ahead, seats).etaMs;
  }

  #estimate(asked: Asked, ahead: number, seats: readonly Seat[]): { readonly startMs: number; readonly etaMs: number } {
    const able = seats.filter((seat) => mayServe(seat, { ...asked, warm: null }));
    const sampled = able.length <= MOST_SAMPLED ? able : drawn(able, MOST_SAMPLED, this.#random);
    const at = this.#now();
    const work = this.#workOf(asked.model).of(asked.size);
    const freeInMs = sampled.map(({ tab }) => this.#busyForMs(tab, at));
    let againMs = 0;
    let firstMs = 0;
    for (const { tab, class: id } of sampled) {
      const { prefill, decode, roundTripMs } = this.#speeds.of(tab, id);
      const readMs = roundTripMs + (1000 * work.promptTokens) / prefill;
      firstMs += readMs / sampled.length;
      againMs += (readMs + (1000 * work.outputTokens) / decode) / sampled.length;
    }
    const scaledAhead = Math.floor((ahead * sampled.length) / Math.max(1, able.length));
    const startMs = this.#waits.startMs(freeInMs, scaledAhead, againMs);
    return { startMs, etaMs: startMs + firstMs };
  }

  // ---- leases ------------------------------------------------------------------------------------------------------

  /** A tab was leased an answer. */
  began(number: number, begun: Begun): void {
    this.#warm.began(begun.tab, begun.asked.conversation);
    this.#track(number, begun, this.#workOf(begun.asked.model).of(begun.asked.size));
    this.#hedges.earn();
  }

  /** A tab works on something else: a check, or an answer from before this memory began. It is busy, and what its engine held is gone. */
  occupied(number: number, tab: string, classId: string, model: string, maxTokens: number): void {
    this.#warm.began(tab, null);
    const work = this.#workOf(model).of({ promptBytes: null, maxTokens });
    const expected = { startMs: 0, firstTokenMs: 0, scoreMs: 0 };
    this.#track(number, { tab, class: classId, asked: null, expected, warmTokens: 0, mayHedge: false }, work);
  }

  #track(number: number, begun: Omit<Begun, 'asked'> & { readonly asked: Asked | null }, work: Work): void {
    this.#running.set(number, {
      ...begun,
      work,
      begunAt: this.#now(),
      acceptedAt: null,
      promptTokens: null,
      firstTokenAt: null,
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

  /** It is over, and says nothing of the tab: stopped by its client, or a check. */
  over(number: number): void {
    this.#end(number);
  }

  left(tab: string): void {
    this.#warm.left(tab);
  }

  #end(number: number): Running | null {
    const running = this.#running.get(number);
    if (running === undefined) return null;
    this.#running.delete(number);
    const leases = this.#leasesOf.get(running.tab);
    leases?.delete(number);
    if (leases?.size === 0) this.#leasesOf.delete(running.tab);
    return running;
  }

  // ---- hedges ------------------------------------------------------------------------------------------------------

  /** Answers whose first token is late, and another tab for each, as far as free tabs and the budget go. Nobody is hedged while somebody waits. */
  hedges(seats: () => readonly Seat[]): { readonly number: number; readonly choice: Leased }[] {
    if (this.#waiting.size > 0) return [];
    const at = this.#now();
    const hedged: { number: number; choice: Leased }[] = [];
    const taken = new Set<string>();
    for (const [number, running] of this.#running) {
      if (running.asked === null || !running.mayHedge || running.isHedged || running.firstTokenAt !== null) continue;
      if (at - running.begunAt < lateAfterMs(running.expected.firstTokenMs)) continue;
      if (!this.#hedges.allows) break;
      const others = seats().filter(({ tab }) => tab !== running.tab && !taken.has(tab));
      const choice = this.choose(others, { ...running.asked, prefer: null });
      if (choice.do !== 'lease') continue;
      running.isHedged = true;
      this.#hedges.spend();
      taken.add(choice.tab);
      hedged.push({ number, choice });
    }
    return hedged;
  }

  // ---- what is known -----------------------------------------------------------------------------------------------

  #choose(candidates: readonly Candidate[], asked: Asked, work: Work): Choice {
    const warm = this.#warmOf(asked);
    const wanted: Requirements = { ...asked, warm };
    return chooseTab(candidates, wanted, work, this.#random);
  }

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
      const { promptTokens, outputTokens } = running.work;
      const writeMs = (1000 * outputTokens) / decode;
      const readMs = roundTripMs + (1000 * Math.max(1, promptTokens - running.warmTokens)) / prefill;
      const dueAt = running.firstTokenAt === null ? running.begunAt + readMs + writeMs : running.firstTokenAt + writeMs;
      longest = Math.max(longest, dueAt - at, OVERDUE_SHARE * (at - running.begunAt));
    }
    return longest;
  }

  #take(request: R, how: 'served' | 'left'): Waiting<R> | null {
    const waiting = this.#waiting.get(request);
    if (waiting === undefined) return null;
    this.#waiting.delete(request);
    const line = this.#lineOf(waiting.asked.model);
    line.take(waiting, how);
    if (line.length === 0) this.#lines.delete(waiting.asked.model);
    if (how === 'served' && waiting.startMs > 0) this.#waits.came(waiting.startMs, this.#now() - waiting.since);
    return waiting;
  }

  #lineOf(model: string): FairLine<Waiting<R>> {
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

function drawn<T>(all: readonly T[], most: number, random: () => number): T[] {
  const left = [...all];
  for (let i = 0; i < most; i++) {
    const j = i + Math.floor(random() * (left.length - i));
    const [a, b] = [left[i], left[j]];
    if (a !== undefined && b !== undefined) {
      left[i] = b;
      left[j] = a;
    }
  }
  return left.slice(0, most);
}
