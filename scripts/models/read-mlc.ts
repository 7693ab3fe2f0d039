import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import * as v from 'valibot';
import type { ChatForm } from '../../shared/classes/catalogue.ts';
import { CommandError } from '../command-line.ts';
import { idFrom, type ModelFacts, statedLicence } from './model-facts.ts';

/** A file of an MLC model, in the catalogue's order. */
export interface MlcFile {
  /** As the engine looks for it. */
  readonly name: string;
  readonly path: string;
}

export const MLC_CONFIG = 'mlc-chat-config.json';
/** Lists the shards; the later name first. */
export const MLC_SHARD_LISTS = ['tensor-cache.json', 'ndarray-cache.json'] as const;
export const MLC_TOKENIZER = ['tokenizer.json', 'tokenizer_config.json'] as const;
/** The compiled model as the catalogue names it, whatever it was called before. */
export const MLC_LIBRARY = 'model-lib.wasm';

const positive = v.pipe(v.number(), v.safeInteger(), v.minValue(1), v.maxValue(1e7));

const config = v.object({
  model_type: v.string(),
  quantization: v.pipe(v.string(), v.regex(/^[a-z0-9_]{1,32}$/)),
  vocab_size: positive,
  context_window_size: v.pipe(v.number(), v.safeInteger()),
  model_config: v.object({
    num_hidden_layers: v.optional(positive, 1),
    num_attention_heads: v.optional(positive, 1),
    num_key_value_heads: v.optional(v.nullable(positive)),
    head_dim: v.optional(v.nullable(positive)),
    hidden_size: v.optional(positive, 1),
  }),
});

const shardList = v.object({
  metadata: v.optional(v.object({ ParamBytes: v.optional(v.number()), BitsPerParam: v.optional(v.number()) }), {}),
  records: v.pipe(
    v.array(
      v.object({
        dataPath: v.pipe(v.string(), v.regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/)),
        nbytes: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
      }),
    ),
    v.minLength(1),
    v.maxLength(1000),
  ),
});

const tokenText = v.optional(v.nullable(v.union([v.string(), v.object({ content: v.string() })])));
const tokenizerConfig = v.object({
  chat_template: v.optional(v.union([v.string(), v.array(v.object({ name: v.string(), template: v.string() }))])),
  bos_token: tokenText,
  eos_token: tokenText,
});

const tokenizer = v.object({
  added_tokens: v.optional(v.array(v.object({ content: v.string(), special: v.optional(v.boolean(), false) })), []),
  model: v.object({
    vocab: v.union([v.record(v.string(), v.number()), v.array(v.looseTuple([v.string()]))]),
  }),
});

/** Names of the files that a folder must have beside its library, by what its configuration lists. Throws {@link CommandError}. */
export function shardNames(folder: string, text: string): string[] {
  return readJson(folder, 'shard list', text, shardList).records.map(({ dataPath }) => dataPath);
}

/**
 * Reads a folder of a model that was compiled for web-llm, and its library. Prompts are put as its `tokenizer_config.json` says. Throws {@link CommandError} with what to do when
 * something is missing, cut, or not for this release.
 */
