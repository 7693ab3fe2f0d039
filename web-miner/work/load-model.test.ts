import { expect, it } from 'vitest';
import type { ModelEntry } from '../../shared/classes/catalogue.ts';
import type { Embedded } from '../engine/engine.ts';
import { loadOptionsOf, rendererOf, warmUpEmbedding } from './load-model.ts';

const never = new AbortController().signal;

it('loads a model that embeds with a batch as long as its context, and its own pooling', () => {
  const chats = { contextTokens: 2048, embed: null };
  const embeds = { contextTokens: 512, embed: { dimensions: 384, pooling: 'cls' as const } };
  expect(loadOptionsOf(chats, 32)).toEqual({ contextTokens: 2048, threads: 1, batchTokens: 32, embeddings: false });
  expect(loadOptionsOf(embeds, 32)).toEqual({
    contextTokens: 512,
    threads: 1,
    batchTokens: 512,
    embeddings: true,
    pooling: 'cls',
  });
});

it('puts no conversation to a model that embeds', () => {
  const renderer = rendererOf({ chat: null } as ModelEntry);
  expect(() => renderer.render([{ role: 'user', content: 'Hello!' }])).toThrow('embeds, and does not chat');
});

it('finds a device that computes two vectors for one text', async () => {
  const engine = (...vectors: number[][]) => ({
    embed: async (): Promise<Embedded> => ({ vector: Float32Array.from(vectors.shift() ?? []), tokens: 20 }),
  });
  expect(await warmUpEmbedding(engine([1, 0], [1, 0]), never)).toBeGreaterThan(0);
  await expect(warmUpEmbedding(engine([1, 0], [0, 1]), never)).rejects.toMatchObject({ reason: 'crashed' });
  await expect(warmUpEmbedding(engine([Number.NaN], [Number.NaN]), never)).rejects.toMatchObject({ reason: 'crashed' });
});
