import * as v from 'valibot';
import { ShoalError } from '../shared/errors.ts';
import type { Level } from '../shared/protocol/level.ts';
import type { RouterCalls } from './router-calls.ts';

/** A request for vectors in OpenAI's shape. */
export interface EmbeddingParams {
  readonly model: string;
  readonly input: string | readonly string[];
  readonly encoding_format?: 'float' | 'base64';
  readonly dimensions?: number;
  readonly shoal?: { readonly level?: Level; readonly checks?: 1 | 2 | 3; readonly await_verdict?: boolean };
}

const embeddings = v.looseObject({
  object: v.literal('list'),
  model: v.string(),
  data: v.array(
    v.looseObject({
      object: v.literal('embedding'),
      index: v.number(),
      /** Base64 where it was asked for: float32, little endian. */
      embedding: v.union([v.array(v.number()), v.string()]),
    }),
  ),
  usage: v.object({ prompt_tokens: v.number(), total_tokens: v.number() }),
  /** Of a model in tabs. */
  shoal: v.optional(v.looseObject({ tasks: v.array(v.string()), receipts: v.array(v.string()), sure: v.string() })),
});
export type Embeddings = v.InferOutput<typeof embeddings>;

/** By plain HTTP: the router reads the texts, and seals them to the tabs itself. Throws {@link ShoalError}. */
export async function embed(
  calls: RouterCalls,
  params: EmbeddingParams,
  bearer: string | null,
  signal: AbortSignal | undefined,
): Promise<Embeddings> {
  const parsed = v.safeParse(embeddings, await calls.post('/v1/embeddings', params, bearer, signal));
  if (!parsed.success) throw new ShoalError('integrity_failed', 'That is no list of embeddings.');
  return parsed.output;
}
