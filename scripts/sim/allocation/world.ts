import { RECONNECT_GRACE_MS } from '../../../shared/limits.ts';
import type { Course, Device } from './devices.ts';
import type { Request } from './requests.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** A tab that is connected. */
export interface SimTab {
  readonly device: Device;
  /** What it works on; null when it is free. */
  run: Run | null;
  isGone: boolean;
}

/** One request on one tab. */
export interface Run {
  readonly number: number;
  readonly request: Request;
  readonly tab: SimTab;
  readonly startedAt: number;
  readonly course: Course;
  isOver: boolean;
}

/** What became of a request, ms. */
export interface Served {
  readonly request: Request;
  /** From its coming to its first tab, its first token, its end. */
  startMs: number;
  firstTokenMs: number;
  endMs: number;
  /** What was said when it came, of the first token; null when nothing was said. */
  etaMs: number | null;
}

/** Whoever decides which tab works on what. */
export interface Scheduler {
  readonly name: string;
  /** A newcomer answers the network's first question; it joins when it has. */
  questioned(tab: SimTab, course: Course): void;
  joined(tab: SimTab): void;
  /** It went away; what it worked on is lost, and comes again. */
  left(tab: SimTab, lost: Run | null): void;
  /** A request comes, or comes again. Gives what it says of the time to the first token, ms. */
  came(request: Request): number | null;
  accepted(run: Run): void;
  firstToken(run: Run): void;
  ended(run: Run): void;
  /** Once a second. */
  tick(): void;
}

const TICK_MS = 1_000;
/** What the network asks of every newcomer, to know its speed. */
export const FIRST_QUESTION = { promptTokens: 60, outputTokens: 60 };

/** Tabs that come and go, requests that come, and a scheduler between them. */
export class World {
  readonly clock: VirtualClock;
  readonly tabs = new Set<SimTab>();
  readonly served = new Map<number, Served>();
  /** Answers that a second tab was asked for, and tokens' worth of time that was thrown away, ms. */
  hedges = 0;
  wastedMs = 0;
  lostRuns = 0;
  readonly #runsOf = new Map<number, Run[]>();
  #numbers = 0;
  #left: number;
  #scheduler: Scheduler | null = null;

  constructor(clock: VirtualClock, requests: number) {
    this.clock = clock;
    this.#left = requests;
  }

  /** Lets everything happen: until every request has its answer, or until then. */
  play(
    devices: readonly Device[],
    requests: readonly Request[],
    scheduler: Scheduler,
    untilMs = Number.POSITIVE_INFINITY,
  ): void {
    this.#scheduler = scheduler;
    for (const device of devices) this.clock.at(device.joinsAt, () => this.#join(device));
    for (const request of requests) this.clock.at(request.at, () => this.#come(request));
    const tick = () => {
      scheduler.tick();
      this.clock.after(TICK_MS, tick);
    };
    tick();
    this.clock.run(() => this.#left === 0 || this.clock.now >= untilMs);
  }

  /** Gives a request to a free tab. */
  start(request: Request, tab: SimTab): Run {
    const { now } = this.clock;
    if (tab.run !== null) throw new Error(`${tab.device.name} is not free`);
    const run: Run = {
      number: ++this.#numbers,
      request,
      tab,
      startedAt: now,
      course: tab.device.course(now, request),
      isOver: false,
    };
    tab.run = run;
    const siblings = this.#runsOf.get(request.id) ?? [];
    siblings.push(run);
    this.#runsOf.set(request.id, siblings);
    const served = this.served.get(request.id);
    if (served !== undefined && served.startMs < 0) served.startMs = now - request.at;
    const { acceptedAt, firstTokenAt, endAt } = run.course;
    this.clock.at(acceptedAt, () => this.#isOn(run) && this.#scheduler?.accepted(run));
    this.clock.at(firstTokenAt, () => this.#isOn(run) && this.#firstToken(run));
    this.clock.at(endAt, () => this.#isOn(run) && this.#end(run));
    return run;
  }

  /** A run that nobody needs any more. */
  stop(run: Run): void {
    if (run.isOver) return;
    this.wastedMs += this.clock.now - run.startedAt;
    this.#over(run);
  }

  #isOn(run: Run): boolean {
    return !run.isOver && !run.tab.isGone;
  }

  #come(request: Request): void {
    this.served.set(request.id, { request, startMs: -1, firstTokenMs: -1, endMs: -1, etaMs: null });
    const etaMs = this.#scheduler?.came(request) ?? null;
    const served = this.served.get(request.id);
    if (served !== undefined) served.etaMs = etaMs;
  }

  #firstToken(run: Run): void {
    const served = this.served.get(run.request.id);
    if (served !== undefined && served.firstTokenMs < 0) served.firstTokenMs = this.clock.now - run.request.at;
    this.#scheduler?.firstToken(run);
  }

  #end(run: Run): void {
    const { request } = run;
    this.#over(run);
    const served = this.served.get(request.id);
    if (served !== undefined && served.endMs < 0) {
      served.endMs = this.clock.now - request.at;
      this.#left--;
    }
    this.#runsOf.delete(request.id);
    this.#scheduler?.ended(run);
  }

  #over(run: Run): void {
    run.isOver = true;
    if (run.tab.run === run) run.tab.run = null;
    const siblings = this.#runsOf.get(run.request.id);
    siblings?.splice(siblings.indexOf(run), 1);
  }

  #join(device: Device): void {
    const tab: SimTab = { device, run: null, isGone: false };
    // It is known by its answer to a question of the network, which it gives before anything else.
    const course = device.course(this.clock.now, { ...FIRST_QUESTION, pace: 1 });
    if (course.endAt >= device.leavesAt) return;
    this.#scheduler?.questioned(tab, course);
    this.clock.at(course.endAt, () => {
      this.tabs.add(tab);
      this.#scheduler?.joined(tab);
    });
    this.clock.at(device.leavesAt, () => this.#leave(tab));
  }

  #leave(tab: SimTab): void {
    const { device } = tab;
    tab.isGone = true;
    // A tab that goes without a word is missed when its socket does not come back. Until then it looks like any other.
    this.clock.after(device.leavesSilently ? RECONNECT_GRACE_MS : 0, () => {
      this.tabs.delete(tab);
      const lost = tab.run;
      if (lost !== null) {
        this.lostRuns++;
        this.wastedMs += this.clock.now - lost.startedAt;
        this.#over(lost);
      }
      this.#scheduler?.left(tab, lost);
      const isAlone = lost !== null && (this.#runsOf.get(lost.request.id) ?? []).length === 0;
      if (isAlone) this.#scheduler?.came(lost.request);
    });
  }
}
