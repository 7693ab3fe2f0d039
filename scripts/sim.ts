import './require-node.ts';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { TRUST_POLICY, type TrustPolicy } from '../router-worker/record/policy.ts';
import { rounded } from './bench/figures.ts';
import { CommandError, readArguments, runCommand } from './command-line.ts';
import { ROOT } from './paths.ts';
import { BASIC_ONLY, parseTrace, type Trace, USUAL_LEVELS } from './sim/demand.ts';
import { tabsOfKinds } from './sim/hostile-shares.ts';
import { runMoney } from './sim/run-money.ts';
import { ALL_KINDS, ATTACKS, KINDS, type Kind } from './sim/tab-kinds.ts';
import { trustChart } from './sim/trust-chart.ts';
import { TRUST_DEFAULTS } from './sim/trust-options.ts';
import { TrustSimulation } from './sim/trust-simulation.ts';
import { goalsOf, summarize, tableOf } from './sim/trust-summary.ts';

if (process.argv[2] === 'azure') {
  const { simulateAzure } = await import('./sim/azure.ts');
  await runCommand(simulateAzure);
  process.exit();
}

if (process.argv[2] === 'pools') {
  const { simulatePools } = await import('./sim/pools.ts');
  await runCommand(simulatePools);
  process.exit();
}

const USAGE = `npm run sim -- trust [options]
npm run sim -- azure --help
npm run sim -- pools --help

Thousands of tabs, some of them hostile, under a day's load, with the router's own rules for records, checks and network tasks. Prints what each
kind did and earned. Exit status 0 only when checking costs at most 5 % while tabs are short, no attack earns more than honesty, and honest tabs
lose at most 0.1 % of their pay.

  --tabs 1000            tabs in all
  --hostile 0.1          share of hostile tabs, spread over the attacks
  --attack NAME          only this attack (may be repeated)
  --broken 0.01          share of the honest tabs whose device computes wrong
  --seed 1  --days 2     the same seed gives the same run
  --load 0.55            demand over capacity, on the mean of a day
  --swing 0.65           how far it swings around that mean, 0 … 1
  --turnover 0.05        share of honest tabs that newcomers replace in a day
  --basic-only           nobody asks for a check: every prompt is of level basic
  --deposit 80           mean tasks whose pay is held back from every tab
  --qualifying-share 0   share of a new tab's chances to serve that it spends on a question of the network while users wait (the router: none)
  --trace FILE           sizes and gaps from a CSV of TIMESTAMP,ContextTokens,GeneratedTokens
  --set NAME=VALUE       another value of the policy, as in rateFloor=0.1 (may be repeated)
  --chart FILE           where the picture goes; "none" for no picture

npm run sim -- money [--seed 1] [--steps 100000]

The router's own ledger and the money of its sessions, while calls are lost, doubled and delayed and objects die at every await. Ends with an error at the first
sum that is not 0, balance below zero, or transfer that is written twice.

Kinds of tabs:
${ALL_KINDS.map((kind) => `  ${kind.padEnd(15)} ${KINDS[kind]}`).join('\n')}`;

const { values, positionals } = readArguments(USAGE, {
  tabs: { type: 'string', default: '1000' },
  hostile: { type: 'string', default: '0.1' },
  attack: { type: 'string', multiple: true, default: [] },
  broken: { type: 'string', default: '0.01' },
  seed: { type: 'string', default: String(TRUST_DEFAULTS.seed) },
  days: { type: 'string', default: String(TRUST_DEFAULTS.days) },
  load: { type: 'string', default: String(TRUST_DEFAULTS.load) },
  swing: { type: 'string', default: String(TRUST_DEFAULTS.swing) },
  turnover: { type: 'string', default: String(TRUST_DEFAULTS.turnover) },
  'basic-only': { type: 'boolean', default: false },
  deposit: { type: 'string', default: String(TRUST_DEFAULTS.depositTasks) },
  'qualifying-share': { type: 'string', default: String(TRUST_DEFAULTS.qualifyingShare) },
  trace: { type: 'string' },
  set: { type: 'string', multiple: true, default: [] },
  chart: { type: 'string' },
  steps: { type: 'string', default: '100000' },
});

function numberOf(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= least && value <= most) return value;
  throw new CommandError(`--${name} wants a number from ${least} to ${most}, not '${text}'.`);
}

function attackNamed(name: string): Kind {
  const attack = ATTACKS.find((kind) => kind === name);
  if (attack === undefined) throw new CommandError(`There is no attack '${name}'. There are: ${ATTACKS.join(', ')}.`);
  return attack;
}

