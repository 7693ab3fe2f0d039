import { describe, expect, it } from 'vitest';
import { TRUST_POLICY } from '../../router-worker/record/policy.ts';
import { Demand, parseTrace, USUAL_LEVELS } from './demand.ts';
import { EventHeap } from './event-heap.ts';
import { tabsOfKinds } from './hostile-shares.ts';
import { seededRandom } from './seeded-random.ts';
import { ATTACKS, type Kind } from './tab-kinds.ts';
import { trustChart } from './trust-chart.ts';
import { TRUST_DEFAULTS, type TrustOptions } from './trust-options.ts';
import { TrustSimulation } from './trust-simulation.ts';
import { summarize, type TrustSummary, tableOf } from './trust-summary.ts';

function outcomeOf(tabs: TrustOptions['tabs'], changed: Partial<TrustOptions> = {}) {
  const options = { ...TRUST_DEFAULTS, days: 1, tabs, ...changed };
  const outcome = new TrustSimulation(options).run();
  return { outcome, summary: summarize(outcome, options.days) };
}

const of = (summary: TrustSummary, kind: Kind) => summary.kinds.find((one) => one.kind === kind)!;

describe('the simulation of trust', () => {
  it('finds that nothing pays but honesty, at the price that was asked', () => {
    const { summary } = outcomeOf(tabsOfKinds(200, 0.2, 0.01));
    expect(summary.goals).toEqual({ demandOverhead: true, noAttackPays: true, honestLoss: true });
    expect(summary.tasks).toBeGreaterThan(50_000);
    for (const kind of ['cheat', 'whitewasher', 'sleeper', 'contrarian', 'broken'] as const) {
      expect(of(summary, kind).quarantines).toBeGreaterThan(0);
    }
    expect(of(summary, 'honest')).toMatchObject({ badTotal: 0, falseRejects: 0, quarantines: 0 });
  });

  it('would find that coming back under a new key pays, were identities free', () => {
    const tabs = { honest: 90, whitewasher: 10 };
    // Never an idle tab: only the record decides about checks.
    const always = { days: 0.5, load: 1.2, swing: 0, qualifyingShare: 0.5 };
    const free = { ...TRUST_POLICY, qualifyingPasses: 1, ratePasses: 0 };
    expect(of(outcomeOf(tabs, always).summary, 'whitewasher').perCompute).toBeLessThan(1);
    const cheap = outcomeOf(tabs, { ...always, policy: free, depositTasks: 0 }).summary;
    expect(of(cheap, 'whitewasher').perCompute).toBeGreaterThan(1);
    expect(cheap.goals.noAttackPays).toBe(false);
  });

  it('would find that leaving with a bang pays, were no deposit held', () => {
    // Long records, so that the rate is at its floor, and never an idle tab.
    const run = {
      days: 3,
      load: 1.2,
      swing: 0,
      turnover: 0,
      qualifyingShare: 0.5,
      policy: { ...TRUST_POLICY, ratePasses: 0 },
    };
    const tabs = { honest: 20, leaver: 40 };
    expect(of(outcomeOf(tabs, run).summary, 'leaver').perCompute).toBeLessThan(1);
    expect(of(outcomeOf(tabs, { ...run, depositTasks: 0 }).summary, 'leaver').perCompute).toBeGreaterThan(1);
  });

  it('is the same again from the same seed, and another from another', () => {
    const tabs = tabsOfKinds(60, 0.3, 0.05);
    const first = outcomeOf(tabs, { seed: 7, days: 0.3 });
    expect(outcomeOf(tabs, { seed: 7, days: 0.3 })).toEqual(first);
    expect(outcomeOf(tabs, { seed: 8, days: 0.3 }).summary.tasks).not.toBe(first.summary.tasks);
  });

  it('serves the first prompts of a network in which everybody is new', () => {
    const { summary } = outcomeOf({ honest: 3 }, { days: 0.2, load: 0.3, swing: 0 });
    expect(summary.tasks).toBeGreaterThan(20);
    expect(summary.goals.honestLoss).toBe(true);
    const { summary: alone } = outcomeOf({ honest: 1 }, { days: 0.1, load: 0.3, swing: 0 });
    expect(alone.tasks).toBeGreaterThan(0);
    expect(alone.unchecked).toBeGreaterThan(0); // Nobody is there to check: said so, and served.
  });

  it('lets two tabs that contradict each other go on, both under suspicion: one of two lies, and nobody can say which', () => {
    const { summary, outcome } = outcomeOf({ honest: 1, contrarian: 1 }, { days: 0.2, load: 0.3, swing: 0 });
    expect(outcome.disputed).toBeGreaterThan(0);
    expect(of(summary, 'honest')).toMatchObject({ quarantines: 0, falseRejects: 0 });
  });

  it('finds that strangers who agree on a lie outvote honest tabs, and refute none of them', () => {
    const runs = [1, 2, 3].map((seed) =>
      of(outcomeOf({ honest: 24, strangers: 12 }, { days: 0.3, seed }).summary, 'honest'),
    );
    expect(runs.some(({ falseRejects }) => falseRejects > 0)).toBe(true);
    expect(runs.map(({ quarantines }) => quarantines)).toEqual([0, 0, 0]);
  });

  it('finds that a liar and a single friend seldom outvote the first honest checkers that they meet', () => {
    const tabs = { honest: 20, 'trio-apart': 6 };
    const runs = [1, 2, 3, 4, 5, 6, 7, 8].map((seed) => of(outcomeOf(tabs, { seed }).summary, 'honest').falseRejects);
    // Three with these seeds; twelve where a lead of one decides.
    expect(runs.reduce((sum, refuted) => sum + refuted, 0)).toBeLessThan(6);
  });

  it.each([1, 2, 3])('lets a young network come to trust its tabs within the first day (seed %i)', (seed) => {
    const { summary } = outcomeOf({ honest: 150 }, { seed });
    expect(summary.overheadByDay[0]).toBeLessThan(0.35);
    expect(summary.goals.demandOverhead).toBe(true);
  });

  it('draws a picture with every kind, that says the same in words', () => {
    const { outcome, summary } = outcomeOf(tabsOfKinds(100, 0.3, 0.05), { days: 0.3 });
    const svg = trustChart(summary, outcome, 'a <caption> & more');
    for (const kind of ATTACKS) expect(svg).toContain(`>${kind}<`);
    expect(svg).toContain('a &lt;caption> &amp; more');
    expect(svg).toMatch(/<title id="title">.+<\/title>\n<desc id="desc">Earnings relative to honest tabs: .+<\/desc>/);
    expect(svg).not.toMatch(/NaN|undefined|Infinity/);
    expect(tableOf(summary)).not.toMatch(/NaN|undefined|Infinity/);
  });
});

