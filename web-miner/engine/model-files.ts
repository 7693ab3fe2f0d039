import * as v from 'valibot';
import { EngineError } from './engine.ts';

/** A file of a model whose weights are several files, one after the other. */
export interface ModelFile {
  readonly name: string;
  readonly bytes: number;
}

/** Cuts the whole into its files; nothing is read or copied. Throws `load_failed` when the table does not cover the whole. */
export function cutIntoFiles(weights: Blob, files: readonly ModelFile[]): ReadonlyMap<string, Blob> {
  const cut = new Map<string, Blob>();
  let at = 0;
  for (const { name, bytes } of files) {
    cut.set(name, weights.slice(at, at + bytes));
    at += bytes;
  }
  if (at !== weights.size) {
    throw new EngineError('load_failed', `The model has ${weights.size} bytes, and its files have ${at}.`);
  }
  return cut;
}

const tokenId = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

/** What an engine reads of `mlc-chat-config.json`. Sampling defaults and the conversation template are not used: prompts are rendered by `render-prompt.ts`. */
export const mlcConfig = v.object({
  vocab_size: v.pipe(v.number(), v.safeInteger(), v.minValue(1)),
  /** Of a sliding window model -1; then the window says how much fits. */
  context_window_size: v.pipe(v.number(), v.safeInteger()),
  sliding_window_size: v.optional(v.nullable(v.pipe(v.number(), v.safeInteger())), -1),
  tokenizer_info: v.optional(
    v.nullable(v.object({ token_postproc_method: v.optional(v.picklist(['byte_level', 'byte_fallback', 'raw'])) })),
  ),
  /** Older folders have it here. */
  token_table_postproc_method: v.optional(v.picklist(['byte_level', 'byte_fallback', 'raw'])),
  eos_token_id: v.optional(v.nullable(v.union([tokenId, v.array(tokenId)]))),
  conv_template: v.optional(v.nullable(v.object({ stop_token_ids: v.optional(v.array(tokenId), []) }))),
});
export type MlcConfig = v.InferOutput<typeof mlcConfig>;

/** Tokens that a conversation may have at most. */
export function contextOf({ context_window_size, sliding_window_size }: MlcConfig): number {
  return context_window_size > 0 ? context_window_size : (sliding_window_size ?? 0);
}

/** Tokens that end an answer. */
export function stopTokensOf({ eos_token_id, conv_template }: MlcConfig): ReadonlySet<number> {
  const ends = eos_token_id === undefined || eos_token_id === null ? [] : [eos_token_id].flat();
  return new Set([...ends, ...(conv_template?.stop_token_ids ?? [])]);
}
