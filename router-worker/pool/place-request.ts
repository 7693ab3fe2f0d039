import type { Level } from '../../shared/protocol/level.ts';
import type { Placement } from '../../shared/protocol/placement.ts';
import type { Outlook } from './outlook.ts';
import { homeOf } from './rendezvous.ts';

/** What says which pool should have a request. */
export interface PlaceWant extends Placement {
  /** A keyed digest; null: the request belongs to no conversation. */
  readonly conversation: string | null;
  readonly classes: readonly string[];
  readonly level: Level;
  /** Agreeing checks that are asked for. */
  readonly checks: number;
  /** The most that it may write. */
  readonly tokens: number;
}

/** The pools as whoever places a request sees them. */
export interface PlacePorts {
  /** Where a tab may be, by its name: where it belongs first. */
  readonly homesOf: (tab: string, pools: number) => Promise<readonly number[]>;
  /** What a pool could do for it; null when it does not say in time. */
  readonly look: (pool: number) => Promise<Outlook | null>;
  /** How many pools there are, asked anew. */
  readonly askPools: () => Promise<number>;
  readonly random: () => number;
}

/** A pool that could serve a request, and how many tabs are free there. */
export interface Place {
  readonly pool: number;
  readonly free: number;
}

/**
 * The pools that could serve a request, the best first; where none can, the one that will say so. With one pool nobody is asked. Of several two are looked at: the
 * conversation's own, or one by chance, and another one by chance; the one that expects to have a tab free sooner is taken (the power of two choices: Mitzenmacher, "The power of two
 * choices in randomized load balancing", IEEE TPDS 12(10), 2001). All others are looked at when these two have no tab for it, or too few tabs to check the answer.
 */
export async function placeRequest(want: PlaceWant, pools: number, ports: PlacePorts): Promise<readonly Place[]> {
  if (pools === 1) return [{ pool: 0, free: 0 }];
  const [first, second, ...others] = await inTurn(want, pools, ports);
  if (first === undefined) return [{ pool: 0, free: 0 }];
  const seen = await looksAt(second === undefined ? [first] : [first, second], want, ports);
  if (!seen.some(({ canCheck }) => canCheck)) seen.push(...(await looksAt(others, want, ports)));
  if (seen.length === 0) {
    const now = await ports.askPools();
    const added = Array.from({ length: Math.max(0, now - pools) }, (_, at) => pools + at);
    seen.push(...(await looksAt(added, want, ports)));
  }
  if (seen.length === 0) return [{ pool: first, free: 0 }];
  return seen
    .toSorted((a, b) => Number(b.canCheck) - Number(a.canCheck) || a.waitMs - b.waitMs || a.ahead - b.ahead)
    .map(({ pool, free }) => ({ pool, free }));
}

interface Look extends Place {
  readonly canCheck: boolean;
  readonly waitMs: number;
  readonly ahead: number;
}

/** Those of these pools that have a tab for it, in their order. */
async function looksAt(pools: readonly number[], want: PlaceWant, ports: PlacePorts): Promise<Look[]> {
  const outlooks = await Promise.all(pools.map((pool) => ports.look(pool)));
  return pools.flatMap((pool, at) => {
    const outlook = outlooks[at];
    if (outlook == null || outlook.able.tabs === 0) return [];
    const { able, ahead, expectedWaitMs } = outlook;
    return [
      {
        pool,
        free: able.free,
        // Whoever answers cannot check. At level basic few answers are.
        canCheck: !isChecked(want.level) || able.tabs + able.checkers > want.checks,
        waitMs: expectedWaitMs ?? (able.free > 0 ? 0 : Number.MAX_SAFE_INTEGER),
        ahead,
      },
    ];
  });
}

function isChecked(level: Level): boolean {
  return level === 'cross' || level === 'strict';
}

/** All pools in the order in which they are looked at. Where only some tabs may serve, those where they are go first. */
async function inTurn(want: PlaceWant, pools: number, { homesOf, random }: PlacePorts): Promise<number[]> {
  const all = Array.from({ length: pools }, (_, pool) => pool);
  const homes = new Set((await Promise.all((want.allow ?? []).map((tab) => homesOf(tab, pools)))).flat());
  const own = want.conversation === null ? null : homeOf(want.conversation, pools);
  const rankOf = (pool: number) => (want.allow !== null && !homes.has(pool) ? 2 : pool === own ? 0 : 1);
  return shuffled(all, random).toSorted((a, b) => rankOf(a) - rankOf(b));
}

function shuffled(pools: readonly number[], random: () => number): number[] {
  return pools
    .map((pool) => ({ pool, at: random() }))
    .toSorted((a, b) => a.at - b.at)
    .map(({ pool }) => pool);
}
