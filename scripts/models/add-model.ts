import { stat } from 'node:fs/promises';
import type { ModelEntry, VariantEntry } from '../../shared/classes/catalogue.ts';
import { estimateMemory } from '../../shared/classes/memory-estimate.ts';
import { CommandError } from '../command-line.ts';
import { LOCAL_WEIGHTS, readEmbedded, readLocal, writeCatalogue } from './catalogue-files.ts';
import { cutIntoPieces } from './cut-into-pieces.ts';
import { probe } from './mirror.ts';
import type { ModelFacts } from './model-facts.ts';
import { type ModelSource, refuseUnaccepted, type SourceFile, withModelSource } from './model-source.ts';

export interface AddOptions {
  readonly name: string | null;
  readonly contextTokens: number | null;
  readonly temperature: number | null;
  /** Into the repository's own catalogue: the file itself is served, it is not copied. */
  readonly embedded: boolean;
  /** Whether the router is to have the weights; null: known models are left at their mirrors, others are hosted. */
  readonly host: boolean | null;
  /** More addresses of the file. */
  readonly mirrors: readonly string[];
  readonly library: string | null;
  readonly acceptLicence: boolean;
}

/** A whole context of f16 keys and values on every tab costs memory: longer ones must be asked for. */
const DEFAULT_CONTEXT_TOKENS = 2048;
const CONTEXT_STEP = 256;
/** What a request may call a model; a colon would begin its variant. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const DEFAULT_TEMPERATURE = 0.7;
const MEGABYTE = 1_000_000;

/** Adds a model to the catalogue, or replaces the variant of the same name. Returns the entry. Throws {@link CommandError}. */
export async function addModel(source: string, options: AddOptions, say: (line: string) => void): Promise<ModelEntry> {
  if (options.name !== null && !NAME.test(options.name)) {
    throw new CommandError(
      'A name has at most 64 letters, digits, dots, dashes and underscores, and begins with a letter or digit.',
    );
  }
  return withModelSource(source, options, say, (found) => addFound(found, options, say));
}

async function addFound(found: ModelSource, options: AddOptions, say: (line: string) => void): Promise<ModelEntry> {
  const { facts, recipe } = found;
  const licence = recipe?.model.licence ?? facts.licence;
  const id = options.name ?? recipe?.model.id ?? facts.defaultId;
  refuseUnaccepted({ id, licence }, options.acceptLicence);
  if (!options.embedded && (await readEmbedded()).models.some((model) => model.id === id)) {
    throw new CommandError(`${id} is the embedded model. Add this one under another --name.`);
  }
  const size = facts.parameters === null ? '' : `${(facts.parameters / 1e6).toFixed(1)} M parameters, `;
  say(`${facts.name}: ${facts.architecture}, ${facts.quantization}, ${size}licence ${licence.id}`);
  const contextTokens = wholeSteps(Math.min(facts.contextTokens, options.contextTokens ?? DEFAULT_CONTEXT_TOKENS));

  const { models } = options.embedded ? await readEmbedded() : await readLocal();
  const before = models.find((model) => model.id === id);
  if (before !== undefined && !sameForm(before, facts)) {
    throw new CommandError(`${id} has another chat template than its other variants: add it under another --name.`);
  }

  const isHosted = options.host ?? recipe === null;
  const files = await placedFiles(found.files, options.mirrors, isHosted, say);
  const into = options.embedded || !isHosted ? null : LOCAL_WEIGHTS;
  const paths = found.files.map(({ path }) => path);
  const weights = { ...(await cutIntoPieces(paths, into)), ...files, hosted: isHosted };
  const stated = recipe?.variant.memoryMegabytes ?? null;
  const variant: VariantEntry = {
    id: recipe?.variant.id ?? facts.quantization,
    format: facts.format,
    weights,
    memoryBytes:
      stated === null ? estimateMemory(weights.bytes, facts.shape, contextTokens) : Math.round(stated * MEGABYTE),
    needs: [...facts.needs],
  };

  const entry: ModelEntry = {
    id,
    name: recipe?.model.name ?? facts.name,
    description: recipe?.model.description ?? facts.description,
    capabilities: facts.chat !== null ? ['chat'] : ['embed'],
    licence,
    parameters: facts.parameters ?? before?.parameters ?? null,
    contextTokens,
    longestTokenBytes: facts.longestTokenBytes,
    chat: facts.chat,
    embed: facts.embed,
    defaults:
      facts.chat === null
        ? null
        : {
            temperature: options.temperature ?? DEFAULT_TEMPERATURE,
            topP: 0.95,
            maxTokens: Math.floor(contextTokens / 2),
          },
    variants: [...(before?.variants ?? []).filter((other) => other.id !== variant.id), variant],
  };
  await writeCatalogue(options.embedded ? 'embedded' : 'local', [...models.filter((model) => model.id !== id), entry]);
  return entry;
}

/** Whether texts are put to both in the same way: a request may go to any variant of a model. */
function sameForm(before: ModelEntry, { chat, embed }: ModelFacts): boolean {
  return JSON.stringify([before.chat, before.embed]) === JSON.stringify([chat, embed]);
}

/** The table of files, with those mirrors that a page can use. Throws {@link CommandError} where nobody would have a file. */
async function placedFiles(
  files: readonly SourceFile[],
  more: readonly string[],
  isHosted: boolean,
  say: (line: string) => void,
): Promise<Pick<VariantEntry['weights'], 'files' | 'redirectOrigins'>> {
  if (more.length > 0 && files.length > 1) {
    throw new CommandError('--mirror names one file, and this model has several. Put them where --host serves them.');
  }
  const origins = new Set<string>();
  const placed: VariantEntry['weights']['files'] = [];
  for (const { name, path, mirrors } of files) {
    const { size } = await stat(path);
    const usable: string[] = [];
    // What the router has itself is fetched elsewhere only where the operator says so.
    for (const mirror of isHosted ? more : [...mirrors, ...more]) {
      const result = await probe(mirror, size);
      if (result.fault === null) {
        usable.push(mirror);
        for (const origin of result.origins) origins.add(origin);
      } else say(`Not used as a mirror: ${mirror}: ${result.fault}.`);
    }
    if (!isHosted && usable.length === 0) {
      throw new CommandError(
        `No mirror of ${name} can be used by pages. Add it with --host, and the router has it itself.`,
      );
    }
    placed.push({ name, bytes: size, mirrors: usable });
  }
  const own = new Set(placed.flatMap(({ mirrors }) => mirrors.map((mirror) => new URL(mirror).origin)));
  return { files: placed, redirectOrigins: [...origins].filter((origin) => !own.has(origin)) };
}

/** The engine takes contexts in steps of 256 tokens only. */
function wholeSteps(tokens: number): number {
  return Math.max(CONTEXT_STEP, Math.floor(tokens / CONTEXT_STEP) * CONTEXT_STEP);
}