export async function readMlc(
  folder: string,
  library: string | null,
): Promise<{ readonly facts: ModelFacts; readonly files: readonly MlcFile[] }> {
  const names = await readdir(folder);
  const name = basename(resolve(folder));
  const textOf = async (file: string) => {
    if (!names.includes(file)) throw new CommandError(`${name} has no ${file}: it is no whole MLC model.`);
    return readFile(join(folder, file), 'utf8');
  };
  const settings = readJson(name, MLC_CONFIG, await textOf(MLC_CONFIG), config);
  const listName = MLC_SHARD_LISTS.find((list) => names.includes(list)) ?? MLC_SHARD_LISTS[0];
  const shards = readJson(name, listName, await textOf(listName), shardList);
  const words = readJson(name, MLC_TOKENIZER[0], await textOf(MLC_TOKENIZER[0]), tokenizer);
  const form = readJson(name, MLC_TOKENIZER[1], await textOf(MLC_TOKENIZER[1]), tokenizerConfig);
  for (const { dataPath, nbytes } of shards.records) {
    const size = (await stat(join(folder, dataPath)).catch(() => null))?.size ?? 0;
    if (size !== nbytes) {
      throw new CommandError(`${name} is cut: ${dataPath} has ${size} of ${nbytes} bytes. Download it again.`);
    }
  }
  const files = [
    ...[MLC_CONFIG, listName, ...MLC_TOKENIZER, ...shards.records.map(({ dataPath }) => dataPath)].map((file) => ({
      name: file,
      path: join(folder, file),
    })),
    { name: MLC_LIBRARY, path: library ?? libraryIn(folder, names) },
  ];
  const { quantization, model_config: model } = settings;
  const { ParamBytes, BitsPerParam } = shards.metadata;
  const id = idFrom(name.replace(/[-_]?mlc$/i, ''), quantization);
  const facts: ModelFacts = {
    format: 'mlc',
    defaultId: `${id}-mlc`,
    name,
    description: `${settings.model_type} model, compiled for WebGPU, read from ${name}.`,
    quantization,
    architecture: settings.model_type,
    parameters: ParamBytes === undefined || !BitsPerParam ? null : Math.round((ParamBytes * 8) / BitsPerParam),
    contextTokens: settings.context_window_size > 0 ? settings.context_window_size : 2048,
    longestTokenBytes: longestToken(words),
    licence: statedLicence(null, null),
    chat: chatFormOf(name, form, words),
    embed: null,
    shape: {
      layers: model.num_hidden_layers,
      heads: model.num_attention_heads,
      kvHeads: model.num_key_value_heads ?? model.num_attention_heads,
      headSize: model.head_dim ?? Math.ceil(model.hidden_size / model.num_attention_heads),
      vocabulary: settings.vocab_size,
    },
    // Libraries that compute in 16 bits need them of the adapter.
    needs: /f16/.test(quantization) ? ['webgpu', 'shader-f16'] : ['webgpu'],
  };
  return { facts, files };
}

function libraryIn(folder: string, names: readonly string[]): string {
  const [library, ...others] = names.filter((name) => name.endsWith('.wasm'));
  if (library !== undefined && others.length === 0) return join(folder, library);
  throw new CommandError(
    `${basename(folder)} has ${library === undefined ? 'no' : 'more than one'} model library (.wasm): name it with --library FILE_OR_URL.`,
  );
}

function chatFormOf(
  name: string,
  { chat_template: given, bos_token: bos, eos_token: eos }: v.InferOutput<typeof tokenizerConfig>,
  { added_tokens: added }: v.InferOutput<typeof tokenizer>,
): ChatForm {
  const template = Array.isArray(given) ? given.find((one) => one.name === 'default')?.template : given;
  if (template === undefined || template === '') {
    throw new CommandError(`${name} has no chat template in ${MLC_TOKENIZER[1]}: use an "Instruct" or "Chat" model.`);
  }
  const textOf = (token: typeof bos) => (typeof token === 'string' ? token : (token?.content ?? ''));
  return {
    template,
    bosToken: textOf(bos),
    eosToken: textOf(eos),
    addBos: false, // web-llm encodes a prompt as it is given.
    // Words that were added for other reasons, as runs of spaces are, stay whole.
    controlTokens: added
      .filter(({ content, special }) => special || /^<[^ ]+>$/.test(content))
      .map(({ content }) => content),
  };
}

/** UTF-8 bytes; in a byte-level vocabulary that is more than the token stands for, and then a prompt is refused later, by the tab. */
function longestToken({ model: { vocab } }: v.InferOutput<typeof tokenizer>): number {
  const tokens = Array.isArray(vocab) ? vocab.map(([token]) => token) : Object.keys(vocab);
  return tokens.reduce((longest, token) => Math.max(longest, Buffer.byteLength(token)), 1);
}

function readJson<T extends v.GenericSchema>(folder: string, file: string, text: string, schema: T): v.InferOutput<T> {
  let content: unknown = null;
  try {
    content = JSON.parse(text);
  } catch {
    throw new CommandError(`${file} of ${folder} is no JSON: the download may be cut.`);
  }
  const parsed = v.safeParse(schema, content);
  if (parsed.success) return parsed.output;
  throw new CommandError(`${file} of ${folder} is not as an MLC model has it, at ${v.getDotPath(parsed.issues[0])}.`);
}
