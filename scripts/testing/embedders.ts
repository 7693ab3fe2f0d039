import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { CATALOGUE_PATH, type Catalogue, type ModelEntry } from '../../shared/classes/catalogue.ts';
import { buildAll } from '../build.ts';
import { assembleModels, cutIntoPieces } from '../models/catalogue-files.ts';
import { DIST, ROOT } from '../paths.ts';

/**
 * Models that embed, among those that the router serves, for tests and benches: the embedded chat model, whose hidden states have vectors too, and a real
 * sentence embedder where its file is at hand. Until they are taken away again.
 */
export interface Embedders {
  /** Of 192 numbers, which mean little. Needs no file. */
  readonly pup: string;
  /** all-MiniLM-L6-v2, 384 numbers; null where the file is not at hand. */
  readonly miniLm: string | null;
  /** With them in it. */
  readonly catalogue: Catalogue;
  remove(): Promise<void>;
}

/** Files that are not part of the project. */
const TEST_MODELS = process.env.SHOAL_TEST_MODELS ?? resolve(ROOT, '..', 'shared', 'models', 'test');
export const MINI_LM_FILE = join(TEST_MODELS, 'all-MiniLM-L6-v2.q8_0.gguf');

/** Before the router is started. */
export async function serveEmbedders(): Promise<Embedders> {
  const { v, models } = existsSync(join(DIST, 'join.html')) ? await assembleModels() : await buildAll(true);
  const [chatting] = models;
  if (chatting === undefined) throw new Error('there is no embedded model');
  const pup = embedderOf(chatting, 'pup-embedder', 192);
  const added = [pup];
  const hasFile = existsSync(MINI_LM_FILE);
  const folder = join(DIST, 'models', 'weights');
  let weightsFolder: string | null = null;
  if (hasFile) {
    const cut = await cutIntoPieces(MINI_LM_FILE, folder);
    weightsFolder = join(folder, cut.sha256);
    const files = [{ name: 'all-MiniLM-L6-v2.q8_0.gguf', bytes: cut.bytes, mirrors: [] }];
    const weights = { ...cut, files, hosted: true, redirectOrigins: [] };
    const [variant] = pup.variants;
    if (variant === undefined) throw new Error('the embedded model has no variant');
    added.push({
      ...embedderOf(chatting, 'all-minilm-l6-v2', 384),
      name: 'all-MiniLM-L6-v2',
      description: 'A sentence embedder.',
      parameters: 22_713_728,
      longestTokenBytes: 20,
      variants: [{ ...variant, weights, memoryBytes: 3 * cut.bytes }],
    });
  }
  const merged: Catalogue = { v, models: [...models, ...added] };
  await writeFile(join(DIST, CATALOGUE_PATH), JSON.stringify(merged));
  return {
    pup: `${pup.id}:q8_0`,
    miniLm: hasFile ? 'all-minilm-l6-v2:q8_0' : null,
    catalogue: merged,
    async remove() {
      if (weightsFolder !== null) await rm(weightsFolder, { recursive: true, force: true });
      await assembleModels();
    },
  };
}

function embedderOf(chatting: ModelEntry, id: string, dimensions: number): ModelEntry {
  return {
    ...chatting,
    id,
    capabilities: ['embed'],
    contextTokens: 512,
    chat: null,
    defaults: null,
    embed: { dimensions, pooling: 'mean' },
  };
}
