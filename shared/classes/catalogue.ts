import * as v from 'valibot';
import { sha256, toHex, utf8 } from '../bytes.ts';
import { ShoalError } from '../errors.ts';
import { modelName, shownText } from '../protocol/fields.ts';
import type { TaskKind } from '../protocol/task-kind.ts';
import { type ClassTraits, classIdOf } from './class-id.ts';
import { WEB_LLM_BUILD } from './web-llm-build.ts';
import { type EngineBuild, WLLAMA_BUILD } from './wllama-build.ts';

/** The catalogue: public model names, their variants, and all that a tab needs to fetch, check and run one. */

const sha256Hex = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const bytes = v.pipe(v.number(), v.safeInteger(), v.minValue(1));

/** An address, or the beginning of one: its host enters the pages' content security policy, so it may hold nothing that means something there. */
const WEB_ADDRESS = /^(https:\/\/[a-z0-9.-]+(:\d{1,5})?|http:\/\/(localhost|127\.0\.0\.1)(:\d{1,5})?)(\/[!-~]*)?$/;
export const webAddress = v.pipe(
  v.string(),
  v.maxLength(2000),
  v.regex(WEB_ADDRESS),
  v.check((url) => URL.canParse(url), 'no address'),
);

export const modelPiece = v.object({ sha256: sha256Hex, bytes });

/** One file of a variant. */
const weightsFile = v.object({
  name: v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/)),
  bytes,
  /** Absolute addresses of this file elsewhere; each answers ranges, and pages of any origin. */
  mirrors: v.pipe(v.array(webAddress), v.maxLength(16)),
});
export type WeightsFile = v.InferOutput<typeof weightsFile>;

const weights = v.pipe(
  v.object({
    /** Of all files, one after the other. */
    sha256: sha256Hex,
    bytes,
    /** What is fetched, checked and kept by itself, in order. None straddles the border of two files. */
    pieces: v.pipe(v.array(modelPiece), v.minLength(1), v.maxLength(4096)),
    files: v.pipe(v.array(weightsFile), v.minLength(1), v.maxLength(1024)),
    /** Whether the router has the pieces, at `piecePath`. */
    hosted: v.boolean(),
    /** Where the mirrors send on to, as seen when the model was added: pages may connect there too. */
    redirectOrigins: v.pipe(v.array(webAddress), v.maxLength(32)),
  }),
  v.check(({ hosted, files }) => hosted || files.every(({ mirrors }) => mirrors.length > 0), 'nobody has the files'),
  v.check(({ bytes, pieces, files }) => piecesFillFiles(bytes, pieces, files), 'pieces and files do not agree'),
);

/** What a device must have beside memory. */
export const NEEDS = ['webgpu', 'shader-f16'] as const;
export type Need = (typeof NEEDS)[number];

export const variantEntry = v.object({
  /** Quantization as the file says, lower case: `q8_0`, `q4_0`, `f16`; of an MLC folder `q4f16_1` and the like. */
  id: modelName,
  /** `gguf`: one file, or its parts. `mlc`: configuration, tokenizer, shards and model library. */
  format: v.picklist(['gguf', 'mlc']),
  weights,
  /** What a tab needs to run it, estimated: see `memory-estimate.ts`. */
  memoryBytes: bytes,
  needs: v.array(v.picklist(NEEDS)),
});
export type VariantEntry = v.InferOutput<typeof variantEntry>;

/** What a model can do. Tabs of this release chat and embed. */
export const CAPABILITIES = ['chat', 'embed', 'rerank', 'vision'] as const;
export type Capability = (typeof CAPABILITIES)[number];

const chatForm = v.object({
  /** Jinja chat template from the file. */
  template: v.pipe(v.string(), v.minLength(1), v.maxLength(65_536)),
  bosToken: v.string(),
  eosToken: v.string(),
  /** Whether the engine puts the first token before every prompt by itself. */
  addBos: v.boolean(),
  /** Control tokens as text. They are broken up where a message contains them, so that no text can pose as a turn. */
  controlTokens: v.pipe(v.array(v.string()), v.maxLength(4096)),
});
export type ChatForm = v.InferOutput<typeof chatForm>;