describe('its parts', () => {
  it('spread hostile tabs over the attacks in whole groups', () => {
    expect(tabsOfKinds(5000, 0.1, 0.01)).toMatchObject({ cheat: 22, 'pair-apart': 44, 'trio-apart': 63, broken: 45 });
    expect(tabsOfKinds(20, 0.1, 0, ['pair-apart'])).toEqual({ honest: 18, broken: 0, 'pair-apart': 2 });
    expect(tabsOfKinds(20, 0.1, 0, ['trio-apart'])).toEqual({ honest: 20, broken: 0 });
  });

  it('take events in the order of their time', () => {
    const random = seededRandom(3);
    const heap = new EventHeap(500);
    const at = Array.from({ length: 500 }, () => random());
    for (const [who, instant] of at.entries()) heap.push(instant, who);
    expect(() => heap.push(1, 0)).toThrow(RangeError);
    const order = at.map((_, who) => who).sort((a, b) => at[a]! - at[b]!);
    expect(at.map(() => heap.pop())).toEqual(order);
    expect([heap.pop(), heap.nextAt]).toEqual([null, Number.POSITIVE_INFINITY]);
  });

  it('read a recorded trace, and follow its sizes and gaps', () => {
    const trace = parseTrace(
      'TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.0000000,300,44\n2023-11-16 18:15:47.0000000,96,4\n2023-11-16 18:15:50.0000000,10,2\n',
    );
    expect(trace).toEqual({ tokens: [344, 100, 12], answerTokens: [44, 4, 2], gaps: [1, 0.5, 1.5] });
    expect(() => parseTrace('no requests\n')).toThrow(RangeError);
    const demand = new Demand({ tokensPerMs: 1, swing: 0, trace, levels: USUAL_LEVELS, random: seededRandom(1) });
    expect([demand.nextGapMs(0), demand.next().tokens, demand.nextGapMs(0), demand.next().tokens]).toEqual([
      152, 344, 76, 100,
    ]);
  });
});
