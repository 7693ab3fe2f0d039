import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { copyFile, link, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import * as v from 'valibot';
import {
  CATALOGUE_PATH,
  type Catalogue,
  catalogue,
  type ModelEntry,
  piecePath,
  SENTENCE_EMBEDDING_PATH,
} from '../../shared/classes/catalogue.ts';
import { CommandError } from '../command-line.ts';
import { DIST, EMBEDDED_MODELS, LOCAL_MODELS, ROOT } from '../paths.ts';
import { admitMirrors } from '../security-headers.ts';

/**
 * Models on disk. Embedded ones are GGUF files of the repository; local ones were cut into pieces when they were added. Both become static files of
 * the router: pieces of at most 8 MiB, named by the digest of the whole file, and one catalogue.
 */

const EMBEDDED_CATALOGUE = join(EMBEDDED_MODELS, 'catalogue.json');
const LOCAL_CATALOGUE = join(LOCAL_MODELS, 'catalogue.json');
/** Of the pages, before any mirror is admitted. */
const HEADERS = join(ROOT, 'web-miner', 'public', '_headers');
const SENTENCE_EMBEDDING = join(EMBEDDED_MODELS, 'sentence-embedding', 'shoal-embed-64.bin');

export async function readCatalogue(file: string): Promise<Catalogue> {
  if (!existsSync(file)) return { v: 2, models: [] };
  const content = parseJson(await readFile(file, 'utf8'));
  const parsed = v.safeParse(catalogue, content);
  if (!parsed.success) {
    if (v.is(v.object({ v: v.literal(1) }), content)) {
      throw new CommandError(
        `${file} is of an earlier release. Delete the folder ${dirname(file)}, and add its models again: npm run models -- add FILE_OR_URL`,
      );
    }
    const where = v.getDotPath(parsed.issues[0]);
    throw new CommandError(`${file} is damaged at ${where}. Repair it, or delete it and add its models again.`);
  }
  return parsed.output;
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

export const readEmbedded = () => readCatalogue(EMBEDDED_CATALOGUE);
export const readLocal = () => readCatalogue(LOCAL_CATALOGUE);

async function writeWhole(file: string, content: string): Promise<void> {
  await mkdir(dirname(file), { recursive: true });
  const partial = `${file}.${process.pid}.partial`;
  await writeFile(partial, content);
  await rename(partial, file);
}

export async function writeCatalogue(which: 'embedded' | 'local', models: readonly ModelEntry[]): Promise<void> {
  const sorted = [...models].sort((a, b) => (a.id < b.id ? -1 : 1));
  const parsed = v.safeParse(catalogue, { v: 2, models: sorted });
  if (!parsed.success) {
    throw new CommandError(`The file's metadata cannot be served: ${v.getDotPath(parsed.issues[0])} is out of bounds.`);
  }
  const file = which === 'embedded' ? EMBEDDED_CATALOGUE : LOCAL_CATALOGUE;
  return writeWhole(file, `${JSON.stringify({ v: 2, models: sorted }, null, 2)}\n`);
}

export const LOCAL_WEIGHTS = join(LOCAL_MODELS, 'weights');

/** Puts catalogue, hosted pieces and sentence embedding below `dist/models`, where the router serves them, and lets the pages connect to the mirrors of the others. */
export async function assembleModels(): Promise<Catalogue> {
  const embedded = await readEmbedded();
  const local = await readLocal();
  const models = [...embedded.models, ...local.models];
  // Embedded files are smaller than a piece: each is served as it lies in the repository, found by its digest.
  const embeddedFiles = await filesByDigest(join(EMBEDDED_MODELS, 'chat'));
  for (const { weights } of embedded.models.flatMap((model) => model.variants)) {
    const file = embeddedFiles.get(weights.sha256);
    if (file === undefined) throw new Error(`no embedded file has the digest ${weights.sha256}`);
    await place(file, piecePath(weights.sha256, 0));
  }
  for (const variant of local.models.flatMap((model) => model.variants).filter(({ weights }) => weights.hosted)) {
    for (const index of variant.weights.pieces.keys()) {
      const path = piecePath(variant.weights.sha256, index);
      await place(join(LOCAL_WEIGHTS, variant.weights.sha256, path.slice(path.lastIndexOf('/') + 1)), path);
    }
  }
  await place(SENTENCE_EMBEDDING, SENTENCE_EMBEDDING_PATH);
  const merged: Catalogue = { v: 2, models };
  await writeWhole(join(DIST, CATALOGUE_PATH), JSON.stringify(merged));
  await writeWhole(join(DIST, '_headers'), admitMirrors(await readFile(HEADERS, 'utf8'), merged));
  return merged;
}

async function filesByDigest(folder: string): Promise<Map<string, string>> {
  const names = (await readdir(folder)).filter((name) => name.endsWith('.gguf'));
  const entries = await Promise.all(
    names.map(async (name): Promise<[string, string]> => {
      const content = await readFile(join(folder, name));
      return [createHash('sha256').update(content).digest('hex'), join(folder, name)];
    }),
  );
  return new Map(entries);
}

/** A hard link where the file system allows it: the pieces of a large model are not stored twice. */
async function place(source: string, path: string): Promise<void> {
  const target = join(DIST, path);
  const [wanted, there] = await Promise.all([stat(source), stat(target).catch(() => null)]);
  // A model that was added again by a release that cuts other pieces has the same path.
  if (there?.size === wanted.size) return;
  await mkdir(dirname(target), { recursive: true });
  await rm(target, { force: true });
  await link(source, target).catch(() => copyFile(source, target));
}
