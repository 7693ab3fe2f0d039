import { MOVES_A_LOOK } from '../../router-worker/pool/misplaced-tabs.ts';
import type { Outlook } from '../../router-worker/pool/outlook.ts';
import { placeRequest } from '../../router-worker/pool/place-request.ts';
import { poolsFor, socketLimit } from '../../router-worker/pool/pool-size.ts';
import { homeOf } from '../../router-worker/pool/rendezvous.ts';
import { ANYWHERE } from '../../shared/protocol/placement.ts';
import { rounded } from '../bench/figures.ts';
import { CommandError, readArguments } from '../command-line.ts';
import { EventHeap } from './event-heap.ts';
import { seededRandom } from './seeded-random.ts';

const USAGE = `npm run sim -- pools [options]

Tabs join a network until its one pool is too full, and the next, by the router's own hash, limits and moves; then requests are placed in the pools as the router does it, beside
one pool for all, the conversation's own pool alone, and the best of all pools. Every tab writes at the same speed; what a pool says of its wait is right when it says it.

  --tabs 5000          tabs at the end
  --joins 50           tabs that join in a second
  --busy 0.5           share of tabs that are at work, and cannot move, in any second
  --requests 200000    requests at each load
  --load 0.8           share of what the tabs can do (may be repeated); 0.8 and 0.95
  --seed 1             the same seed gives the same run`;

/** Mean time of an answer, s. */
const ANSWER_S = 10;
/** So old is what a pool said when the request arrives there, s: a call there and one back. All who look within it see the same. */
const VIEW_S = 0.02;
/** Requests of one conversation, on average. */
const TURNS = 5;

interface Growth {
  readonly pools: number;
  readonly seconds: number;
  readonly movesPerTab: number;
  readonly fullest: number;
  readonly refused: number;
  readonly secondsTooFull: number;
  readonly least: number;
  readonly most: number;
}

/** Tabs join, pools grow, tabs move: second by second. */
function grow(tabs: number, joins: number, busy: number, random: () => number): { growth: Growth; sizes: number[] } {
  const limit = socketLimit({});
  const placeOf: number[] = [];
  const keys: string[] = [];
  let [pools, moves, fullest, refused, tooFull, seconds] = [1, 0, 0, 0, 0, 0];
  let sizes = [0];
  const place = (tab: number, pool: number) => {
    placeOf[tab] = pool;
    sizes[pool] = (sizes[pool] ?? 0) + 1;
  };
  for (let isMoving = true; placeOf.length < tabs || isMoving; seconds++) {
    for (let joined = 0; joined < joins && placeOf.length < tabs; joined++) {
      const key = `tab ${random()}`;
      const home = homeOf(key, pools);
      if ((sizes[home] ?? 0) >= limit.most) {
        refused++;
        continue;
      }
      keys.push(key);
      place(placeOf.length, home);
    }
    fullest = Math.max(fullest, ...sizes);
    if (sizes.some((size) => size > limit.soft)) {
      tooFull++;
      pools = Math.max(pools, poolsFor(placeOf.length, limit.soft));
    }
    const left = Array<number>(pools).fill(MOVES_A_LOOK);
    isMoving = false;
    for (const [tab, key] of keys.entries()) {
      const [from = 0, home] = [placeOf[tab], homeOf(key, pools)];
      if (from === home) continue;
      isMoving = true;
      if ((left[from] ?? 0) <= 0 || random() < busy) continue;
      left[from] = (left[from] ?? 0) - 1;
      sizes[from] = (sizes[from] ?? 0) - 1;
      place(tab, home);
      moves++;
    }
    sizes = Array.from({ length: pools }, (_, pool) => sizes[pool] ?? 0);
  }
  const [least, most] = [Math.min(...sizes), Math.max(...sizes)];
  const movesPerTab = moves / tabs;
  return { growth: { pools, seconds, movesPerTab, fullest, refused, secondsTooFull: tooFull, least, most }, sizes };
}

type Chooser = (conversation: string, waits: readonly number[]) => number | Promise<number>;