function changedPolicy(changes: readonly string[]): TrustPolicy {
  const numeric = Object.entries(TRUST_POLICY).filter(([, value]) => typeof value === 'number');
  const changed = changes.map((change) => {
    const [name = '', value = ''] = change.split('=');
    if (!numeric.some(([known]) => known === name)) {
      throw new CommandError(
        `The policy has no number '${name}'. It has: ${numeric.map(([known]) => known).join(', ')}.`,
      );
    }
    return [name, numberOf(`set ${name}`, value, 0, Number.MAX_SAFE_INTEGER)];
  });
  return { ...TRUST_POLICY, ...(Object.fromEntries(changed) as Partial<TrustPolicy>) };
}

async function readTrace(file: string): Promise<Trace> {
  try {
    return parseTrace(await readFile(resolve(file), 'utf8'));
  } catch (cause) {
    throw new CommandError(`${file}: ${cause instanceof Error ? cause.message : cause}`);
  }
}

async function simulateTrust(): Promise<void> {
  const tabs = numberOf('tabs', values.tabs, 1, 100_000);
  const hostile = numberOf('hostile', values.hostile, 0, 1);
  const broken = numberOf('broken', values.broken, 0, 1);
  const options = {
    seed: numberOf('seed', values.seed, 0, 0xffff_ffff),
    days: numberOf('days', values.days, 0.01, 365),
    load: numberOf('load', values.load, 0.001, 10),
    swing: numberOf('swing', values.swing, 0, 1),
    turnover: numberOf('turnover', values.turnover, 0, 100),
    depositTasks: numberOf('deposit', values.deposit, 0, 1_000_000),
    qualifyingShare: numberOf('qualifying-share', values['qualifying-share'], 0, 1),
  };
  const policy = changedPolicy(values.set);
  const attacks = values.attack.length === 0 ? ATTACKS : values.attack.map(attackNamed);
  const trace = values.trace === undefined ? null : await readTrace(values.trace);
  const startedAt = performance.now();
  const outcome = new TrustSimulation({
    ...options,
    policy,
    trace,
    levels: values['basic-only'] ? BASIC_ONLY : USUAL_LEVELS,
    tabs: tabsOfKinds(tabs, hostile, broken, attacks),
  }).run();
  const seconds = (performance.now() - startedAt) / 1000;
  const summary = summarize(outcome, options.days);
  const caption = `${tabs} tabs, ${rounded(100 * hostile, 1)} % hostile, ${summary.tasks} tasks in ${options.days} days, seed ${options.seed}`;
  console.log(`${caption}; ${seconds.toFixed(1)} s\n\n${tableOf(summary)}\n`);
  console.log(
    `${summary.refused} prompts found no tab in time, ${summary.disputed} disagreements stayed undecided, ${summary.unchecked} checks came to nothing.\n${goalsOf(summary)}`,
  );
  const chart =
    values.chart ?? join(ROOT, 'docs', 'charts', `trust-${tabs}-tabs-${rounded(100 * hostile, 1)}-percent.svg`);
  if (chart !== 'none') {
    await mkdir(dirname(chart), { recursive: true });
    await writeFile(chart, trustChart(summary, outcome, caption));
    console.log(`picture: ${chart}`);
  }
  console.log(
    JSON.stringify({
      name: 'sim-trust',
      tabs,
      hostile,
      ...options,
      basicOnly: values['basic-only'],
      tasks: summary.tasks,
      seconds: rounded(seconds, 1),
      demandOverhead: summary.demandOverhead === null ? null : rounded(summary.demandOverhead, 5),
      idleOverhead: summary.idleOverhead === null ? null : rounded(summary.idleOverhead, 4),
      overheadByDay: summary.overheadByDay.map((share) => (share === null ? null : rounded(share, 4))),
      bestAttack: rounded(summary.bestAttack, 4),
      honestLoss: rounded(summary.honestLoss, 6),
      badShare: rounded(summary.badShare, 6),
      goals: summary.goals,
    }),
  );
  process.exitCode = Object.values(summary.goals).every(Boolean) ? 0 : 1;
}

await runCommand(async () => {
  const [what] = positionals;
  if (what === 'money') {
    return runMoney(numberOf('seed', values.seed, 0, 0xffff_ffff), numberOf('steps', values.steps, 1, 10_000_000));
  }
  if (what !== 'trust') throw new CommandError(`Say what to simulate.\n\n${USAGE}`);
  await simulateTrust();
});
