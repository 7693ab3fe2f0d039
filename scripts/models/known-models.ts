import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import * as v from 'valibot';
import { CAPABILITIES, licence, webAddress } from '../../shared/classes/catalogue.ts';
import { modelName, shownText } from '../../shared/protocol/fields.ts';
import { CommandError } from '../command-line.ts';
import { ROOT } from '../paths.ts';

/**
 * Recipes of models that are known by name: where their files lie, under which licence. Data, and no more than public repositories say: sizes and digests are found when a model
 * is added. Addresses of MLC models and their memory are those of web-llm's own list (0.2.79, `prebuiltAppConfig`).
 */

const addresses = v.pipe(v.array(webAddress), v.minLength(1));
/** Why no tab of this release can run it; null: one can. */
const unserved = v.nullable(shownText(500));
/** As web-llm states it; null: it is estimated from the file. */
const memoryMegabytes = v.nullable(v.number());

const ggufRecipe = v.object({
  id: modelName,
  format: v.literal('gguf'),
  files: v.pipe(v.array(v.object({ name: v.string(), mirrors: addresses })), v.minLength(1)),
  memoryMegabytes,
  unserved,
});
const mlcRecipe = v.object({
  id: modelName,
  format: v.literal('mlc'),
  /** Where all files but the library lie. Each ends in a slash. */
  folder: addresses,
  library: addresses,
  memoryMegabytes,
  unserved,
});
const variantRecipe = v.variant('format', [ggufRecipe, mlcRecipe]);
export type VariantRecipe = v.InferOutput<typeof variantRecipe>;
export type MlcRecipe = v.InferOutput<typeof mlcRecipe>;

const modelRecipe = v.object({
  id: modelName,
  name: shownText(200),
  description: shownText(2000),
  capabilities: v.array(v.picklist(CAPABILITIES)),
  licence,
  unserved,
  /** The one to take when none is named first. */
  variants: v.pipe(v.array(variantRecipe), v.minLength(1)),
});
export type ModelRecipe = v.InferOutput<typeof modelRecipe>;

const knownModels = v.object({ v: v.literal(1), models: v.array(modelRecipe) });

export async function readKnown(): Promise<readonly ModelRecipe[]> {
  return v.parse(knownModels, JSON.parse(await readFile(join(ROOT, 'models', 'known.json'), 'utf8'))).models;
}

/** The recipe of `NAME` or `NAME:VARIANT`; null when the name is not known. Throws {@link CommandError} when the variant is not, or when no tab can run it. */
export async function knownModel(
  name: string,
): Promise<{ readonly model: ModelRecipe; readonly variant: VariantRecipe } | null> {
  const [id, variantId] = name.toLowerCase().split(':');
  const model = (await readKnown()).find((known) => known.id === id);
  if (model === undefined) return null;
  const variant = variantId === undefined ? model.variants[0] : model.variants.find((one) => one.id === variantId);
  if (variant === undefined) {
    const known = model.variants.map((one) => `${model.id}:${one.id}`).join(', ');
    throw new CommandError(`${model.id} is not known with the variant ${variantId}. Known: ${known}.`);
  }
  const reason = model.unserved ?? variant.unserved;
  if (reason !== null) throw new CommandError(`${model.id}:${variant.id} cannot be served: ${reason}`);
  return { model, variant };
}
