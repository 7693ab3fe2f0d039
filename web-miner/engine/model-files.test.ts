import * as v from 'valibot';
import { describe, expect, it } from 'vitest';
import { EngineError } from './engine.ts';
import { contextOf, cutIntoFiles, mlcConfig, stopTokensOf } from './model-files.ts';

describe('the files of a model', () => {
  it('are cut out of the whole', async () => {
    const files = [
      { name: 'a', bytes: 2 },
      { name: 'b', bytes: 3 },
    ];
    const cut = cutIntoFiles(new Blob(['aabbb']), files);
    expect(await Promise.all([...cut].map(async ([name, file]) => [name, await file.text()]))).toEqual([
      ['a', 'aa'],
      ['b', 'bbb'],
    ]);
  });

  it.each(['aabb', 'aabbbb'])('must cover all of it: %s', (whole) => {
    expect(() => cutIntoFiles(new Blob([whole]), [{ name: 'a', bytes: 5 }])).toThrow(EngineError);
  });
});

describe('the configuration of an MLC model', () => {
  const read = (part: object) => v.parse(mlcConfig, { vocab_size: 10, context_window_size: 4096, ...part });

  it('names the tokens that end an answer, in either of two places', () => {
    expect([...stopTokensOf(read({ eos_token_id: [5, 6], conv_template: { stop_token_ids: [6, 7] } }))]).toEqual([
      5, 6, 7,
    ]);
    expect([...stopTokensOf(read({ eos_token_id: 5 }))]).toEqual([5]);
    expect([...stopTokensOf(read({ conv_template: null }))]).toEqual([]);
  });

  it('has a context, or a window that says how much fits', () => {
    expect(contextOf(read({}))).toBe(4096);
    expect(contextOf(read({ context_window_size: -1, sliding_window_size: 1024 }))).toBe(1024);
  });

  it.each([{ vocab_size: 0 }, { vocab_size: 'x' }, { eos_token_id: -1 }])('is refused when it is none: %j', (part) => {
    expect(() => read(part)).toThrow(v.ValiError);
  });
});
