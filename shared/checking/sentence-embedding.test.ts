import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { toBytes } from '../bytes.ts';
import golden from './golden-sentence-embedding.json' with { type: 'json' };
import { readSentenceEmbedding } from './sentence-embedding.ts';
import { cosine } from './similarity.ts';

const file = toBytes(
  readFileSync(new URL('../../models/embedded/sentence-embedding/shoal-embed-64.bin', import.meta.url)),
);
const table = readSentenceEmbedding(file);

describe('embedded sentence embedding', () => {
  it.each(golden)('agrees with the reference encoder on $text', ({ text, ids, vector }) => {
    expect(table.pieces(text)).toEqual(ids);
    const ours = table.embed(text);
    expect(ours).toHaveLength(64);
    for (const [i, x] of vector.entries()) expect(ours[i]).toBeCloseTo(x, 5);
  });

  it('finds answers to the same question nearer than answers to another one', () => {
    const tea = table.embed('Boil fresh water and pour it over the tea bag in a cup.');
    const alsoTea = table.embed('Put a tea bag in a cup, then add boiling water.');
    const sky = table.embed('Sunlight is scattered, and blue light more than the other colours.');
    expect(cosine(tea, alsoTea)).toBeGreaterThan(0.5);
    expect(cosine(tea, sky)).toBeLessThan(0.3);
  });

  it('says nothing of a text that it has no word for', () => {
    expect(cosine(table.embed('東京'), table.embed('Tokyo'))).toBeNull();
  });

  it('refuses a file that is cut, padded with another magic, or no table at all', () => {
    const wrong = file.slice();
    wrong[0] = 0;
    for (const bad of [
      file.slice(0, 4),
      file.slice(0, 5000),
      file.slice(0, file.length - 1),
      wrong,
      new Uint8Array(0),
    ]) {
      expect(() => readSentenceEmbedding(bad)).toThrow('not of the expected format');
    }
  });
});
