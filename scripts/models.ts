import './require-node.ts';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { CommandError, readArguments, runCommand } from './command-line.ts';
import { addModel } from './models/add-model.ts';
import { assembleModels, LOCAL_WEIGHTS, readEmbedded, readLocal, writeCatalogue } from './models/catalogue-files.ts';
import { readKnown } from './models/known-models.ts';
import { DIST } from './paths.ts';

const USAGE = `npm run models -- known
npm run models -- add NAME[:VARIANT] [--accept-licence] [--host]      a known model
npm run models -- add FILE_OR_FOLDER_OR_URL                           a GGUF, or an MLC model (an address that ends in /)
    [--name NAME] [--context TOKENS] [--temperature T] [--no-host --mirror URL] [--library FILE_OR_URL]
npm run models -- list
npm run models -- remove NAME`;

const { values, positionals } = readArguments(USAGE, {
  name: { type: 'string' },
  context: { type: 'string' },
  temperature: { type: 'string' },
  embedded: { type: 'boolean', default: false },
  host: { type: 'boolean', default: false },
  'no-host': { type: 'boolean', default: false },
  mirror: { type: 'string', multiple: true, default: [] },
  library: { type: 'string' },
  'accept-licence': { type: 'boolean', default: false },
});
const [command, target, ...rest] = positionals;

if (command === 'add' && target !== undefined && rest.length === 0) await runCommand(() => add(target));
else if (command === 'known' && target === undefined) await runCommand(known);
else if (command === 'list' && target === undefined) await runCommand(list);
else if (command === 'remove' && target !== undefined && rest.length === 0) await runCommand(() => remove(target));
else {
  console.error(USAGE);
  process.exitCode = 2;
}

function numberOr(value: string | undefined, what: string, low: number, high: number): number | null {
  if (value === undefined) return null;
  const number = Number(value);
  if (value.trim() === '' || !Number.isFinite(number) || number < low || number > high) {
    throw new CommandError(`--${what} must be a number from ${low} to ${high}.`);
  }
  return number;
}

async function add(source: string): Promise<void> {
  const contextTokens = numberOr(values.context, 'context', 256, 1_000_000);
  if (contextTokens !== null && !Number.isInteger(contextTokens)) {
    throw new CommandError('--context must be a whole number of tokens.');
  }
  if (values.host && values['no-host']) throw new CommandError('--host and --no-host exclude each other.');
  const entry = await addModel(
    source,
    {
      name: values.name ?? null,
      contextTokens,
      temperature: numberOr(values.temperature, 'temperature', 0, 2),
      embedded: values.embedded,
      host: values.host ? true : values['no-host'] ? false : null,
      mirrors: values.mirror,
      library: values.library ?? null,
      acceptLicence: values['accept-licence'],
    },
    (line) => console.log(line),
  );
  if (existsSync(DIST)) await assembleModels();
  const variants = entry.variants.map((variant) => `${entry.id}:${variant.id}`).join(', ');
  console.log(`Added. It can be asked for as ${entry.id} (${variants}), context ${entry.contextTokens} tokens.`);
  if (contextTokens !== null && contextTokens !== entry.contextTokens) {
    console.log(`(The context is a multiple of 256, and no longer than the model was trained for.)`);
  }
  if (entry.chat === null)
    console.log('Open /join and choose it there: it makes vectors of texts, and writes nothing.');
  else console.log(`Open /join and choose it there, or: npm run demo -- --model ${entry.id} "your prompt"`);
}

/** What can be added by name, and what of it is served now. */
async function known(): Promise<void> {
  const served = [...(await readEmbedded()).models, ...(await readLocal()).models].flatMap((model) =>
    model.variants.map((variant) => `${model.id}:${variant.id}`),
  );
  for (const model of await readKnown()) {
    for (const variant of model.variants) {
      const name = `${model.id}:${variant.id}`;
      const reason = model.unserved ?? variant.unserved;
      const state =
        reason !== null ? `not for this release: ${reason}` : served.includes(name) ? 'served' : 'to be added';
      console.log(`${name}  ${variant.format}  ${model.capabilities.join(', ')}  ${model.licence.id}  ${state}`);
    }
  }
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
          `${model.id}:${variant.id}  ${megabytes} MB  context ${model.contextTokens}  ${model.licence.id}  ${variant.weights.hosted ? 'hosted' : 'mirrored'}  ${where}`,
        );
      }
    }
  }
}

async function remove(id: string): Promise<void> {
  const { models } = await readLocal();
  const model = models.find((candidate) => candidate.id === id);
  if (model === undefined) throw new CommandError(`There is no local model ${id}. See: npm run models -- list`);
  const others = models.filter((candidate) => candidate !== model);
  await writeCatalogue('local', others);
  // Two names may share one file.
  const inUse = new Set(others.flatMap((other) => other.variants.map((variant) => variant.weights.sha256)));
  for (const { weights } of model.variants) {
    if (inUse.has(weights.sha256)) continue;
    await rm(join(LOCAL_WEIGHTS, weights.sha256), { recursive: true, force: true });
    await rm(join(DIST, 'models', 'weights', weights.sha256), { recursive: true, force: true });
  }
  if (existsSync(DIST)) await assembleModels();
  console.log(`Removed ${id}.`);
}