export const licence = v.object({
  id: shownText(100),
  notice: shownText(2000),
  /** Its whole text; null where nobody said. */
  url: v.nullable(webAddress),
  /** Whether notice and address must be shown before the weights are fetched. */
  mustShow: v.boolean(),
});

export const modelEntry = v.pipe(
  v.object({
    id: modelName,
    name: shownText(200),
    description: shownText(2000),
    capabilities: v.pipe(v.array(v.picklist(CAPABILITIES)), v.minLength(1)),
    licence,
    parameters: v.nullable(v.pipe(v.number(), v.safeInteger())),
    /** Tokens that a conversation, or a text to embed, may have on this network, prompt and answer together. */
    contextTokens: v.pipe(v.number(), v.safeInteger(), v.minValue(64), v.maxValue(1_000_000)),
    /** Longest token of the vocabulary, UTF-8 bytes: a prompt of n bytes has at least n ÷ this many tokens. */
    longestTokenBytes: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
    /** Null for a model that does not chat. */
    chat: v.nullable(chatForm),
    /** Null for a model that does not embed. */
    embed: v.nullable(
      v.object({
        /** Numbers of a vector. */
        dimensions: v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(65_536)),
        /** How the vectors of the tokens become one. */
        pooling: v.picklist(['mean', 'cls', 'last']),
      }),
    ),
    /** Used where a request leaves the value out; null for a model that does not chat. */
    defaults: v.nullable(
      v.object({ temperature: v.number(), topP: v.number(), maxTokens: v.pipe(v.number(), v.safeInteger()) }),
    ),
    variants: v.pipe(v.array(variantEntry), v.minLength(1)),
  }),
  v.check(
    ({ capabilities, chat, embed, defaults }) =>
      capabilities.includes('chat') === (chat !== null && defaults !== null) &&
      capabilities.includes('embed') === (embed !== null),
    'capabilities and forms do not agree',
  ),
  v.check(({ chat, embed }) => chat === null || embed === null, 'one name is for chats or for vectors'),
);
export type ModelEntry = v.InferOutput<typeof modelEntry>;

/** Whether the pieces, one after the other, end where the files do. */
function piecesFillFiles(
  whole: number,
  pieces: readonly { readonly bytes: number }[],
  files: readonly { readonly bytes: number }[],
): boolean {
  const endsOfPieces = ends(pieces);
  const endsOfFiles = ends(files);
  const borders = new Set(endsOfPieces);
  return endsOfPieces.at(-1) === whole && endsOfFiles.at(-1) === whole && endsOfFiles.every((end) => borders.has(end));
}

function ends(parts: readonly { readonly bytes: number }[]): number[] {
  let at = 0;
  return parts.map(({ bytes }) => {
    at += bytes;
    return at;
  });
}

/** What the tabs that run a model do with it. */
export function kindOf({ chat }: Pick<ModelEntry, 'chat'>): TaskKind {
  return chat === null ? 'embed' : 'chat';
}

/** How prompts are put to a model. Throws `invalid_value` when it does not chat. */
export function chatFormOf(model: ModelEntry): ChatForm {
  if (model.chat !== null) return model.chat;
  throw new ShoalError('invalid_value', `The model '${model.id}' does not chat.`, { param: 'model' });
}

export const catalogue = v.object({ v: v.literal(2), models: v.array(modelEntry) });
export type Catalogue = v.InferOutput<typeof catalogue>;

/** Where a piece of a weights file lies below the router's address. */
export function piecePath(weightsSha256: string, index: number): string {
  return `/models/weights/${weightsSha256}/${String(index).padStart(4, '0')}.bin`;
}

export const CATALOGUE_PATH = '/models/catalogue.json';
export const SENTENCE_EMBEDDING_PATH = '/models/shoal-embed-64.bin';

/** How an engine may compute: what is chosen on the device, beside the file. */
export interface Arithmetic {
  readonly backend: 'cpu' | 'webgpu';
  readonly flashAttention: boolean;
}

export const EXACT_ARITHMETIC: Arithmetic = { backend: 'cpu', flashAttention: false };

/** How graphics processors compute: each a little differently. */
export const GPU_ARITHMETIC: Arithmetic = { backend: 'webgpu', flashAttention: false };

