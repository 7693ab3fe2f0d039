import './require-node.ts';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toBytes } from '../shared/bytes.ts';
import { readSentenceEmbedding } from '../shared/checking/sentence-embedding.ts';
import { readCollection, readPrompts } from './calibrate/calibration-data.ts';
import { limitsSource, makeLimits } from './calibrate/make-limits.ts';
import { makeTables } from './calibrate/make-tables.ts';
import { CommandError, readArguments, runCommand } from './command-line.ts';
import { EMBEDDED_MODELS, ROOT } from './paths.ts';

const USAGE = `npm run calibrate -- [--check]

Makes the limits of checking, and the tables of docs/checking.md, from the data in docs/calibration/.

  --check    writes nothing; exit status 1 when what is committed is not what the data say`;

const LIMITS_FILE = join('shared', 'checking', 'limits-of-checking.ts');
const DOCUMENT = join('docs', 'checking.md');

/** Limits and document as the committed data make them, and the names of those files that say something else. */
export async function calibrate(): Promise<{
  readonly files: Readonly<Record<string, string>>;
  readonly stale: readonly string[];
  readonly readings: number;
}> {
  const data = await readCollection();
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
  return { files, stale, readings: data.probes.length };
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

if (import.meta.filename === process.argv[1]) {
  await runCommand(async () => {
    const { values } = readArguments(USAGE, { check: { type: 'boolean', default: false } });
    const { files, stale, readings } = await calibrate();
    for (const name of stale) {
      if (values.check) console.error(`${name} is not what the data say: run npm run calibrate.`);
      else await writeFile(join(ROOT, name), files[name] ?? '');
    }
    if (!values.check) console.log(stale.length === 0 ? 'Nothing has changed.' : `Written: ${stale.join(', ')}.`);
    console.log(JSON.stringify({ name: 'calibrate', readings, stale, check: values.check }));
    process.exitCode = values.check && stale.length > 0 ? 1 : 0;
  });
}
