import { ENOUGH_FREE, nameCandidates } from '../../router-worker/pool/name-candidates.ts';
import { independenceOf } from '../../router-worker/pool/tab.ts';
import { mayServe } from '../../router-worker/record/record.ts';
import { inDrawOrder } from '../../shared/checking/draw.ts';
import { MAX_CANDIDATES, MAX_DRAWS } from '../../shared/limits.ts';
import type { Population } from './population.ts';
import type { Seat, SimTab } from './sim-tab.ts';

/**
 * Tabs that are looked at where there are many: twice as many as are ever drawn. The router names 32, and draws six of them at most; the rest would only
 * matter where most of these sat behind the network of the tab that answered.
 */
const SHORT_LIST = 2 * MAX_DRAWS;
const MANY = 2 * MAX_CANDIDATES;

/**
 * Who checks an answer, in the order of the draw, by the router's own rules for who is named and who comes first. A tab's place among equals is a random
 * number: SHA-256 of a secret is one too, and slower.
 */
export function drawCheckers(population: Population, answered: SimTab, random: () => number): Seat[] {
  const fitness = {
    isResting: (tab: SimTab) => population.isResting(tab),
    isFree: (tab: SimTab) => tab.job === null,
    isTrusted: (tab: SimTab) => tab.identity.standing === 'trusted',
  };
  const placed = nameCandidates(ableTabs(population, answered, random), fitness, random).map((tab) => ({
    candidate: {
      tab: tab.identity.record.tab,
      independence: independenceOf(answered, tab),
      seat: { tab, identity: tab.identity },
    },
    place: random(),
  }));
  return inDrawOrder(placed).map(({ seat }) => seat);
}

/**
 * All that may check, or so few of them that the rule still names each as likely as it would of all: looking at thousands for every check takes too long.
 */
function ableTabs(population: Population, answered: SimTab, random: () => number): SimTab[] {
  const { trusted } = population.free;
  const others = (tabs: readonly SimTab[]) => tabs.filter((tab) => tab !== answered && !population.isResting(tab));
  if (trusted.length > MANY) {
    const able = others(someOf([trusted], random));
    if (able.length >= MAX_DRAWS) return able;
  } else if (trusted.length >= ENOUGH_FREE) {
    const able = others(trusted);
    if (able.length >= ENOUGH_FREE) return able;
  } else if (population.freeToServe > MANY) {
    // Fewer trusted ones than the rule asks for: all free ones are alike.
    const able = others(someOf(population.freeLists, random));
    if (able.length >= MAX_DRAWS) return able;
  } else if (population.freeToServe >= ENOUGH_FREE) {
    const able = others(population.freeLists.flat());
    if (able.length >= ENOUGH_FREE) return able;
  } else if (population.trusted > population.tabs.length / 4) {
    // Hardly anybody is free: the rule names trusted ones, at work or not.
    const able = others(someTrusted(population, random));
    if (able.length >= MAX_DRAWS) return able;
  }
  return population.tabs.filter((tab) => tab !== answered && mayServe(tab.identity.standing));
}

/** So many trusted tabs, each as likely as another. At least a quarter of all must be. */
function someTrusted({ tabs }: Population, random: () => number): SimTab[] {
  const drawn = new Set<SimTab>();
  for (let tries = 0; drawn.size < SHORT_LIST && tries < 16 * SHORT_LIST; tries++) {
    const tab = tabs[Math.floor(random() * tabs.length)];
    if (tab?.identity.standing === 'trusted') drawn.add(tab);
  }
  return [...drawn];
}

/** So many of the tabs in these lists, more than {@link MANY} in all, each as likely as another. */
function someOf(lists: readonly (readonly SimTab[])[], random: () => number): SimTab[] {
  const count = lists.reduce((sum, list) => sum + list.length, 0);
  const drawn = new Set<SimTab>();
  while (drawn.size < SHORT_LIST) {
    let at = Math.floor(random() * count);
    for (const list of lists) {
      const tab = list[at];
      if (tab !== undefined) {
        drawn.add(tab);
        break;
      }
      at -= list.length;
    }
  }
  return [...drawn];
}
