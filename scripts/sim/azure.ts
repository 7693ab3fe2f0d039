import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { rounded } from '../bench/figures.ts';
import { CommandError, readArguments } from '../command-line.ts';
import { ROOT } from '../paths.ts';
import { allocationChart } from './allocation/allocation-chart.ts';
import { SCHEDULERS, simulate } from './allocation/compare.ts';
import { decisionCost } from './allocation/decision-cost.ts';
import type { Figures } from './allocation/figures-of.ts';
import { type Flooded, simulateFlood } from './allocation/flood.ts';
import { parseRequests, type Recorded, syntheticRequests } from './allocation/requests.ts';
import { seededRandom } from './seeded-random.ts';

const USAGE = `npm run sim -- azure [options]

Chat requests as they were recorded, on a virtual clock, over tabs from slow CPUs to large GPUs that come, go and are hidden: the router's own allocator,
beside simple ones and one that knows everything. Exit status 0 only when at every load the 99th percentile of the wait for the first token is at most
1.15 times that of the all-knowing ones and half of least loaded, the median error of the estimate is at most 25 %, and a flood takes nobody else more than 10 % of what he asks.

  --trace FILE           a CSV of TIMESTAMP,ContextTokens,GeneratedTokens (the Azure LLM inference traces); without one, sizes of the same
                         distribution are drawn, and the output says so
  --tabs 1000            tabs at any time
  --requests 20000       requests at each load; a shorter trace is taken over and over
  --load 0.5             share of what the tabs can do (may be repeated); 0.5, 0.8 and 0.95
  --scheduler NAME       only this one (may be repeated): ${Object.keys(SCHEDULERS).join('; ')}
  --seed 1               the same seed gives the same run
  --chart FILE           where the picture goes; "none" for no picture`;

/** Where a trace lies beside a checkout, on some machines. */
const NEARBY_TRACE = join(ROOT, '..', 'shared', 'data', 'azure-llm-trace-2023-conv.csv');
const LOADS = ['0.5', '0.8', '0.95'];
const ACCOUNTS = 50;
/** Tabs of the pools whose decisions are timed. */
const DECIDING_POOLS = [1_000, 5_000];
/** The first requests find a network that knows none of its tabs. */
const WARM_UP = 0.2;
const GOALS = { overAllKnowing: 1.15, overLeastLoaded: 0.5, etaError: 0.25, floodOff: 0.1 };

export async function simulateAzure(): Promise<void> {
  const { values } = readArguments(USAGE, {
    trace: { type: 'string' },
    tabs: { type: 'string', default: '1000' },
    requests: { type: 'string', default: '20000' },
    load: { type: 'string', multiple: true, default: LOADS },
    scheduler: { type: 'string', multiple: true, default: Object.keys(SCHEDULERS) },
    seed: { type: 'string', default: '1' },
    chart: { type: 'string' },
  });
  const seed = numberOf('seed', values.seed, 0, 0xffff_ffff);
  const options = {
    seed,
    tabs: numberOf('tabs', values.tabs, 2, 5_000),
    requests: numberOf('requests', values.requests, 10, 1_000_000),
    accounts: ACCOUNTS,
    warmUp: WARM_UP,
  };
  const loads = values.load.map((load) => numberOf('load', load, 0.01, 2));
  for (const name of values.scheduler) {
    if (SCHEDULERS[name] === undefined) {
      throw new CommandError(`There is no scheduler '${name}'. There are: ${Object.keys(SCHEDULERS).join('; ')}.`);
    }
  }
  const { recorded, source } = await readRecorded(values.trace, options.requests, seed);
  console.log(`${source}; ${options.tabs} tabs, ${options.requests} requests at each load, seed ${seed}\n`);
  const rows: Figures[] = [];
  for (const load of loads) {
    console.log(HEADER);
    for (const name of values.scheduler) {
      const row = simulate(name, load, recorded, options);
      rows.push(row);
      console.log(lineOf(row));
    }
    console.log('');
  }
  const flood = simulateFlood(recorded, seed);
  console.log(
    `One of ${flood.accounts} accounts floods (${flood.clients} clients, ${rounded(flood.load, 2)} times what the tabs can do). Of the others each got at least ${rounded(100 * flood.least, 1)} % of what it asked, all together ${rounded(100 * flood.mean, 1)} %; the one that floods got ${rounded(100 * flood.flooder, 1)} %.\n`,
  );
  const decisions = DECIDING_POOLS.map((tabs) => decisionCost(tabs, seed));
  for (const { tabs, leaseUs, planUs, releaseUs } of decisions) {
    console.log(
      `A decision among ${tabs} tabs takes ${leaseUs} µs where one is free, ${planUs} µs where all are busy, ${releaseUs} µs when one becomes free.`,
    );
  }
  const goals = goalsOf(rows, flood);
  for (const [name, value] of Object.entries(goals))
    console.log(`${value.met ? 'met   ' : 'MISSED'}  ${name}: ${value.is}`);
  const chart = values.chart ?? join(ROOT, 'docs', 'charts', 'allocation.svg');
  if (chart !== 'none') {
    await mkdir(dirname(resolve(chart)), { recursive: true });
    await writeFile(
      chart,
      allocationChart(rows, `${options.tabs} tabs, ${options.requests} requests at each load, seed ${seed}`),
    );
    console.log(`picture: ${chart}`);
  }
  console.log(
    JSON.stringify({
      name: 'sim-azure',
      trace: source,
      ...options,
      rows: rows.map((row) => ({
        ...row,
        waitP50: Math.round(row.waitP50),
        waitP99: Math.round(row.waitP99),
        startP50: Math.round(row.startP50),
        startP99: Math.round(row.startP99),
        endP50: Math.round(row.endP50),
        endP99: Math.round(row.endP99),
        fairness: rounded(row.fairness, 4),
        etaError: row.etaError === null ? null : rounded(row.etaError, 3),
        seconds: rounded(row.seconds, 1),
      })),
      flood: {
        ...flood,
        least: rounded(flood.least, 3),
        mean: rounded(flood.mean, 3),
        flooder: rounded(flood.flooder, 3),
        waitMs: Math.round(flood.waitMs),
      },
      decisions,
      goals: Object.fromEntries(Object.entries(goals).map(([name, { met }]) => [name, met])),
    }),
  );
  process.exitCode = Object.values(goals).every(({ met }) => met) ? 0 : 1;
}

