import './require-node.ts';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { operatorPass } from '../router-worker/keys/router-keys.ts';
import { toBytes } from '../shared/bytes.ts';
import type { PairLimits } from '../shared/checking/forced-decode.ts';
import type { ProbeRow } from '../shared/checking/probe-row.ts';
import { readSentenceEmbedding } from '../shared/checking/sentence-embedding.ts';
import { probesFromCsv, readCollection, readPrompts } from './calibrate/calibration-data.ts';
import { type Limits, limitsSource, MODEL, makeLimits } from './calibrate/make-limits.ts';
import { makeTables } from './calibrate/make-tables.ts';
import { CommandError, readArguments, runCommand } from './command-line.ts';
import { EMBEDDED_MODELS, ROOT } from './paths.ts';
import { operatorKeys } from './router/operator-secret.ts';

const USAGE = `npm run calibrate -- [--check] [--from ROUTER_OR_FILE]

Makes the limits of checking, and the tables of docs/checking.md, from the data in docs/calibration/.

  --check    writes nothing; exit status 1 when what is committed is not what the data say
  --from     and from what a router saw idle tabs read: its address (needs its secret: SHOAL_ROUTER_SECRET, or .dev.vars of npm start), or a file of such rows.
             Says first what they would move each limit to. Look at that before you write: whoever lends tabs that you trust can bend it
  --save     with --from: writes the rows to this file, and nothing else`;

const LIMITS_FILE = join('shared', 'checking', 'limits-of-checking.ts');
/** Prompts of a router's rows are numbered from here: they are none of the committed ones. A multiple of three, as every third is held out. */
const IDLE_PROMPTS_FROM = 3_000_000;

const DOCUMENT = join('docs', 'checking.md');

/** Limits and document as the committed data make them, with `more` readings beside them, and the names of those files that say something else. */
export async function calibrate(more: readonly ProbeRow[] = []): Promise<{
  readonly files: Readonly<Record<string, string>>;
  readonly stale: readonly string[];
  readonly readings: number;
  readonly limits: Limits;
}> {
  const committedData = await readCollection();
  const others = more.map((row) => ({ ...row, prompt: row.prompt + IDLE_PROMPTS_FROM }));
  const data = { ...committedData, probes: [...committedData.probes, ...others] };
  const prompts = (await readPrompts()).map(({ text }) => text);
  const table = await readFile(join(EMBEDDED_MODELS, 'sentence-embedding', 'shoal-embed-64.bin'));
  const { embed } = readSentenceEmbedding(toBytes(table));
  const limits = makeLimits(data, embed, prompts);
  const committed = {
    [LIMITS_FILE]: await readFile(join(ROOT, LIMITS_FILE), 'utf8').catch(() => ''),
    [DOCUMENT]: await readFile(join(ROOT, DOCUMENT), 'utf8'),
  };
  const files = {
    [LIMITS_FILE]: limitsSource(limits),
    [DOCUMENT]: filledIn(committed[DOCUMENT] ?? '', makeTables(data, limits, embed, prompts)),
  };
  const stale = Object.keys(files).filter((name) => files[name] !== committed[name]);
  return { files, stale, readings: data.probes.length, limits };
}

/** The document with each table between its markers, `<!-- table: name -->` and `<!-- end -->`. */
function filledIn(document: string, tables: Readonly<Record<string, string>>): string {
  const used = new Set<string>();
  const filled = document.replace(/<!-- table: ([\w-]+) -->[\s\S]*?<!-- end -->/g, (_, name: string) => {
    used.add(name);
    return `<!-- table: ${name} -->\n\n${tables[name] ?? ''}\n\n<!-- end -->`;
  });
  const missing = Object.keys(tables).filter((name) => !used.has(name));
  if (missing.length > 0) throw new CommandError(`${DOCUMENT} has no place for: ${missing.join(', ')}.`);
  return filled;
}

/** Rows as CSV, of a router that its operator asks, or of a file. Throws {@link CommandError}. */
async function rowsFrom(source: string): Promise<string> {
  if (!/^https?:/.test(source)) return readFile(source, 'utf8');
  const response = await fetch(new URL(`/v1/calibration?model=${MODEL}`, source), {
    headers: { authorization: `Bearer ${await operatorPass(await operatorKeys())}` },
    signal: AbortSignal.timeout(60_000),
  }).catch(() => {
    throw new CommandError(`No router answers at ${source}.`);
  });
  if (!response.ok) throw new CommandError(`The router says ${response.status}: ${await response.text()}`);
  return response.text();
}

/** Says what more readings make of each limit that they move. */
function tellMoves(before: Limits, after: Limits, readings: number): void {
  console.log(`${readings} readings more.`);
  for (const pair of ['statistical', 'crossClass'] as const) {
    for (const [form, limits] of Object.entries(after[pair])) {
      for (const [name, limit] of Object.entries(limits)) {
        const was = (before[pair][form as keyof PairLimits] as Readonly<Record<string, unknown>>)[name];
        if (limit !== was) console.log(`  ${pair}, ${form}: ${name} ${was} → ${limit}`);
      }
    }
  }
}

if (import.meta.filename === process.argv[1]) {
  await runCommand(async () => {
    const { values } = readArguments(USAGE, {
      check: { type: 'boolean', default: false },
      from: { type: 'string' },
      save: { type: 'string' },
    });
    const csv = values.from === undefined ? null : await rowsFrom(values.from);
    if (csv !== null && values.save !== undefined) {
      await writeFile(values.save, csv);
      console.log(JSON.stringify({ name: 'calibrate', saved: probesFromCsv(csv).length }));
      return;
    }
    const more = csv === null ? [] : probesFromCsv(csv);
    const { files, stale, readings, limits } = await calibrate(more);
    if (more.length > 0) tellMoves((await calibrate()).limits, limits, more.length);
    for (const name of stale) {
      if (values.check) console.error(`${name} is not what the data say: run npm run calibrate.`);
      else await writeFile(join(ROOT, name), files[name] ?? '');
    }
    if (!values.check) console.log(stale.length === 0 ? 'Nothing has changed.' : `Written: ${stale.join(', ')}.`);
    console.log(JSON.stringify({ name: 'calibrate', readings, stale, check: values.check }));
    process.exitCode = values.check && stale.length > 0 ? 1 : 0;
  });
}
