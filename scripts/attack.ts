import './require-node.ts';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { limitsOf } from '../shared/checking/rung.ts';
import { servedClasses, variantsNamed } from '../shared/classes/catalogue.ts';
import { type AttackResults, tablesOf, withPart } from './attack/attack-document.ts';
import { type AttackRow, idleRowOf, rowOf } from './attack/attack-row.ts';
import { ATTACKS, type Attack, type AttackKind } from './attack/attacks.ts';
import { runAttack } from './attack/run-attack.ts';
import { runIdle } from './attack/run-idle.ts';
import { modelsAround, Stage } from './attack/stage.ts';
import { trialRequests } from './attack/trial-requests.ts';
import { buildAll } from './build.ts';
import { CommandError, readArguments, runCommand } from './command-line.ts';
import { ROOT } from './paths.ts';
import { type RunningNetwork, startNetwork } from './testing/running-network.ts';

/**
 * Hostile tabs with real engines against a real router. What became of each lie is read from signed receipts, verified. Exit status 0 only when lies
 * on answers of the exact class were found at their first check, and no honest tab was accused by a liar on its own.
 * Where answers are only read, nothing is demanded: how often lies are found and honest answers are in dispute is in the table.
 */

/** Share of the lies that their first check must find. */
const GOAL_PERCENT = 99;

/** Kinds in which an honest tab may come under accusation: by several liars together, or by a statistic. */
const MAY_ACCUSE: readonly AttackKind[] = ['collusion', 'read-honest'];

const USAGE = 'npm run attack [-- --trials 20 --only NAME,NAME --model shoal-pup-3m:q8_0 --tokens 24 --write]';
const { values } = readArguments(USAGE, {
  model: { type: 'string', default: 'shoal-pup-3m:q8_0' },
  trials: { type: 'string', default: '20' },
  tokens: { type: 'string', default: '24' },
  only: { type: 'string', default: '' },
  /** Puts the result into docs/. */
  write: { type: 'boolean', default: false },
});

/** A sleeper sleeps for 200 answers: fewer requests would show nothing. */
const SLEEPER_REQUESTS = 206;

async function attack(): Promise<void> {
  const trials = Number(values.trials);
  const tokens = Number(values.tokens);
  const names = values.only.split(',').filter((name) => name !== '');
  const unknown = names.filter((name) => ATTACKS.every((known) => known.name !== name));
  if (unknown.length > 0) {
    throw new CommandError(
      `There is no attack '${unknown[0]}'. There are: ${ATTACKS.map(({ name }) => name).join(', ')}.`,
    );
  }
  const served = await servedClasses(await buildAll(true));
  const [claimed] = variantsNamed(served, values.model);
  if (claimed === undefined) throw new CommandError(`There is no model '${values.model}'.`);
  const models = modelsAround(claimed, served);
  const model = `${claimed.model.id}:${claimed.variant.id}`;
  const skipped: { name: string; why: string }[] = [];
  const chosen = ATTACKS.filter((known) => {
    if (names.length > 0 && !names.includes(known.name)) return false;
    const why = whyNot(known, models, trials, names.includes(known.name));
    if (why === null) return true;
    console.log(`${known.name}: LEFT OUT, ${why}.`);
    skipped.push({ name: known.name, why });
    return false;
  });

  const rows: AttackRow[] = [];
  const command = `npm run attack -- --model ${model} --tokens ${tokens} --trials N --write`;
  let browser = '';
  const results = (): AttackResults => ({ model, browser, tokens, command, skipped, rows });
  const play = async (attacks: readonly Attack[], play: (known: Attack, on: Played) => Promise<AttackRow>) => {
    if (attacks.length === 0) return;
    const network = await startNetwork({ networkTasks: attacks.some(({ kind }) => kind === 'idle') });
    browser = `Chromium ${network.browser.browser.version()}`;
    try {
      const needed = (what: Attack['needs']) => attacks.some(({ needs }) => needs === what);
      const stage = await Stage.open(network, {
        claimed,
        near: attacks.some(({ cast }) => cast.isNear === true) ? models.near : null,
        coarser: needed('coarser') ? models.coarser : null,
        other: needed('other') ? models.other : null,
      });
      for (const known of attacks) {
        const startedAt = performance.now();
        const row = await play(known, { network, stage });
        rows.push(row);
        console.log(lineOf(row, (performance.now() - startedAt) / 1000));
        // After each attack: a long run that is interrupted keeps what it has.
        if (values.write) await keepResults(claimed.model.id, results());
      }
    } finally {
      await network.stop();
    }
  };
  const isIdle = ({ kind }: Attack) => kind === 'idle';
  const asked = chosen.filter((known) => !isIdle(known));
  await play(asked, async (known, { network, stage }) => {
    const count = known.name === 'sleeper' ? Math.max(trials, SLEEPER_REQUESTS) : Math.min(trials, known.most);
    const requests = trialRequests(claimed.model, count, Math.max(tokens, known.leastTokens));
    const options = { url: network.router.url, routerKey: network.routerKey, model, class: claimed.class };
    return rowOf(known, await runAttack(known, stage, requests, options));
  });
  await play(chosen.filter(isIdle), async (known, { network, stage }) => {
    const times = Math.min(trials, known.most);
    return idleRowOf(known, await runIdle(known, stage, network, { class: claimed.class, times }));
  });
  console.log(`\n${tablesOf(results())}`);
  const missed = rows.filter(({ kind, found }) => kind === 'answer' && found !== null && found.percent < GOAL_PERCENT);
  const accused = rows.filter((row) => !MAY_ACCUSE.includes(row.kind) && row.accused > 0);
  console.log(
    JSON.stringify({
      name: 'attack',
      model,
      browser,
      trials,
      lies: rows.reduce((sum, row) => sum + row.lies, 0),
      missed: missed.map(({ name }) => name),
      accused: accused.map(({ name }) => name),
      skipped: skipped.map(({ name }) => name),
      attacks: rows.map(({ name, lies, found, accused: honest }) => [name, lies, found?.percent ?? null, honest]),
    }),
  );
  process.exitCode = missed.length + accused.length === 0 ? 0 : 1;
}

