import { mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { CommandError } from '../command-line.ts';
import { joinGguf } from './join-gguf.ts';
import { knownModel, type ModelRecipe, type VariantRecipe } from './known-models.ts';
import { download } from './mirror.ts';
import type { ModelFacts } from './model-facts.ts';
import { readGguf, SPLIT } from './read-gguf.ts';
import { MLC_CONFIG, MLC_LIBRARY, MLC_SHARD_LISTS, MLC_TOKENIZER, readMlc, shardNames } from './read-mlc.ts';

/** One file of a model that lies on this machine, and where else it lies. */
export interface SourceFile {
  readonly name: string;
  readonly path: string;
  readonly mirrors: readonly string[];
}

/** A model on this machine, read. */
export interface ModelSource {
  readonly facts: ModelFacts;
  readonly files: readonly SourceFile[];
  readonly recipe: { readonly model: ModelRecipe; readonly variant: VariantRecipe } | null;
}

interface SourceOptions {
  /** Of an MLC model: file or address of the compiled library, where the folder has none. */
  readonly library: string | null;
  readonly acceptLicence: boolean;
}

/**
 * Finds a model by file, folder, address or known name, fetches what is not here, and hands it to `use` while it is. Throws {@link CommandError} with what to do.
 */
export async function withModelSource<T>(
  source: string,
  options: SourceOptions,
  say: (line: string) => void,
  use: (found: ModelSource) => Promise<T>,
): Promise<T> {
  const found = await stat(source).catch(() => null);
  if (found?.isFile()) {
    return withWhole(await localParts(source), async (path) => {
      const files = [{ name: plainName(basename(path)), path, mirrors: [] }];
      return use({ facts: await readGguf(path), files, recipe: null });
    });
  }
  if (found?.isDirectory()) return use({ ...(await localMlc(source, options.library, null)), recipe: null });
  const isAddress = /^https?:\/\//.test(source);
  const recipe = isAddress ? null : await knownModel(source);
  if (!isAddress && recipe === null) {
    throw new CommandError(`There is no file ${source}, and no known model of that name: npm run models -- known`);
  }
  if (recipe !== null) refuseUnaccepted(recipe.model, options.acceptLicence);

  const folder = await mkdtemp(join(tmpdir(), 'shoal-model-'));
  try {
    const variant = recipe?.variant ?? null;
    if (variant?.format === 'mlc' || (isAddress && source.endsWith('/'))) {
      const bases = variant?.format === 'mlc' ? variant.folder : [source];
      const library = variant?.format === 'mlc' ? variant.library : null;
      return await use({ ...(await remoteMlc(folder, bases, library, options.library, say)), recipe });
    }
    const wanted = variant?.format === 'gguf' ? variant.files : partsOf(source);
    const paths: string[] = [];
    for (const { name, mirrors } of wanted) {
      say(`Downloading ${mirrors[0]}`);
      const path = join(folder, name);
      await download(mirrors, path);
      paths.push(path);
    }
    return await withWhole(paths, async (path) => {
      const [only, second] = wanted;
      const mirrors = second === undefined ? (only?.mirrors ?? []) : [];
      return use({ facts: await readGguf(path), files: [{ name: basename(path), path, mirrors }], recipe });
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Terms that must be seen before a model is taken. Throws {@link CommandError}, which shows them. */
export function refuseUnaccepted({ id, licence }: Pick<ModelRecipe, 'id' | 'licence'>, isAccepted: boolean): void {
  if (!licence.mustShow || isAccepted) return;
  throw new CommandError(
    `${licence.notice}\n\nThe licence: ${licence.url}\nRead it. If you accept it, add ${id} again with --accept-licence.`,
  );
}

/** One file, or the parts of a split model as the one file that they were. */
async function withWhole<T>(parts: readonly string[], use: (path: string) => Promise<T>): Promise<T> {
  const [first, second] = parts;
  if (first === undefined) throw new CommandError('There is no file.');
  if (second === undefined) return use(first);
  const folder = await mkdtemp(join(tmpdir(), 'shoal-joined-'));
  try {
    const whole = join(
      folder,
      `${basename(first)
        .replace(/\.gguf$/i, '')
        .replace(SPLIT, '')}.gguf`,
    );
    await joinGguf(parts, whole);
    return await use(whole);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function localParts(file: string): Promise<string[]> {
  const folder = dirname(file);
  const paths = splitNames(basename(file)).map((name) => join(folder, name));
  for (const path of paths) {
    if ((await stat(path).catch(() => null))?.isFile() !== true) {
      throw new CommandError(`${basename(path)} is missing: all parts of a split model must lie in one folder.`);
    }
  }
  return paths;
}

async function localMlc(
  folder: string,
  library: string | null,
  mirrorsOf: ((name: string) => readonly string[]) | null,
): Promise<Pick<ModelSource, 'facts' | 'files'>> {
  if ((await stat(join(folder, MLC_CONFIG)).catch(() => null)) === null) {
    throw new CommandError(`${folder} has no ${MLC_CONFIG}. Name a GGUF file, or the folder of an MLC model.`);
  }
  if (library !== null && (await stat(library).catch(() => null)) === null) {
    throw new CommandError(`There is no model library ${library}.`);
  }
  const { facts, files } = await readMlc(folder, library);
  return { facts, files: files.map((file) => ({ ...file, mirrors: mirrorsOf?.(file.name) ?? [] })) };
}

async function remoteMlc(
  temporary: string,
  bases: readonly string[],
  libraries: readonly string[] | null,
  givenLibrary: string | null,
  say: (line: string) => void,
): Promise<Pick<ModelSource, 'facts' | 'files'>> {
  // Its name says what the model is called: `Llama-3.2-1B-Instruct-q4f16_1-MLC`.
  const path = new URL(bases[0] ?? '').pathname.replace(/(\/resolve\/[^/]+)?\/$/, '');
  const folder = join(temporary, basename(path) || 'model');
  await mkdir(folder);
  const mirrorsOf = (name: string) => bases.map((base) => new URL(name, base).href);
  const get = async (name: string) => {
    await download(mirrorsOf(name), join(folder, name));
    return name;
  };
  say(`Downloading ${bases[0]}`);
  for (const name of [MLC_CONFIG, ...MLC_TOKENIZER]) await get(name);
  const [later, earlier] = MLC_SHARD_LISTS;
  const list = await get(later).catch(() => get(earlier));
  const shards = shardNames(basename(folder), await readFile(join(folder, list), 'utf8'));
  for (const [i, shard] of shards.entries()) {
    await get(shard);
    if ((i + 1) % 10 === 0) say(`${i + 1} of ${shards.length} shards`);
  }
  const addresses = givenLibrary !== null && /^https?:\/\//.test(givenLibrary) ? [givenLibrary] : libraries;
  if (addresses === null)
    return localMlc(folder, givenLibrary, (name) => (name === MLC_LIBRARY ? [] : mirrorsOf(name)));
  const library = join(temporary, MLC_LIBRARY);
  await download(addresses, library);
  return localMlc(folder, library, (name) => (name === MLC_LIBRARY ? addresses : mirrorsOf(name)));
}

/** The address of a GGUF, or those of all parts when it is one part of a split model. */
function partsOf(source: string): { name: string; mirrors: string[] }[] {
  const url = new URL(source);
  const file = basename(url.pathname) || 'model.gguf';
  return splitNames(file).map((name) => {
    const part = new URL(source);
    part.pathname = `${dirname(url.pathname) === '/' ? '' : dirname(url.pathname)}/${name}`;
    return { name: plainName(decodeURIComponent(name)), mirrors: [part.href] };
  });
}

/** The names of all parts of a split model, in order; of any other file its own. */
function splitNames(file: string): string[] {
  const stem = file.replace(/\.gguf$/i, '');
  const ending = file.slice(stem.length);
  const count = Number(SPLIT.exec(stem)?.[2] ?? 0);
  if (count < 1 || count > 1000) return [file];
  return Array.from({ length: count }, (_, i) => {
    const part = `-${String(i + 1).padStart(5, '0')}-of-${String(count).padStart(5, '0')}`;
    return `${stem.replace(SPLIT, part)}${ending}`;
  });
}

/** A file's name as far as the catalogue takes it. */
function plainName(name: string): string {
  const plain = name
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(-200);
  return plain === '' ? 'model.gguf' : plain;
}
