import type { Sure } from '../shared/checking/verdict.ts';
import type { Level } from '../shared/protocol/level.ts';

/** A request for vectors in OpenAI's shape. */
export interface EmbeddingParams {
  readonly model: string;
  readonly input: string | readonly string[];
  readonly encoding_format?: 'float' | 'base64';
  readonly dimensions?: number;
  readonly shoal?: {
    readonly level?: Level;
    readonly checks?: 1 | 2 | 3;
    readonly await_verdict?: boolean;
    readonly session?: string;
  };
}

/** The vectors, in the order of the texts. */
export interface Embeddings {
  readonly object: 'list';
  readonly model: string;
  readonly data: readonly {
    readonly object: 'embedding';
    readonly index: number;
    /** Base64 where it was asked for: float32, little endian. */
    readonly embedding: readonly number[] | string;
  }[];
  readonly usage: { readonly prompt_tokens: number; readonly total_tokens: number };
  /** Of a model in tabs. */
  readonly shoal?: { readonly tasks: readonly string[]; readonly receipts: readonly string[]; readonly sure: Sure };
}

/** Whether the router's answer is a list. What is in it is the router's word, as with every plain HTTP call. */
export function areEmbeddings(answer: unknown): answer is Embeddings {
  return typeof answer === 'object' && answer !== null && Array.isArray((answer as Partial<Embeddings>).data);
}