interface Played {
  readonly network: RunningNetwork;
  readonly stage: Stage;
}

/** Why this machine cannot run an attack; null when it can. */
function whyNot(
  known: Attack,
  models: ReturnType<typeof modelsAround>,
  trials: number,
  isNamed: boolean,
): string | null {
  if (known.needs !== null && models[known.needs] === null) {
    return known.needs === 'other'
      ? 'there is no other model here: add one with npm run models -- add FILE'
      : 'the model has no coarser variant';
  }
  if (known.cast.isNear === true && limitsOf('statistical', models.claimed.model.id) === null) {
    return 'no limits were measured for the model: nobody can read its answers';
  }
  if (known.name === 'sleeper' && trials < SLEEPER_REQUESTS && !isNamed) {
    return `it needs ${SLEEPER_REQUESTS} requests: --only sleeper, or more trials`;
  }
  return null;
}

function lineOf({ name, lies, requests, found, accused }: AttackRow, seconds: number): string {
  const share = found === null ? 'nothing to find' : `found ${found.percent} % (${found.low}–${found.high})`;
  return `${name.padEnd(18)} ${lies} lies in ${requests} requests, ${share}, ${accused} honest tabs accused, ${seconds.toFixed(0)} s`;
}

/** Puts the results into docs/, beside those of attacks that were kept before and not run now. */
async function keepResults(id: string, results: AttackResults): Promise<void> {
  const folder = join(ROOT, 'docs', 'attacks');
  await mkdir(folder, { recursive: true });
  const kept = join(folder, `results-${id}.json`);
  const before = existsSync(kept) ? (JSON.parse(await readFile(kept, 'utf8')) as AttackResults) : { rows: [] };
  const rows = ATTACKS.flatMap(({ name }) => [...results.rows, ...before.rows].find((row) => row.name === name) ?? []);
  const { rows: _, skipped, ...measured } = results;
  const head = { ...measured, skipped: skipped.filter(({ name }) => rows.every((row) => row.name !== name)) };
  const lines = rows.map((row) => JSON.stringify(row)).join(',\n    ');
  const text = `${JSON.stringify(head, null, 2).replace(/\n}$/, '')},\n  "rows": [\n    ${lines}\n  ]\n}\n`;
  await writeFile(kept, text);
  const file = join(ROOT, 'docs', 'attacks.md');
  await writeFile(file, withPart(await readFile(file, 'utf8'), id, tablesOf({ ...head, rows })));
}

await runCommand(attack);
