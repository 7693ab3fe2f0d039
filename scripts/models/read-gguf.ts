import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { GGMLFileQuantizationType, gguf } from '@huggingface/gguf';
import type { ChatForm, ModelEntry } from '../../shared/classes/catalogue.ts';
import type { ModelShape } from '../../shared/classes/memory-estimate.ts';
import { CommandError } from '../command-line.ts';

/** What a catalogue entry takes from a GGUF's own metadata. */
export interface GgufFacts {
  readonly defaultId: string;
  readonly name: string;
  readonly description: string;
  readonly quantization: string;
  readonly architecture: string;
  readonly parameters: number;
  readonly contextTokens: number;
  readonly longestTokenBytes: number;
  readonly licence: ModelEntry['licence'];
  readonly chat: ChatForm;
  readonly shape: ModelShape;
}

/** Where the licences that files name most often can be read. */
const LICENCE_TEXTS: Readonly<Record<string, string>> = {
  'apache-2.0': 'https://www.apache.org/licenses/LICENSE-2.0',
  mit: 'https://opensource.org/license/mit',
};

const TOKEN_TYPE_CONTROL = 3;
const TOKEN_TYPE_USER_DEFINED = 4;

/** Reads a local GGUF. Throws {@link CommandError} with what to do when the file is no chat model that this network can run. */
export async function readGguf(file: string): Promise<GgufFacts> {
  const parsed = await parse(file);
  const { metadata, tensorInfos } = parsed;
  await refuseCut(file, parsed);
  const meta: Readonly<Record<string, unknown>> = { ...metadata };
  const architecture = text(meta['general.architecture']) ?? 'unknown';
  const template = text(meta['tokenizer.chat_template']);
  if (template === null) {
    throw new CommandError(
      `${basename(file)} has no chat template: it is not a chat model. Use an "Instruct" or "Chat" file.`,
    );
  }
  const tokens = list(meta['tokenizer.ggml.tokens']).map(String);
  const types = list(meta['tokenizer.ggml.token_type']).map(Number);
  if (tokens.length === 0) throw new CommandError(`${basename(file)} has no vocabulary.`);
  const kind = text(meta['tokenizer.ggml.model']) ?? 'gpt2';
  const tokenAt = (key: string) => tokens[Number(meta[key] ?? -1)] ?? '';
  const quantization = GGMLFileQuantizationType[Number(meta['general.file_type'])]?.toLowerCase() ?? 'unknown';
  const licence = text(meta['general.license']) ?? 'unknown';
  const notice = [text(meta['general.license.name']), text(meta['general.license.link'])].filter(
    (part) => part !== null,
  );
  return {
    defaultId: idFrom(basename(file), quantization),
    name: text(meta['general.name']) ?? basename(file),
    description: text(meta['general.description']) ?? `${architecture} model, read from ${basename(file)}.`,
    quantization,
    architecture,
    parameters: Number(tensorInfos.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1n), 0n)),
    contextTokens: Number(meta[`${architecture}.context_length`] ?? 2048),
    longestTokenBytes: longestToken(tokens, types, kind),
    licence: {
      id: licence,
      notice: notice.length > 0 ? notice.join(' ') : `Licence as stated in the file: ${licence}.`,
      url: LICENCE_TEXTS[licence] ?? null,
      mustShow: false,
    },
    shape: shapeOf(meta, architecture, tokens.length),
    chat: {
      template,
      bosToken: tokenAt('tokenizer.ggml.bos_token_id'),
      eosToken: tokenAt('tokenizer.ggml.eos_token_id'),
      addBos: addsBos(meta, kind),
      controlTokens: tokens.filter((_, i) => types[i] === TOKEN_TYPE_CONTROL || types[i] === TOKEN_TYPE_USER_DEFINED),
    },
  };
}

/**
 * A download that broke off has its metadata whole: what is missing is at the end. Tensors lie one after the other, so all but the last tell their
 * size, and with it the bytes that a value of their type takes.
 */
async function refuseCut(file: string, { tensorInfos, tensorDataOffset }: Awaited<ReturnType<typeof parse>>) {
  const tensors = tensorInfos
    .map(({ shape, dtype, offset }) => ({
      values: Number(shape.reduce((a, b) => a * b, 1n)),
      dtype,
      at: Number(offset),
    }))
    .sort((a, b) => a.at - b.at);
  const bytesPerValue = new Map<number, number>();
  tensors.forEach(({ values, dtype, at }, i) => {
    const next = tensors[i + 1];
    if (next !== undefined) bytesPerValue.set(dtype, Math.min(bytesPerValue.get(dtype) ?? 8, (next.at - at) / values));
  });
  const last = tensors.at(-1);
  if (last === undefined) return;
  const wanted = Number(tensorDataOffset) + last.at + Math.floor(last.values * (bytesPerValue.get(last.dtype) ?? 0));
  const { size } = await stat(file);
  if (size >= wanted) return;
  const [have, need] = [size, wanted].map((bytes) => (bytes / 1e6).toFixed(1));
  throw new CommandError(`${basename(file)} is cut: it has ${have} of ${need} MB. Download it again.`);
}

async function parse(file: string) {
  try {
    return await gguf(file, { allowLocalFile: true });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CommandError(`${basename(file)} is not a readable GGUF file: ${reason}`);
  }
}

/** llama.cpp's own rule where the file does not say: SentencePiece vocabularies and Llama 3's have it, other BPE ones do not. */
function addsBos(meta: Readonly<Record<string, unknown>>, kind: string): boolean {
  const stated = meta['tokenizer.ggml.add_bos_token'];
  if (typeof stated === 'boolean') return stated;
  const pre = text(meta['tokenizer.ggml.pre']) ?? '';
  return kind === 'llama' || ['llama-bpe', 'llama3', 'llama-v3'].includes(pre);
}

/** In a byte-level vocabulary each character stands for one byte; in others a token is its own UTF-8. */
function longestToken(tokens: readonly string[], types: readonly number[], kind: string): number {
  let longest = 1;
  tokens.forEach((token, i) => {
    if (types[i] === TOKEN_TYPE_CONTROL) return;
    longest = Math.max(longest, kind === 'gpt2' ? [...token].length : Buffer.byteLength(token));
  });
  return longest;
}

/** `SmolLM2-135M-Instruct.Q4_1.gguf` → `smollm2-135m-instruct`. */
function idFrom(file: string, quantization: string): string {
  return file
    .toLowerCase()
    .replace(/\.gguf$/, '')
    .replace(new RegExp(`[.-]?${quantization.replace(/_/g, '[_-]')}$`), '')
    .replace(/[^a-z0-9._-]+/g, '-')
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '');
}

/** As llama.cpp reads it: `key_length` where the file has it, else the width of a token's vector over the heads. */
function shapeOf(meta: Readonly<Record<string, unknown>>, architecture: string, vocabulary: number): ModelShape {
  const figure = (key: string) => {
    const value = meta[`${architecture}.${key}`];
    // A list has one figure a layer: the largest is taken for all.
    const numbers = (Array.isArray(value) ? value : [value]).map(Number).filter(Number.isFinite);
    return numbers.length === 0 ? null : Math.max(...numbers);
  };
  const heads = figure('attention.head_count') ?? 1;
  return {
    layers: figure('block_count') ?? 0,
    heads,
    kvHeads: figure('attention.head_count_kv') ?? heads,
    headSize: figure('attention.key_length') ?? Math.ceil((figure('embedding_length') ?? 0) / heads),
    vocabulary,
  };
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null;
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
