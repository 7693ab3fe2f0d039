import { Allocator, type Leased, type Seat } from '../../../router-worker/allocation/allocator.ts';
import type { Asked } from '../../../router-worker/allocation/asked.ts';
import { seededRandom } from '../seeded-random.ts';

/** What the allocator's decisions take on this machine, microseconds of its processors on the mean: others may be at work on it. */
export interface DecisionCost {
  readonly tabs: number;
  /** A request that finds a free tab. */
  readonly leaseUs: number;
  /** One that finds all busy, and is told for which of them it waits. */
  readonly planUs: number;
  /** A tab that becomes free, until the next answer is leased to it. */
  readonly releaseUs: number;
}

const DECISIONS = 200;
const CLASS = 'cls';
const ASKED: Omit<Asked, 'account'> = {
  model: 'model',
  classes: [CLASS],
  only: null,
  allow: null,
  block: [],
  prefer: null,
  size: { promptBytes: 4_000, maxTokens: 512 },
  sla: 'standard',
  conversation: null,
};

/** Times decisions of a pool of so many tabs, all of which were measured before: at least as many as are decided on. */
export function decisionCost(tabs: number, seed: number): DecisionCost {
  const random = seededRandom(seed);
  let at = 0;
  const allocator = new Allocator<number>(() => at, random);
  const names = Array.from({ length: tabs }, (_, i) => `tab${i}`);
  const leased = new Map<string, number>();
  let numbers = 0;
  const seats = (): Seat[] =>
    names.map((tab) => ({ tab, class: CLASS, load: leased.has(tab) ? 1 : 0, rank: 0, isResting: false }));
  const begin = (choice: Leased, asked: Asked) => {
    leased.set(choice.tab, ++numbers);
    allocator.began(numbers, { ...choice, asked, mayHedge: true });
  };
  const end = (tab: string) => {
    const number = leased.get(tab);
    if (number === undefined) return;
    allocator.accepted(number, 1_000);
    at += 1_000 + 5_000 * random();
    allocator.firstToken(number);
    at += 1_000 + 5_000 * random();
    allocator.finished(number, 200, 800);
    leased.delete(tab);
  };
  const asked = { ...ASKED, account: 'measuring' };
  for (const tab of names) {
    const choice = allocator.choose([{ tab, class: CLASS, load: 0, rank: 0, isResting: false }], asked);
    if (choice.do === 'lease') begin(choice, asked);
    end(tab);
  }
  const serve = () => {
    for (const step of allocator.steps(seats)) if (step.do === 'lease') begin(step.choice, askedBy(step.request));
  };
  const ask = (request: number) => {
    allocator.join(request, askedBy(request));
    serve();
  };
  const leaseUs = meanUs((i) => ask(i));
  for (const tab of names) {
    if (leased.has(tab)) continue;
    const choice = allocator.choose([{ tab, class: CLASS, load: 0, rank: 0, isResting: false }], asked);
    if (choice.do === 'lease') begin(choice, asked);
  }
  const planUs = meanUs((i) => ask(DECISIONS + i));
  const releaseUs = meanUs((i) => {
    end(names[i] ?? '');
    serve();
  });
  return { tabs, leaseUs, planUs, releaseUs };
}

const ACCOUNTS = 50;

function askedBy(request: number): Asked {
  return { ...ASKED, account: `account${request % ACCOUNTS}` };
}

function meanUs(decide: (i: number) => void): number {
  const before = process.cpuUsage();
  for (let i = 0; i < DECISIONS; i++) decide(i);
  const { user, system } = process.cpuUsage(before);
  return Math.round((user + system) / DECISIONS);
}
