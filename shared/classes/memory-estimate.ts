/** What decides how much memory a model takes, as its own metadata says. */
export interface ModelShape {
  readonly layers: number;
  readonly heads: number;
  readonly kvHeads: number;
  /** Numbers of a key or value of one head. */
  readonly headSize: number;
  readonly vocabulary: number;
}

/** Most tokens of a prompt that are computed at once: see `batchTokensFor`. */
const MOST_BATCH_TOKENS = 64;
/** The engine's code and tables and the workers that run it: what a tab's process grew by with Shoal Pup beyond the rest of the formula, 165 MB (`npm run bench:memory`). */
const ENGINE_BYTES = 160 * 1024 * 1024;
const F16 = 2;
const F32 = 4;

/**
 * Memory that the engine takes with a model, bytes: the weights, which llama.cpp reads from a file within its heap; keys and values in f16 for the whole context
 * (2 · layers · kvHeads · headSize · tokens numbers, `llama_kv_cache`); the largest tensors of a batch in f32, which are its scores (heads · tokens each) and its
 * logits (one a word of the vocabulary); and the engine itself. The browser's page
 * around it is not counted, nor what a download leaves for the moment of loading.
 */
export function estimateMemory(weightsBytes: number, shape: ModelShape, contextTokens: number): number {
  const { layers, heads, kvHeads, headSize, vocabulary } = shape;
  const keysAndValues = 2 * layers * kvHeads * headSize * contextTokens * F16;
  const batch = MOST_BATCH_TOKENS * (heads * contextTokens + vocabulary) * F32;
  return weightsBytes + keysAndValues + batch + ENGINE_BYTES;
}
