import { createWriteStream } from 'node:fs';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ModelEntry, VariantEntry } from '../../shared/classes/catalogue.ts';
import { estimateMemory } from '../../shared/classes/memory-estimate.ts';
import { CommandError } from '../command-line.ts';
import { cutIntoPieces, LOCAL_WEIGHTS, readEmbedded, readLocal, writeCatalogue } from './catalogue-files.ts';
import { readGguf } from './read-gguf.ts';

export interface AddOptions {
  readonly name: string | null;
  readonly contextTokens: number | null;
  readonly temperature: number | null;
  /** Into the repository's own catalogue: the file itself is served, it is not copied. */
  readonly embedded: boolean;
}

/** A whole context of f16 keys and values on every tab costs memory: longer ones must be asked for. */
const DEFAULT_CONTEXT_TOKENS = 2048;
const CONTEXT_STEP = 256;
/** What a request may call a model; a colon would begin its variant. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const DEFAULT_TEMPERATURE = 0.7;
const DOWNLOAD_DEADLINE_MS = 6 * 60 * 60 * 1000;

/** Adds a GGUF to the catalogue, or replaces the variant of the same name. Returns the entry. Throws {@link CommandError}. */
export async function addModel(source: string, options: AddOptions, say: (line: string) => void): Promise<ModelEntry> {
  if (options.name !== null && !NAME.test(options.name)) {
    throw new CommandError(
      'A name has at most 64 letters, digits, dots, dashes and underscores, and begins with a letter or digit.',
    );
  }
  if (/^https?:\/\//.test(source)) return fromUrl(source, options, say);
  const found = await stat(source).catch(() => null);
  if (found === null) throw new CommandError(`There is no file ${source}.`);
  if (!found.isFile())
    throw new CommandError(`${source} is no file. Name a GGUF file, or an address that begins with https://`);
  const facts = await readGguf(source);
  say(
    `${facts.name}: ${facts.architecture}, ${facts.quantization}, ${(facts.parameters / 1e6).toFixed(1)} M parameters, licence ${facts.licence.id}`,
  );
  const cut = await cutIntoPieces(source, options.embedded ? null : LOCAL_WEIGHTS);
  const files = [{ name: fileName(source), bytes: cut.bytes, mirrors: [] }];
  const weights = { ...cut, files, hosted: true, redirectOrigins: [] };
  const contextTokens = wholeSteps(Math.min(facts.contextTokens, options.contextTokens ?? DEFAULT_CONTEXT_TOKENS));
  const id = options.name ?? facts.defaultId;
  if (!options.embedded && (await readEmbedded()).models.some((model) => model.id === id)) {
    throw new CommandError(`${id} is the embedded model. Add this one under another --name.`);
  }
  const { models } = options.embedded ? await readEmbedded() : await readLocal();
  const before = models.find((model) => model.id === id);
  const memoryBytes = estimateMemory(cut.bytes, facts.shape, contextTokens);
  const variant: VariantEntry = { id: facts.quantization, format: 'gguf', weights, memoryBytes, needs: [] };
  const entry: ModelEntry = {
    id,
    name: facts.name,
    description: facts.description,
    capabilities: ['chat'],
    licence: facts.licence,
    parameters: facts.parameters,
    contextTokens,
    longestTokenBytes: facts.longestTokenBytes,
    chat: facts.chat,
    embed: null,
    defaults: {
      temperature: options.temperature ?? DEFAULT_TEMPERATURE,
      topP: 0.95,
      maxTokens: Math.floor(contextTokens / 2),
    },
    variants: [...(before?.variants ?? []).filter((other) => other.id !== variant.id), variant],
  };
  if (before !== undefined && before.chat?.template !== entry.chat?.template) {
    throw new CommandError(`${id} has another chat template than its other variants: add it under another --name.`);
  }
  await writeCatalogue(options.embedded ? 'embedded' : 'local', [...models.filter((model) => model.id !== id), entry]);
  return entry;
}

/** The file's own name, as far as the catalogue takes it. */
function fileName(source: string): string {
  return basename(source)
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(-200);
}

/** The engine takes contexts in steps of 256 tokens only. */
function wholeSteps(tokens: number): number {
  return Math.max(CONTEXT_STEP, Math.floor(tokens / CONTEXT_STEP) * CONTEXT_STEP);
}

async function fromUrl(url: string, options: AddOptions, say: (line: string) => void): Promise<ModelEntry> {
  const folder = await mkdtemp(join(tmpdir(), 'shoal-model-'));
  try {
    const file = join(folder, basename(new URL(url).pathname) || 'model.gguf');
    say(`Downloading ${url}`);
    const response = await fetch(url, { signal: AbortSignal.timeout(DOWNLOAD_DEADLINE_MS) }).catch((cause) => {
      throw new CommandError(`${url} could not be reached: ${cause instanceof Error ? cause.message : cause}`);
    });
    if (!response.ok || response.body === null) throw new CommandError(`${url} answered ${response.status}.`);
    await pipeline(
      Readable.fromWeb(response.body as import('node:stream/web').ReadableStream),
      createWriteStream(file),
    );
    return await addModel(file, options, say);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
