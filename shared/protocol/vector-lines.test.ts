import fc from 'fast-check';
import { expect, it } from 'vitest';
import { lineLength, vectorLine, vectorOfLine } from './vector-lines.ts';

it('keeps every bit of a vector in its line, as OpenAI’s clients read it', () => {
  const numbers = fc.float32Array({ minLength: 1, maxLength: 400, noNaN: true, noDefaultInfinity: true });
  fc.assert(
    fc.property(numbers, (vector) => {
      const line = vectorLine(vector);
      expect(line).toHaveLength(lineLength(vector.length));
      expect(vectorOfLine(line, vector.length)).toEqual(vector);
      expect(new Float32Array(Uint8Array.from(Buffer.from(line, 'base64')).buffer)).toEqual(vector);
    }),
    { numRuns: 200 },
  );
  expect(vectorLine(Float32Array.of(1, -2))).toBe('AACAPwAAAMA=');
});

it('takes nothing else for one', () => {
  const line = vectorLine(Float32Array.of(1, -2));
  expect(vectorOfLine(line, 3)).toBe(null);
  expect(vectorOfLine(`${line.slice(0, -1)}!`, 2)).toBe(null);
  expect(vectorOfLine('', 2)).toBe(null);
  expect(vectorOfLine(line.replace('=', ' '), 2)).toBe(null);
  expect(vectorOfLine(`${vectorLine(Float32Array.of(1)).slice(0, -2)}\n\t`, 1)).toBe(null);
  expect(vectorOfLine(vectorLine(Float32Array.of(Number.NaN, 0)), 2)).toBe(null);
  expect(vectorOfLine(vectorLine(Float32Array.of(Number.POSITIVE_INFINITY, 0)), 2)).toBe(null);
});
