import { existsSync } from 'node:fs';
import { rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { CATALOGUE_PATH, type Catalogue, type ModelEntry } from '../../shared/classes/catalogue.ts';
import { estimateMemory } from '../../shared/classes/memory-estimate.ts';
import { buildAll } from '../build.ts';
import { assembleModels } from '../models/catalogue-files.ts';
import { cutIntoPieces } from '../models/cut-into-pieces.ts';
import { readGguf } from '../models/read-gguf.ts';
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

/** Width of a hidden state of the embedded model. */
const PUP_DIMENSIONS = 192;

/** Before the router is started. */
export async function serveEmbedders(): Promise<Embedders> {
  const { v, models } = existsSync(join(DIST, 'join.html')) ? await assembleModels() : await buildAll(true);
  const [chatting] = models;
  if (chatting === undefined) throw new Error('there is no embedded model');
  const pup: ModelEntry = {
    ...chatting,
    id: 'pup-embedder',
    capabilities: ['embed'],
    chat: null,
    defaults: null,
    embed: { dimensions: PUP_DIMENSIONS, pooling: 'mean' },
  };
  const added = [pup];
  const hasFile = existsSync(MINI_LM_FILE);
  const folder = join(DIST, 'models', 'weights');
  let weightsFolder: string | null = null;
  if (hasFile) {
    const [facts, cut] = [await readGguf(MINI_LM_FILE), await cutIntoPieces([MINI_LM_FILE], folder)];
    weightsFolder = join(folder, cut.sha256);
    const files = [{ name: 'all-MiniLM-L6-v2.q8_0.gguf', bytes: cut.bytes, mirrors: [] }];
    const weights = { ...cut, files, hosted: true, redirectOrigins: [] };
    const memoryBytes = estimateMemory(cut.bytes, facts.shape, facts.contextTokens);
    added.push({
      ...pup,
      id: 'all-minilm-l6-v2',
      name: facts.name,
      description: facts.description,
      licence: facts.licence,
      parameters: facts.parameters,
      contextTokens: facts.contextTokens,
      longestTokenBytes: facts.longestTokenBytes,
      embed: facts.embed,
      variants: [{ id: facts.quantization, format: 'gguf', weights, memoryBytes, needs: [] }],
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
