import { readSentenceEmbedding, type SentenceEmbedding } from '../../shared/checking/sentence-embedding.ts';
import { SENTENCE_EMBEDDING_PATH } from '../../shared/classes/catalogue.ts';
import { ShoalError } from '../../shared/errors.ts';
import type { Env } from '../env.ts';

/** The embedded sentence table under its own name: it is no network, and its vectors are no other model's. */
export const SENTENCE_TABLE_MODEL = 'shoal-embed-64';

let cached: SentenceEmbedding | null = null;

/** The table that every tab embeds answers with. Throws `router_not_configured` when the router was not built. */
export async function sentenceTable(env: Env): Promise<SentenceEmbedding> {
  if (cached !== null) return cached;
  const response = await env.ASSETS.fetch(`https://assets.local${SENTENCE_EMBEDDING_PATH}`);
  if (!response.ok) {
    throw new ShoalError('router_not_configured', 'The router has no sentence table: run npm run build.');
  }
  cached = readSentenceEmbedding(new Uint8Array(await response.arrayBuffer()));
  return cached;
}
