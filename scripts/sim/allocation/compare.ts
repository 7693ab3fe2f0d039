import { seededRandom } from '../seeded-random.ts';
import { population } from './devices.ts';
import { type Figures, figuresOf } from './figures-of.ts';
import {
  AllKnowingScheduler,
  LeastLoadedScheduler,
  RandomScheduler,
  RoundRobinScheduler,
} from './queueing-schedulers.ts';
import { type Recorded, requestsOf } from './requests.ts';
import { RouterScheduler } from './router-scheduler.ts';
import { VirtualClock } from './virtual-clock.ts';
import { type Scheduler, World } from './world.ts';

export const SCHEDULERS: Readonly<Record<string, (world: World, random: () => number) => Scheduler>> = {
  router: (world, random) => new RouterScheduler(world, random),
  'all-knowing': (world) => new AllKnowingScheduler(world, 'all-knowing', (wait, read, write) => wait + read + write),
  // As the router weighs them.
  'all-knowing, same aim': (world) =>
    new AllKnowingScheduler(world, 'all-knowing, same aim', (wait, read, write) => 3 * wait + 3 * read + write),
  'least loaded': (world, random) => new LeastLoadedScheduler(world, random),
  random: (world, random) => new RandomScheduler(world, random),
  'round robin': (world) => new RoundRobinScheduler(world),
};

export interface CompareOptions {
  readonly seed: number;
  readonly tabs: number;
  readonly requests: number;
  readonly accounts: number;
  /** Share of the requests that count: those before find an empty network that knows nobody. */
  readonly warmUp: number;
}

/** One scheduler at one load, with the same tabs and the same requests as every other under this seed. */
export function simulate(name: string, load: number, recorded: Recorded, options: CompareOptions): Figures {
  const make = SCHEDULERS[name];
  if (make === undefined) throw new RangeError(`There is no scheduler '${name}'.`);
  const { seed, tabs, requests: count, accounts, warmUp } = options;
  const mean = meanOf(recorded);
  const startedAt = performance.now();
  const perSecond = load * capacityOf(tabs, mean, seed);
  const random = seededRandom(seed + 1);
  const requests = requestsOf(recorded, {
    count,
    perSecond,
    random,
    accountOf: (draw) => `account${Math.floor(draw() * accounts)}`,
  });
  const untilMs = 3 * (requests.at(-1)?.at ?? 0) + HOUR_MS;
  const devices = population(tabs, untilMs, seededRandom(seed));
  const clock = new VirtualClock();
  const world = new World(clock, requests.length);
  world.play(devices, requests, make(world, seededRandom(seed + 2)));
  const counted = [...world.served.values()].filter(({ request }) => request.id >= warmUp * count);
  return figuresOf(counted, {
    scheduler: name,
    load,
    hedged: world.hedges,
    lost: world.lostRuns,
    seconds: (performance.now() - startedAt) / 1000,
  });
}

const HOUR_MS = 60 * 60 * 1000;
/** Tabs that are drawn to know what a mean tab can do. */
const SAMPLED_TABS = 5_000;

/** Requests of this mean size that so many tabs serve in a second, on the mean over all tabs that there may be. */
export function capacityOf(
  tabs: number,
  mean: { readonly promptTokens: number; readonly outputTokens: number },
  seed: number,
): number {
  const sample = population(SAMPLED_TABS, 0, seededRandom(seed + 3));
  return (tabs * sample.reduce((sum, device) => sum + device.perSecond(mean), 0)) / sample.length;
}

export function meanOf({ sizes }: Recorded) {
  const sum = (value: (size: Recorded['sizes'][number]) => number) =>
    sizes.reduce((total, size) => total + value(size), 0) / sizes.length;
  return { promptTokens: sum(({ prompt }) => prompt), outputTokens: sum(({ output }) => output) };
}
