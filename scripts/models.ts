import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { addModel } from './models/add-model.ts';
import { assembleModels, LOCAL_WEIGHTS, readEmbedded, readLocal, writeCatalogue } from './models/catalogue-files.ts';
import { GgufError } from './models/read-gguf.ts';
import { DIST } from './paths.ts';

const USAGE = `npm run models -- add FILE_OR_URL [--name NAME] [--context TOKENS] [--temperature T]
npm run models -- list
npm run models -- remove NAME`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    name: { type: 'string' },
    context: { type: 'string' },
    temperature: { type: 'string' },
    embedded: { type: 'boolean', default: false },
  },
});
const [command, target] = positionals;

try {
  if (command === 'add' && target !== undefined) await add(target);
  else if (command === 'list') await list();
  else if (command === 'remove' && target !== undefined) await remove(target);
  else {
    console.error(USAGE);
    process.exitCode = 2;
  }
} catch (cause) {
  if (!(cause instanceof GgufError)) throw cause;
  console.error(cause.message);
  process.exitCode = 1;
}

function numberOr(value: string | undefined, what: string): number | null {
  if (value === undefined) return null;
  const number = Number(value);
  if (!Number.isFinite(number) || number < 0) throw new GgufError(`--${what} must be a number.`);
  return number;
}

async function add(source: string): Promise<void> {
  const entry = await addModel(
    source,
    {
      name: values.name ?? null,
      contextTokens: numberOr(values.context, 'context'),
      temperature: numberOr(values.temperature, 'temperature'),
      embedded: values.embedded,
    },
    (line) => console.log(line),
  );
  if (existsSync(DIST)) await assembleModels();
  const variants = entry.variants.map((variant) => `${entry.id}:${variant.id}`).join(', ');
  console.log(`Added. It can be asked for as ${entry.id} (${variants}), context ${entry.contextTokens} tokens.`);
  console.log(`Open /join and choose it there, or: npm run demo -- --model ${entry.id} "your prompt"`);
}

async function list(): Promise<void> {
  for (const [where, { models }] of [
    ['embedded', await readEmbedded()],
    ['local', await readLocal()],
  ] as const) {
    for (const model of models) {
      for (const variant of model.variants) {
        const megabytes = (variant.weights.bytes / 1e6).toFixed(1);
        console.log(
          `${model.id}:${variant.id}  ${megabytes} MB  context ${model.contextTokens}  ${model.licence.id}  ${where}`,
        );
      }
    }
  }
}

async function remove(id: string): Promise<void> {
  const { models } = await readLocal();
  const model = models.find((candidate) => candidate.id === id);
  if (model === undefined) throw new GgufError(`There is no local model ${id}. See: npm run models -- list`);
  await writeCatalogue(
    'local',
    models.filter((candidate) => candidate !== model),
  );
  for (const variant of model.variants) {
    await rm(join(LOCAL_WEIGHTS, variant.weights.sha256), { recursive: true, force: true });
    await rm(join(DIST, 'models', 'weights', variant.weights.sha256), { recursive: true, force: true });
  }
  if (existsSync(DIST)) await assembleModels();
  console.log(`Removed ${id}.`);
}
