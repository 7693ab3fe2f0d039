import { MAX_WAITING_REQUESTS } from '../../../shared/limits.ts';
import { seededRandom } from '../seeded-random.ts';
import { capacityOf, meanOf } from './compare.ts';
import { population } from './devices.ts';
import { type Recorded, requestsOf } from './requests.ts';
import { RouterScheduler } from './router-scheduler.ts';
import { VirtualClock } from './virtual-clock.ts';
import { World } from './world.ts';

export interface Flooded {
  readonly accounts: number;
  readonly clients: number;
  /** Demand over what the tabs can do. */
  readonly load: number;
  /** Share of its requests that the least served of the accounts got answered that do not flood, and that all of them got. */
  readonly least: number;
  readonly mean: number;
  /** The same of the one that floods. */
  readonly flooder: number;
  /** Median of the wait of those that do not flood until a tab began, ms. */
  readonly waitMs: number;
}

const ACCOUNTS = 50;
const TABS = 100;
const SPAN_MS = 20 * 60 * 1000;
/** The line fills in the first minutes. */
const FROM_MS = 4 * 60 * 1000;
/** Of a fair share: what each account asks that does not flood, and the one that does. What the first ask is theirs: together it is less than there is. */
const ASKED = { usual: 0.8, flood: 20 };

/** Fifty accounts of ten clients. All but one ask for less than their share; that one asks for twenty times its own, and is to be the only one refused. */
export function simulateFlood(
  recorded: Recorded,
  seed: number,
  accounts = ACCOUNTS,
  tabs = TABS,
  spanMs = SPAN_MS,
): Flooded {
  const mean = meanOf(recorded);
  const shares = (accounts - 1) * ASKED.usual + ASKED.flood;
  const load = shares / accounts;
  const perSecond = load * capacityOf(tabs, mean, seed);
  const random = seededRandom(seed + 1);
  const requests = requestsOf(recorded, {
    count: Math.ceil((perSecond * spanMs) / 1000),
    perSecond,
    random,
    accountOf: (draw) => {
      const at = draw() * shares;
      return at < ASKED.flood ? FLOODER : `account${Math.floor((at - ASKED.flood) / ASKED.usual)}`;
    },
  });
  const clock = new VirtualClock();
  const world = new World(clock, requests.length);
  const scheduler = new RouterScheduler(world, seededRandom(seed + 2), Math.max(MAX_WAITING_REQUESTS, tabs));
  world.play(population(tabs, spanMs, seededRandom(seed)), requests, scheduler, spanMs);
  const counts = new Map<string, { asked: number; served: number }>();
  const waits: number[] = [];
  for (const { request, startMs } of world.served.values()) {
    // Those at the end may wait still.
    if (request.at < (FROM_MS * spanMs) / SPAN_MS || request.at > spanMs - LAST_WAIT_MS) continue;
    const count = counts.get(request.account) ?? { asked: 0, served: 0 };
    count.asked++;
    if (startMs >= 0) count.served++;
    counts.set(request.account, count);
    if (startMs >= 0 && request.account !== FLOODER) waits.push(startMs);
  }
  const shareOf = ({ asked, served }: { readonly asked: number; readonly served: number }) =>
    served / Math.max(1, asked);
  const others = [...counts].filter(([account]) => account !== FLOODER).map(([, count]) => count);
  return {
    accounts,
    clients: accounts * CLIENTS_AN_ACCOUNT,
    load,
    least: Math.min(...others.map(shareOf)),
    mean: others.reduce((sum, count) => sum + shareOf(count), 0) / others.length,
    flooder: shareOf(counts.get(FLOODER) ?? { asked: 1, served: 0 }),
    waitMs: waits.sort((x, y) => x - y)[Math.floor(waits.length / 2)] ?? 0,
  };
}

const FLOODER = 'flooder';
const CLIENTS_AN_ACCOUNT = 10;
const LAST_WAIT_MS = 60_000;