function numberOf(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= least && value <= most) return value;
  throw new CommandError(`--${name} wants a number from ${least} to ${most}, not '${text}'.`);
}

async function readRecorded(
  file: string | undefined,
  count: number,
  seed: number,
): Promise<{ readonly recorded: Recorded; readonly source: string }> {
  try {
    const recorded = parseRequests(await readFile(file ?? NEARBY_TRACE, 'utf8'));
    return { recorded, source: `recorded: ${recorded.sizes.length} requests` };
  } catch (cause) {
    if (file !== undefined) throw new CommandError(`${file}: ${cause instanceof Error ? cause.message : cause}`);
    return { recorded: syntheticRequests(count, seededRandom(seed + 4)), source: 'drawn: no trace was given' };
  }
}

const HEADER =
  'load  scheduler              wait p50    p99   start p50    p99     end p50    p99   fairness  estimate off  hedged   lost';

function lineOf(row: Figures): string {
  const seconds = (ms: number, width: number) => `${(ms / 1000).toFixed(1)} s`.padStart(width);
  return [
    String(row.load).padEnd(5),
    row.scheduler.padEnd(22),
    seconds(row.waitP50, 8),
    seconds(row.waitP99, 9),
    seconds(row.startP50, 8),
    seconds(row.startP99, 9),
    seconds(row.endP50, 8),
    seconds(row.endP99, 9),
    row.fairness.toFixed(3).padStart(9),
    (row.etaError === null ? '–' : `${(100 * row.etaError).toFixed(0)} %`).padStart(12),
    String(row.hedged).padStart(7),
    String(row.lost).padStart(6),
  ].join(' ');
}

interface Goal {
  readonly met: boolean;
  readonly is: string;
}

/** Each goal at the load at which it is furthest from being met. Those whose rivals were left out are not judged. */
function goalsOf(rows: readonly Figures[], flood: Flooded): Record<string, Goal> {
  const worst = (rival: (row: Figures) => boolean) =>
    Math.max(
      ...rows
        .filter(({ scheduler }) => scheduler === 'router')
        .flatMap((own) =>
          rows.filter((row) => rival(row) && row.load === own.load).map((row) => own.waitP99 / row.waitP99),
        ),
    );
  const overAll = worst(({ scheduler }) => scheduler === 'all-knowing');
  const overSameAim = worst(({ scheduler }) => scheduler === 'all-knowing, same aim');
  const overLeast = worst(({ scheduler }) => scheduler === 'least loaded');
  const eta = Math.max(...rows.flatMap(({ etaError }) => (etaError === null ? [] : [etaError])));
  const off = 1 - flood.least;
  return {
    overAllKnowing: {
      met: overAll <= GOALS.overAllKnowing,
      is: `p99 of the wait is ${overAll.toFixed(2)} times that of an all-knowing one that minds the end`,
    },
    overAllKnowingSameAim: {
      met: overSameAim <= GOALS.overAllKnowing,
      is: `p99 of the wait is ${overSameAim.toFixed(2)} times that of an all-knowing one with the same aim`,
    },
    overLeastLoaded: {
      met: overLeast <= GOALS.overLeastLoaded,
      is: `p99 of the wait is ${overLeast.toFixed(2)} times least loaded's`,
    },
    etaError: { met: eta <= GOALS.etaError, is: `the estimate is off by ${(100 * eta).toFixed(0)} % on the median` },
    flood: {
      met: off <= GOALS.floodOff,
      is: `a flood takes at most ${(100 * off).toFixed(1)} % of what another account asks`,
    },
  };
}
