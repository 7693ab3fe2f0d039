import { Allocator, type Leased, type Seat } from '../../../router-worker/allocation/allocator.ts';
import type { Asked } from '../../../router-worker/allocation/asked.ts';
import { MAX_OUTPUT_TOKENS } from '../../../shared/limits.ts';
import type { Course } from './devices.ts';
import type { Request } from './requests.ts';
import { FIRST_QUESTION, type Run, type Scheduler, type SimTab, type World } from './world.ts';

const CLASS = 'cls';
const BYTES_PER_TOKEN = 4;

/** The router's own allocator, run as the pool runs it. */
export class RouterScheduler implements Scheduler {
  readonly name = 'router';
  readonly #world: World;
  readonly #allocator: Allocator<Request>;
  readonly #tabs = new Map<string, SimTab>();
  readonly #runs = new Map<number, Run>();
  /** Where an answer has a second tab: the two runs of it. */
  #questions = 0;
  readonly #rivals = new Map<number, Run>();

  readonly #places: number;

  /** `places`: requests that may wait; those that find no place are refused, and do not come again. */
  constructor(world: World, random: () => number, places = Number.POSITIVE_INFINITY) {
    this.#places = places;
    this.#world = world;
    this.#allocator = new Allocator(() => world.clock.now, random);
  }

  /** As in the pool: the allocator sees this answer as any other. */
  questioned({ device }: SimTab, { acceptedAt, firstTokenAt, endAt }: Course): void {
    const number = -++this.#questions;
    const { promptTokens, outputTokens } = FIRST_QUESTION;
    const asked = { ...QUESTION, only: device.name };
    const expected = { startMs: 0, firstTokenMs: 0, workMs: 0, scoreMs: 0 };
    this.#allocator.began(number, { tab: device.name, class: CLASS, asked, expected, warmTokens: 0, mayHedge: false });
    const { clock } = this.#world;
    clock.at(acceptedAt, () => this.#allocator.accepted(number, promptTokens));
    clock.at(firstTokenAt, () => this.#allocator.firstToken(number));
    clock.at(endAt, () => this.#allocator.finished(number, outputTokens, outputTokens * BYTES_PER_TOKEN));
  }

  joined(tab: SimTab): void {
    this.#tabs.set(tab.device.name, tab);
    this.#serve();
  }

  left(tab: SimTab, lost: Run | null): void {
    this.#tabs.delete(tab.device.name);
    this.#allocator.left(tab.device.name);
    if (lost === null) return;
    this.#allocator.lost(lost.number);
    this.#forget(lost);
  }

  came(request: Request): number | null {
    const asked = askedOf(request);
    this.#allocator.join(request, asked);
    let etaMs: number | null = null;
    this.#serve((served, choice) => {
      if (served === request) etaMs = choice.expected.firstTokenMs;
    });
    this.#allocator.overflow(this.#places, request);
    return etaMs ?? this.#allocator.turnOf(request)?.etaMs ?? null;
  }

  accepted(run: Run): void {
    this.#allocator.accepted(run.number, run.request.promptTokens);
  }

  firstToken(run: Run): void {
    this.#allocator.firstToken(run.number);
    const rival = this.#rivals.get(run.number);
    if (rival === undefined) return;
    this.#forget(run, false);
    this.#allocator.outrun(rival.number);
    this.#forget(rival);
    this.#world.stop(rival);
    this.#serve();
  }

  ended(run: Run): void {
    const { outputTokens } = run.request;
    this.#allocator.finished(run.number, outputTokens, outputTokens * BYTES_PER_TOKEN);
    this.#forget(run);
    this.#serve();
  }

  tick(): void {
    for (const { number, choice } of this.#allocator.hedges(() => this.#seats())) {
      const run = this.#runs.get(number);
      if (run === undefined) continue;
      this.#world.hedges++;
      const rival = this.#lease(run.request, choice);
      this.#rivals.set(run.number, rival);
      this.#rivals.set(rival.number, run);
    }
    this.#serve(undefined, true);
  }

  #serve(leased: (request: Request, choice: Leased) => void = () => undefined, isTick = false): void {
    for (const step of this.#allocator.steps(() => this.#seats(), isTick)) {
      if (step.do === 'refuse') {
        this.#world.clock.after(RETRY_MS, () => this.came(step.request));
        continue;
      }
      leased(step.request, step.choice);
      this.#lease(step.request, step.choice);
    }
  }

  #lease(request: Request, choice: Leased): Run {
    const tab = this.#tabs.get(choice.tab);
    if (tab === undefined) throw new Error(`${choice.tab} is not connected`);
    const run = this.#world.start(request, tab);
    this.#runs.set(run.number, run);
    this.#allocator.began(run.number, { ...choice, asked: askedOf(request), mayHedge: true });
    return run;
  }

  #forget(run: Run, isOver = true): void {
    if (isOver) this.#runs.delete(run.number);
    const rival = this.#rivals.get(run.number);
    this.#rivals.delete(run.number);
    if (rival !== undefined) this.#rivals.delete(rival.number);
  }

  #seats(): Seat[] {
    const seats: Seat[] = [];
    for (const [tab, { run }] of this.#tabs) {
      seats.push({ tab, class: CLASS, load: run === null ? 0 : 1, rank: 0, isResting: false });
    }
    return seats;
  }
}

/** Whoever is refused because nobody serves comes again, ms. */
const RETRY_MS = 15_000;

const QUESTION: Asked = {
  model: 'model of the questions', // What users ask is not expected to be as short.
  classes: [CLASS],
  only: null,
  allow: null,
  block: [],
  prefer: null,
  size: { promptBytes: FIRST_QUESTION.promptTokens * BYTES_PER_TOKEN, maxTokens: FIRST_QUESTION.outputTokens },
  account: 'network',
  sla: 'standard',
  conversation: null,
};

function askedOf(request: Request): Asked {
  return {
    ...QUESTION,
    model: 'model',
    size: { promptBytes: request.promptBytes, maxTokens: MAX_OUTPUT_TOKENS },
    account: request.account,
  };
}
