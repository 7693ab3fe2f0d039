import { describe, expect, it } from 'vitest';
import { readLine } from '../../router-worker/batches/read-line.ts';
import { utf8 } from '../../shared/bytes.ts';
import { BAD_LINES, batchLines } from './batch-lines.ts';

describe('the lines of npm run check:batch', () => {
  it.each([24, 30, 500])('are %i, bad as each says', (count) => {
    const lines = batchLines(count, 'm', 8);
    expect([lines.length, lines.filter(({ fault }) => fault !== null).length]).toEqual([count, BAD_LINES]);
    const found = lines.flatMap(({ text }, i) => {
      const read = readLine(utf8(text), i + 1, '/v1/chat/completions');
      return read.ok ? [] : [read.fault.code];
    });
    // A repeated name is found beside the first one, a wrong temperature by the endpoint.
    expect(found).toEqual(['invalid_json_line', 'missing_required_parameter', 'invalid_url']);
    const names = lines.filter(({ fault }) => fault === null).map(({ customId }) => customId);
    expect(new Set(names).size).toBe(count - BAD_LINES);
    expect(names).toContain('request-1');
  });
});
