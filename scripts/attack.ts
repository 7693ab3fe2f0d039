import './require-node.ts';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { servedVariants, variantsNamed } from '../shared/classes/catalogue.ts';
import { type AttackResults, tablesOf, withPart } from './attack/attack-document.ts';
import { type AttackRow, rowOf } from './attack/attack-row.ts';
import { ATTACKS, type Attack } from './attack/attacks.ts';
import { runAttack } from './attack/run-attack.ts';
import { modelsAround, Stage } from './attack/stage.ts';
import { trialRequests } from './attack/trial-requests.ts';
import { buildAll } from './build.ts';
import { CommandError, readArguments, runCommand } from './command-line.ts';
import { ROOT } from './paths.ts';
import { startNetwork } from './testing/running-network.ts';

/**
 * Hostile tabs with real engines against a real router. What became of each lie is read from signed receipts, verified. Exit status 0 only when lies
 * on answers of the exact class were found at their first check, and no honest tab was accused by a liar on its own.
 */

/** Share of the lies that their first check must find. */
const GOAL_PERCENT = 99;

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
  const served = await servedVariants(await buildAll(true));
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
  const network = await startNetwork();
  const browser = `Chromium ${network.browser.browser.version()}`;
  const command = `npm run attack -- --model ${model} --trials ${trials} --tokens ${tokens}`;
  const results: AttackResults = { model, browser, tokens, trials, command, skipped, rows };
  try {
    const needed = (what: Attack['needs']) => (chosen.some(({ needs }) => needs === what) ? what : null);
    const stage = await Stage.open(network, {
      claimed,
      coarser: needed('coarser') && models.coarser,
      other: needed('other') && models.other,
    });
    const options = { url: network.router.url, routerKey: network.routerKey, model, class: claimed.class };
    for (const known of chosen) {
      const startedAt = performance.now();
      const count = known.name === 'sleeper' ? Math.max(trials, SLEEPER_REQUESTS) : Math.min(trials, known.most);
      const row = rowOf(known, await runAttack(known, stage, trialRequests(claimed.model, count, tokens), options));
      rows.push(row);
      console.log(lineOf(row, (performance.now() - startedAt) / 1000));
      // After each attack: a long run that is interrupted keeps what it has.
      if (values.write) await keepResults(claimed.model.id, results);
    }
  } finally {
    await network.stop();
  }
  console.log(`\n${tablesOf(results)}`);
  const missed = rows.filter(({ kind, found }) => kind === 'answer' && found !== null && found.percent < GOAL_PERCENT);
  const accused = rows.filter((row) => row.kind !== 'collusion' && row.accused > 0);
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
  const { rows: _, ...head } = results;
  const lines = rows.map((row) => JSON.stringify(row)).join(',\n    ');
  const text = `${JSON.stringify(head, null, 2).replace(/\n}$/, '')},\n  "rows": [\n    ${lines}\n  ]\n}\n`;
  await writeFile(kept, text);
  const file = join(ROOT, 'docs', 'attacks.md');
  await writeFile(file, withPart(await readFile(file, 'utf8'), id, tablesOf({ ...results, rows })));
}

await runCommand(attack);
