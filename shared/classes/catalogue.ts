import * as v from 'valibot';
import { sha256, toHex, utf8 } from '../bytes.ts';
import { modelName, shownText } from '../protocol/fields.ts';
import { type ClassTraits, classIdOf } from './class-id.ts';
import { type EngineBuild, WLLAMA_BUILD } from './wllama-build.ts';

/** The catalogue: public model names, their variants, and all that a tab needs to fetch, check and run one. */

const sha256Hex = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const bytes = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

export const modelPiece = v.object({ sha256: sha256Hex, bytes });

export const variantEntry = v.object({
  /** Quantization as the file says, lower case: `q8_0`, `q4_0`, `f16`. */
  id: modelName,
  /** The whole file, and its pieces in order; a piece is fetched, checked and kept by itself. */
  weights: v.object({
    sha256: sha256Hex,
    bytes,
    pieces: v.pipe(v.array(modelPiece), v.minLength(1), v.maxLength(4096)),
  }),
});
export type VariantEntry = v.InferOutput<typeof variantEntry>;

export const modelEntry = v.object({
  id: modelName,
  name: shownText(200),
  description: shownText(2000),
  capabilities: v.array(v.picklist(['chat'])),
  licence: v.object({ id: shownText(100), notice: shownText(2000) }),
  parameters: v.nullable(v.pipe(v.number(), v.safeInteger())),
  /** Tokens that a conversation may have on this network, prompt and answer together. */
  contextTokens: v.pipe(v.number(), v.safeInteger(), v.minValue(64), v.maxValue(1_000_000)),
  /** Longest token of the vocabulary, UTF-8 bytes: a prompt of n bytes has at least n ÷ this many tokens. */
  longestTokenBytes: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  chat: v.object({
    /** Jinja chat template from the file. */
    template: v.pipe(v.string(), v.minLength(1), v.maxLength(65_536)),
    bosToken: v.string(),
    eosToken: v.string(),
    /** Whether the engine puts the first token before every prompt by itself. */
    addBos: v.boolean(),
    /** Control tokens as text. They are broken up where a message contains them, so that no text can pose as a turn. */
    controlTokens: v.pipe(v.array(v.string()), v.maxLength(4096)),
  }),
  /** Used where a request leaves the value out. */
  defaults: v.object({ temperature: v.number(), topP: v.number(), maxTokens: v.pipe(v.number(), v.safeInteger()) }),
  variants: v.pipe(v.array(variantEntry), v.minLength(1)),
});
export type ModelEntry = v.InferOutput<typeof modelEntry>;

export const catalogue = v.object({ v: v.literal(1), models: v.array(modelEntry) });
export type Catalogue = v.InferOutput<typeof catalogue>;

/** Where a piece of a weights file lies below the router's address. */
export function piecePath(weightsSha256: string, index: number): string {
  return `/models/weights/${weightsSha256}/${String(index).padStart(4, '0')}.bin`;
}

export const CATALOGUE_PATH = '/models/catalogue.json';
export const SENTENCE_EMBEDDING_PATH = '/models/shoal-embed-64.bin';

/** How an engine may compute: what is chosen on the device, beside the file. */
export interface Arithmetic {
  readonly flashAttention: boolean;
}

export const EXACT_ARITHMETIC: Arithmetic = { flashAttention: false };

/** All that a tab of this release may run, the exact one first. */
export const ARITHMETICS: readonly Arithmetic[] = [EXACT_ARITHMETIC, { flashAttention: true }];

export async function traitsOf(
  model: ModelEntry,
  variant: VariantEntry,
  build: EngineBuild = WLLAMA_BUILD,
  arithmetic: Arithmetic = EXACT_ARITHMETIC,
): Promise<ClassTraits> {
  const { template, bosToken, eosToken, addBos, controlTokens } = model.chat;
  return {
    weights: variant.weights.sha256,
    engine: build.engine,
    engineBuild: build.engineBuild,
    backend: 'cpu',
    flashAttention: arithmetic.flashAttention,
    kvType: 'f16',
    contextTokens: model.contextTokens,
    template: toHex(await sha256(utf8(JSON.stringify([template, bosToken, eosToken, addBos, controlTokens])))),
    renderer: 1,
    samplers: 1,
  };
}

/** A model and one of its variants, with a class that tabs running it form. */
export interface ServedVariant {
  readonly model: ModelEntry;
  readonly variant: VariantEntry;
  readonly class: string;
  readonly arithmetic: Arithmetic;
}

/** Every variant with its exact class: with the engine of this release, or an older one that is still served. */
export function servedVariants(models: Catalogue, build: EngineBuild = WLLAMA_BUILD): Promise<ServedVariant[]> {
  return servedClasses(models, build, [EXACT_ARITHMETIC]);
}

/** Every variant in every arithmetic, the exact ones first. */
export async function servedClasses(
  models: Catalogue,
  build: EngineBuild = WLLAMA_BUILD,
  arithmetics: readonly Arithmetic[] = ARITHMETICS,
): Promise<ServedVariant[]> {
  const pairs = models.models.flatMap((model) => model.variants.map((variant) => ({ model, variant })));
  return Promise.all(
    arithmetics.flatMap((arithmetic) =>
      pairs.map(async (pair) => {
        const traits = await traitsOf(pair.model, pair.variant, build, arithmetic);
        return { ...pair, class: await classIdOf(traits), arithmetic };
      }),
    ),
  );
}

/** `shoal-pup-3m` means any variant, `shoal-pup-3m:q8_0` this one. Empty when the name is unknown. */
export function variantsNamed(variants: readonly ServedVariant[], name: string): ServedVariant[] {
  return variants.filter(({ model, variant }) => model.id === name || `${model.id}:${variant.id}` === name);
}