/** Waits for a tab, s, and how many requests went to the pool of their conversation. */
async function run(
  sizes: readonly number[],
  options: { readonly requests: number; readonly load: number; readonly random: () => number },
  choose: Chooser,
): Promise<{ p50: number; p99: number; own: number }> {
  const { requests, load, random } = options;
  const pools = sizes.map((size) => {
    const free = new EventHeap(size);
    for (let tab = 0; tab < size; tab++) free.push(0, tab);
    return free;
  });
  const rate = (load * sizes.reduce((sum, size) => sum + size, 0)) / ANSWER_S;
  const waits: number[] = [];
  let [now, own, viewedAt] = [0, 0, Number.NEGATIVE_INFINITY];
  let view: number[] = [];
  for (let at = 0; at < requests; at++) {
    now -= Math.log(1 - random()) / rate;
    if (now - viewedAt > VIEW_S) {
      view = pools.map((pool) => Math.max(0, pool.nextAt - now));
      viewedAt = now;
    }
    const conversation = `conversation ${Math.floor((random() * requests) / TURNS)}`;
    const chosen = await choose(conversation, view);
    const pool = pools[chosen];
    if (pool === undefined) throw new Error('there is no such pool');
    const start = Math.max(now, pool.nextAt);
    const tab = pool.pop() ?? 0;
    pool.push(start - ANSWER_S * Math.log(1 - random()), tab);
    if (at > requests / 5) waits.push(start - now); // Before that the tabs are not at work yet.
    if (chosen === homeOf(conversation, pools.length)) own++;
  }
  waits.sort((a, b) => a - b);
  const quantile = (share: number) => rounded(waits[Math.floor(share * waits.length)] ?? 0, 3);
  return { p50: quantile(0.5), p99: quantile(0.99), own: rounded(own / requests, 3) };
}

/** The router's own choice. */
function routersChoice(random: () => number): Chooser {
  return async (conversation, waits) => {
    const look = async (pool: number): Promise<Outlook> => {
      const waitMs = 1_000 * (waits[pool] ?? 0);
      const able = { tabs: 1, free: waitMs === 0 ? 1 : 0, checkers: 0 };
      return { serving: [], able, ahead: 0, expectedWaitMs: waitMs };
    };
    const want = { ...ANYWHERE, conversation, classes: [], level: 'none', checks: 1, tokens: 1 } as const;
    const ports = { homesOf: async () => [], look, askPools: async () => waits.length, random };
    const [best] = await placeRequest(want, waits.length, ports);
    return best?.pool ?? 0;
  };
}

export async function simulatePools(): Promise<void> {
  const { values } = readArguments(USAGE, {
    tabs: { type: 'string', default: '5000' },
    joins: { type: 'string', default: '50' },
    busy: { type: 'string', default: '0.5' },
    requests: { type: 'string', default: '200000' },
    load: { type: 'string', multiple: true, default: ['0.8', '0.95'] },
    seed: { type: 'string', default: '1' },
  });
  const seed = numberOf('seed', values.seed, 0, 0xffff_ffff);
  const tabs = numberOf('tabs', values.tabs, 1, 30_000);
  const requests = numberOf('requests', values.requests, 100, 10_000_000);
  const joins = numberOf('joins', values.joins, 1, 10_000);
  const { growth, sizes } = grow(tabs, joins, numberOf('busy', values.busy, 0, 0.99), seededRandom(seed));
  console.log(
    `${tabs} tabs, ${joins} a second, seed ${seed}: ${growth.pools} pools of ${growth.least} to ${growth.most} tabs after ${growth.seconds} s. A tab moved ${rounded(growth.movesPerTab)} times;\n` +
      `the fullest pool had ${growth.fullest} for a moment, some pool was too full for ${growth.secondsTooFull} s, ${growth.refused} sockets were refused.\n`,
  );
  const waits = [];
  for (const load of values.load.map((text) => numberOf('load', text, 0.01, 0.999))) {
    const choosers: readonly (readonly [string, readonly number[], Chooser])[] = [
      ['one pool', [tabs], () => 0],
      ['own pool', sizes, (conversation) => homeOf(conversation, sizes.length)],
      ['two looked at', sizes, routersChoice(seededRandom(seed + 1))],
      ['best of all', sizes, (_, seen) => seen.indexOf(Math.min(...seen))],
    ];
    for (const [name, pools, choose] of choosers) {
      const figures = await run(pools, { requests, load, random: seededRandom(seed) }, choose);
      waits.push({ load, name, ...figures });
      console.log(
        `load ${load}  ${name.padEnd(14)} wait p50 ${figures.p50} s, p99 ${figures.p99} s; ${rounded(100 * figures.own, 1)} % in their conversation's pool`,
      );
    }
  }
  console.log(JSON.stringify({ name: 'sim-pools', seed, tabs, ...growth, waits }));
}

function numberOf(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= least && value <= most) return value;
  throw new CommandError(`--${name} wants a number from ${least} to ${most}, not '${text}'.`);
}
