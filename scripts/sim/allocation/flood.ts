import { seededRandom } from '../seeded-random.ts';
import { capacityOf, meanOf } from './compare.ts';
import { population } from './devices.ts';
import { type Recorded, type Request, requestsOf } from './requests.ts';
import { RouterScheduler } from './router-scheduler.ts';
import { VirtualClock } from './virtual-clock.ts';
import { World } from './world.ts';

export interface Flooded {
  readonly accounts: number;
  readonly clients: number;
  /** Demand over what the tabs can do. */
  readonly load: number;
  /** What the account that got least, and the one that got most, of those that do not flood, got of its fair share. */
  readonly least: number;
  readonly most: number;
  /** The same of the one that floods. */
  readonly flooder: number;
}

const ACCOUNTS = 50;
const CLIENTS = 500;
const TABS = 100;
const SPAN_MS = 30 * 60 * 1000;
/** The line fills in the first minutes. */
const FROM_MS = 10 * 60 * 1000;
/** Of a fair share: what each account asks that does not flood, and the one that does. All of them ask more than they can get. */
const ASKED = { usual: 1.3, flood: 20 };

/**
 * Fifty accounts of ten clients, one of which floods, while all of them ask for more than there is: each is to get a fiftieth of the work that is done. Work is
 * tokens read and written, weighed as the router does.
 */
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
      return at < ASKED.flood ? 'flooder' : `account${Math.floor((at - ASKED.flood) / ASKED.usual)}`;
    },
  });
  const clock = new VirtualClock();
  const world = new World(clock, requests.length);
  const scheduler = new RouterScheduler(world, seededRandom(seed + 2));
  world.play(population(tabs, spanMs, seededRandom(seed)), requests, scheduler, spanMs);
  const got = new Map<string, number>();
  for (const { request, startMs } of world.served.values()) {
    const at = request.at + startMs;
    if (startMs < 0 || at < FROM_MS * (spanMs / SPAN_MS)) continue;
    got.set(request.account, (got.get(request.account) ?? 0) + workOf(request, mean));
  }
  const fair = [...got.values()].reduce((sum, work) => sum + work, 0) / accounts;
  const others = [...got].filter(([account]) => account !== 'flooder').map(([, work]) => work / fair);
  return {
    accounts,
    clients: CLIENTS,
    load,
    least: others.length < accounts - 1 ? 0 : Math.min(...others),
    most: Math.max(...others),
    flooder: (got.get('flooder') ?? 0) / fair,
  };
}

/** The router knows no answer's length before it is written: what an account is charged is its prompt and a mean answer. */
function workOf(
  { promptTokens }: Request,
  mean: { readonly promptTokens: number; readonly outputTokens: number },
): number {
  return promptTokens / (READ_TIMES * mean.outputTokens) + 1;
}

/** Tokens that a typical tab reads while it writes one. */
const READ_TIMES = 8;
