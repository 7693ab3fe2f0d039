import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { GGMLFileQuantizationType, gguf } from '@huggingface/gguf';
import type { ChatForm, ModelEntry } from '../../shared/classes/catalogue.ts';
import type { ModelShape } from '../../shared/classes/memory-estimate.ts';
import { CommandError } from '../command-line.ts';
import { idFrom, type ModelFacts, statedLicence, textOrNull } from './model-facts.ts';

type Metadata = Readonly<Record<string, unknown>>;

const TOKEN_TYPE_CONTROL = 3;
const TOKEN_TYPE_USER_DEFINED = 4;
/** llama.cpp's `enum llama_pooling_type`, as far as it makes one vector of a text. */
const POOLINGS: Readonly<Record<number, 'mean' | 'cls' | 'last'>> = { 1: 'mean', 2: 'cls', 3: 'last' };
const POOLING_RANK = 4;

/** Reads a local GGUF. Throws {@link CommandError} with what to do when it is no model that tabs of this release can run, whatever the file holds. */
export async function readGguf(file: string): Promise<ModelFacts> {
  const name = basename(file);
  const parsed = await parse(file);
  try {
    await refuseCut(file, parsed);
    const { metadata, tensorInfos } = parsed;
    const parameters = tensorInfos.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1n), 0n);
    return factsOf(name, { ...metadata }, Number(parameters));
  } catch (cause) {
    if (cause instanceof CommandError) throw cause;
    throw unreadable(name, cause);
  }
}

function factsOf(name: string, meta: Metadata, parameters: number): ModelFacts {
  const architecture = textOrNull(meta['general.architecture']) ?? 'unknown';
  if (architecture === 'clip') {
    throw new CommandError(`${name} is the part of a vision model that reads pictures: no tab of this release does.`);
  }
  const template = textOrNull(meta['tokenizer.chat_template']);
  const embed = template === null ? embedFormOf(name, meta, architecture) : null;
  if (template === null && embed === null) {
    throw new CommandError(
      `${name} has no chat template, and does not say how to embed: use an "Instruct" or "Chat" file, or an embedding model.`,
    );
  }
  const tokens = list(meta['tokenizer.ggml.tokens']).map(String);
  const types = list(meta['tokenizer.ggml.token_type']).map(Number);
  if (tokens.length === 0) throw new CommandError(`${name} has no vocabulary.`);
  const kind = textOrNull(meta['tokenizer.ggml.model']) ?? 'gpt2';
  const tokenAt = (key: string) => tokens[Number(meta[key] ?? -1)] ?? '';
  const quantization = GGMLFileQuantizationType[Number(meta['general.file_type'])]?.toLowerCase() ?? 'unknown';
  const stated = [textOrNull(meta['general.license.name']), textOrNull(meta['general.license.link'])].filter(
    (part) => part !== null,
  );
  const chat: ChatForm | null =
    template === null
      ? null
      : {
          template,
          bosToken: tokenAt('tokenizer.ggml.bos_token_id'),
          eosToken: tokenAt('tokenizer.ggml.eos_token_id'),
          addBos: addsBos(meta, kind),
          controlTokens: tokens.filter(
            (_, i) => types[i] === TOKEN_TYPE_CONTROL || types[i] === TOKEN_TYPE_USER_DEFINED,
          ),
        };
  return {
    format: 'gguf',
    defaultId: idFrom(name.replace(/\.gguf$/i, '').replace(SPLIT, ''), quantization),
    name: textOrNull(meta['general.name']) ?? name,
    description: textOrNull(meta['general.description']) ?? `${architecture} model, read from ${name}.`,
    quantization,
    architecture,
    parameters: whole(parameters, 1, Number.MAX_SAFE_INTEGER, `${name} has no tensors of a size that can be.`),
    contextTokens: whole(
      Number(meta[`${architecture}.context_length`] ?? 2048),
      1,
      1e9,
      `${name} has a context length that cannot be.`,
    ),
    longestTokenBytes: longestToken(tokens, types, kind),
    licence: statedLicence(textOrNull(meta['general.license']), stated.length > 0 ? stated.join(' ') : null),
    chat,
    embed,
    shape: shapeOf(name, meta, architecture, tokens.length),
    needs: [],
  };
}

/** What a file is called that holds one part of a model: `-00001-of-00003` before its ending. */
export const SPLIT = /-(\d{5})-of-(\d{5})$/;

/** Null for a model that does not say how one vector is made of a text. Throws {@link CommandError} for a reranker. */
function embedFormOf(name: string, meta: Metadata, architecture: string): ModelEntry['embed'] {
  const pooling = Number(meta[`${architecture}.pooling_type`] ?? 0);
  if (pooling === POOLING_RANK) {
    throw new CommandError(`${name} is a reranker: no tab of this release reranks.`);
  }
  const known = POOLINGS[pooling];
  if (known === undefined) return null;
  const dimensions = Number(meta[`${architecture}.embedding_length`] ?? 0);
  return { dimensions: whole(dimensions, 1, 65_536, `${name} has vectors of a size that cannot be.`), pooling: known };
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
    throw unreadable(basename(file), cause);
  }
}

function unreadable(name: string, cause: unknown): CommandError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new CommandError(`${name} is not a readable GGUF file: ${reason}`);
}

/** llama.cpp's own rule where the file does not say: SentencePiece vocabularies and Llama 3's have it, other BPE ones do not. */
function addsBos(meta: Metadata, kind: string): boolean {
  const stated = meta['tokenizer.ggml.add_bos_token'];
  if (typeof stated === 'boolean') return stated;
  const pre = textOrNull(meta['tokenizer.ggml.pre']) ?? '';
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

/** As llama.cpp reads it: `key_length` where the file has it, else the width of a token's vector over the heads. */
function shapeOf(name: string, meta: Metadata, architecture: string, vocabulary: number): ModelShape {
  const figure = (key: string) => {
    const value = meta[`${architecture}.${key}`];
    if (value === undefined) return null;
    // A list has one figure a layer: the largest is taken for all.
    const largest = Math.max(...(Array.isArray(value) ? value.slice(0, 10_000) : [value]).map(Number));
    return whole(largest, 0, 1e7, `${name} has a ${key} that cannot be.`);
  };
  const heads = figure('attention.head_count') ?? 1;
  return {
    layers: figure('block_count') ?? 0,
    heads,
    kvHeads: figure('attention.head_count_kv') ?? heads,
    headSize: figure('attention.key_length') ?? Math.ceil((figure('embedding_length') ?? 0) / Math.max(1, heads)),
    vocabulary,
  };
}

function whole(value: number, low: number, high: number, otherwise: string): number {
  if (Number.isSafeInteger(value) && value >= low && value <= high) return value;
  throw new CommandError(otherwise);
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}