/** All in which a tab of this release may run a GGUF, the exact one first. */
export const ARITHMETICS: readonly Arithmetic[] = [
  EXACT_ARITHMETIC,
  { backend: 'cpu', flashAttention: true },
  GPU_ARITHMETIC,
];

export async function traitsOf(
  model: ModelEntry,
  variant: VariantEntry,
  build: EngineBuild = WLLAMA_BUILD,
  arithmetic: Arithmetic = EXACT_ARITHMETIC,
): Promise<ClassTraits> {
  return {
    weights: variant.weights.sha256,
    engine: build.engine,
    engineBuild: build.engineBuild,
    backend: arithmetic.backend,
    flashAttention: arithmetic.flashAttention,
    // An MLC library keeps keys and values as it computes: `q4f32_1` in 32 bits.
    kvType: variant.format === 'mlc' && /f32/.test(variant.id) ? 'f32' : 'f16',
    contextTokens: model.contextTokens,
    template: toHex(await sha256(utf8(JSON.stringify(inputForm(model))))),
    renderer: 1,
    samplers: 1,
  };
}

/** All that the catalogue says of how a text becomes tokens and, for an embedding model, a vector. */
function inputForm({ chat, embed }: ModelEntry): readonly unknown[] {
  if (chat === null) return ['embed', embed?.pooling];
  return [chat.template, chat.bosToken, chat.eosToken, chat.addBos, chat.controlTokens];
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

/** All that a router offers: what runs on processors, the exact classes first, and what runs on graphics processors alone. */
export async function everyClass(
  models: Catalogue,
  arithmetics: readonly Arithmetic[] = ARITHMETICS,
): Promise<ServedVariant[]> {
  const [gguf, mlc] = await Promise.all([servedClasses(models, WLLAMA_BUILD, arithmetics), webLlmClasses(models)]);
  return [...gguf, ...mlc];
}

/** Every MLC variant of a model that chats. A vector from a graphics processor could not be checked: nobody computes it again to the byte. */
async function webLlmClasses(models: Catalogue): Promise<ServedVariant[]> {
  const pairs = models.models
    .filter(({ chat }) => chat !== null)
    .flatMap((model) => model.variants.map((variant) => ({ model, variant })))
    .filter(({ variant }) => variant.format === 'mlc');
  return Promise.all(
    pairs.map(async ({ model, variant }) => {
      const traits = await traitsOf(model, variant, WEB_LLM_BUILD, GPU_ARITHMETIC);
      return { model, variant, class: await classIdOf(traits), arithmetic: GPU_ARITHMETIC };
    }),
  );
}

/** Every GGUF variant in every arithmetic, the exact ones first. */
export async function servedClasses(
  models: Catalogue,
  build: EngineBuild = WLLAMA_BUILD,
  arithmetics: readonly Arithmetic[] = ARITHMETICS,
): Promise<ServedVariant[]> {
  // The engine of these classes reads GGUF files, and runs models that chat or embed.
  const pairs = models.models
    .filter(({ chat, embed }) => chat !== null || embed !== null)
    .flatMap((model) => model.variants.map((variant) => ({ model, variant })))
    .filter(({ variant }) => variant.format === 'gguf');
  return Promise.all(
    arithmetics.flatMap((arithmetic) =>
      pairs
        .filter(({ model }) => isMeantFor(model, arithmetic))
        .map(async (pair) => {
          const traits = await traitsOf(pair.model, pair.variant, build, arithmetic);
          return { ...pair, class: await classIdOf(traits), arithmetic };
        }),
    ),
  );
}

/** A vector that nobody computes again to the byte could not be checked at all: there is nothing in it to read. */
function isMeantFor(model: ModelEntry, { backend, flashAttention }: Arithmetic): boolean {
  return kindOf(model) === 'chat' || (backend === 'cpu' && !flashAttention);
}

/** `shoal-pup-3m` means any variant, `shoal-pup-3m:q8_0` this one. Empty when the name is unknown. */
export function variantsNamed(variants: readonly ServedVariant[], name: string): ServedVariant[] {
  return variants.filter(({ model, variant }) => model.id === name || `${model.id}:${variant.id}` === name);
}
