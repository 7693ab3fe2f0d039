import { describe, expect, it } from 'vitest';
import { MAX_EMBEDDING_INPUTS } from '../../shared/limits.ts';
import { vectorLine, vectorOfLine } from '../../shared/protocol/vector-lines.ts';
import { MAX_NUMBERS, refuseTooManyNumbers, respondVectors } from './vectors-response.ts';

const asked = (count: number) => ({ inputs: Array.from({ length: count }, () => 'a') });

describe('the response of many vectors', () => {
  it('is one JSON object, in the order of the texts', async () => {
    for (const texts of [[], ['a'], ['b', 'c', 'd']]) {
      const response = respondVectors(
        texts,
        (text) => [text.charCodeAt(0), 0.5],
        { model: 'm', usage: {} },
        { a: 'b' },
      );
      expect([response.headers.get('content-type'), response.headers.get('a')]).toEqual(['application/json', 'b']);
      expect(await response.json()).toEqual({
        object: 'list',
        data: texts.map((text, index) => ({ object: 'embedding', index, embedding: [text.charCodeAt(0), 0.5] })),
        model: 'm',
        usage: {},
      });
    }
  });

  it('[X3] is written a vector at a time, however wide they are and however many', async () => {
    const dimensions = MAX_NUMBERS / MAX_EMBEDDING_INPUTS;
    const line = vectorLine(Float32Array.from({ length: dimensions }, (_, i) => Math.fround(-1 / (i + 3))));
    let written = 0;
    const lines = Array.from({ length: MAX_EMBEDDING_INPUTS }, () => line);
    const { body } = respondVectors(
      lines,
      (one) => {
        written++;
        return [...(vectorOfLine(one, dimensions) ?? [])];
      },
      {},
    );
    let largest = 0;
    let total = 0;
    let ahead = 0;
    let chunks = 0;
    for await (const chunk of body ?? []) {
      chunks++;
      ahead = Math.max(ahead, written - chunks);
      largest = Math.max(largest, chunk.byteLength);
      total += chunk.byteLength;
    }
    expect({ written, isBounded: largest < 30 * dimensions, isAheadByAFew: ahead < 4 }).toEqual({
      written: MAX_EMBEDDING_INPUTS,
      isBounded: true,
      isAheadByAFew: true,
    });
    expect(total).toBeGreaterThan(64 * 1024 * 1024);
  });

  it('[E2] refuses more numbers than a Worker can hold, with what to do instead', () => {
    expect(() => refuseTooManyNumbers(asked(MAX_EMBEDDING_INPUTS), 2_048)).not.toThrow();
    expect(() => refuseTooManyNumbers(asked(65), 65_536)).toThrow(
      expect.objectContaining({
        code: 'invalid_value',
        param: 'input',
        message: expect.stringMatching(/may hold 64 texts, and this one has 65.*base64/),
      }),
    );
  });
});
