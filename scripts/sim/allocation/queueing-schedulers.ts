import type { Request } from './requests.ts';
import type { Run, Scheduler, SimTab, World } from './world.ts';

interface Queue {
  readonly tab: SimTab;
  readonly requests: Request[];
  /** Where it is known: when the tab is through with all that it has. */
  freeAt: number;
}

/** A line before each tab: every request is given to one tab when it comes, and waits for it. */
abstract class QueueingScheduler implements Scheduler {
  abstract readonly name: string;
  protected readonly world: World;
  protected readonly queues = new Map<SimTab, Queue>();
  /** Requests that came while nobody was there. */
  readonly #stranded: Request[] = [];

  constructor(world: World) {
    this.world = world;
  }

  /** Whose line the request joins. There is at least one. */
  protected abstract pick(request: Request): Queue;

  questioned(): void {}

  joined(tab: SimTab): void {
    this.queues.set(tab, { tab, requests: [], freeAt: 0 });
    for (const request of this.#stranded.splice(0)) this.came(request);
  }

  left(tab: SimTab): void {
    const queue = this.queues.get(tab);
    this.queues.delete(tab);
    for (const request of queue?.requests ?? []) this.came(request);
  }

  came(request: Request): number | null {
    if (this.queues.size === 0) {
      this.#stranded.push(request);
      return null;
    }
    const queue = this.pick(request);
    queue.requests.push(request);
    this.#next(queue);
    return null;
  }

  accepted(): void {}

  firstToken(): void {}

  ended(run: Run): void {
    const queue = this.queues.get(run.tab);
    if (queue !== undefined) this.#next(queue);
  }

  tick(): void {}

  #next(queue: Queue): void {
    if (queue.tab.run !== null) return;
    const request = queue.requests.shift();
    if (request !== undefined) this.world.start(request, queue.tab);
  }
}

export class RandomScheduler extends QueueingScheduler {
  readonly name = 'random';
  readonly #random: () => number;

  constructor(world: World, random: () => number) {
    super(world);
    this.#random = random;
  }

  protected pick(): Queue {
    return at([...this.queues.values()], Math.floor(this.#random() * this.queues.size));
  }
}

export class RoundRobinScheduler extends QueueingScheduler {
  readonly name = 'round robin';
  #turn = 0;

  protected pick(): Queue {
    return at([...this.queues.values()], this.#turn++ % this.queues.size);
  }
}

/** Fewest requests in hand; among equals, at random. */
export class LeastLoadedScheduler extends QueueingScheduler {
  readonly name = 'least loaded';
  readonly #random: () => number;

  constructor(world: World, random: () => number) {
    super(world);
    this.#random = random;
  }

  protected pick(): Queue {
    let least = Number.POSITIVE_INFINITY;
    let equals: Queue[] = [];
    for (const queue of this.queues.values()) {
      const load = queue.requests.length + (queue.tab.run === null ? 0 : 1);
      if (load < least) {
        least = load;
        equals = [];
      }
      if (load === least) equals.push(queue);
    }
    return at(equals, Math.floor(this.#random() * equals.length));
  }
}

/**
 * Knows what no router can: true speeds, the length of every answer, when tabs will be hidden, and when they will leave. Takes the tab that is best by what it
 * minds, and never one that will leave before the end. Greedy: it does not know who will come next, so it is no bound, but a mark.
 */
export class AllKnowingScheduler extends QueueingScheduler {
  readonly name: string;
  readonly #weigh: (waitMs: number, readMs: number, writeMs: number) => number;

  /** `weigh`: what it minds of a request's times, ms. */
  constructor(world: World, name: string, weigh: (waitMs: number, readMs: number, writeMs: number) => number) {
    super(world);
    this.name = name;
    this.#weigh = weigh;
  }

  protected pick(request: Request): Queue {
    const { now } = this.world.clock;
    let best: { readonly queue: Queue; readonly endAt: number; readonly score: number } | null = null;
    let last: { readonly queue: Queue; readonly leavesAt: number } | null = null;
    for (const queue of this.queues.values()) {
      const { device } = queue.tab;
      if (last === null || device.leavesAt > last.leavesAt) last = { queue, leavesAt: device.leavesAt };
      const startAt = Math.max(now, queue.freeAt);
      if (startAt >= device.leavesAt || (best !== null && this.#weigh(startAt - now, 0, 0) >= best.score)) continue;
      const { firstTokenAt, endAt } = device.course(startAt, request);
      const score = this.#weigh(startAt - now, firstTokenAt - startAt, endAt - firstTokenAt);
      if (endAt < device.leavesAt && (best === null || score < best.score)) best = { queue, endAt, score };
    }
    const chosen = best ?? { queue: last?.queue ?? at([...this.queues.values()], 0), endAt: now };
    chosen.queue.freeAt = chosen.endAt;
    return chosen.queue;
  }
}

function at(queues: readonly Queue[], index: number): Queue {
  const queue = queues[index];
  if (queue === undefined) throw new RangeError('nobody is there');
  return queue;
}
