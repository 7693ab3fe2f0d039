import { describe, expect, it } from 'vitest';
import {
  CHAIN_BLOCK_BYTES,
  MAX_ANSWER_BYTES,
  MAX_CONTROL_MESSAGE_BYTES,
  MAX_DRAWS,
  MAX_TAB_STATEMENT,
} from '../../shared/limits.ts';
import type { GenerateEvent } from '../engine/engine.ts';
import { boundedAnswer } from './answer-bound.ts';

async function* writing(...texts: readonly string[]): AsyncGenerator<GenerateEvent, void, undefined> {
  yield { type: 'prompt', tokens: 5 };
  for (const text of texts) yield { type: 'delta', text, tokens: 2 };
  const completionTokens = 2 * texts.length + 1;
  yield { type: 'end', finish: 'stop', promptTokens: 5, completionTokens, prefillMs: 1, decodeMs: 1 };
}

async function read(maxBytes: number, ...texts: readonly string[]) {
  let text = '';
  let end: GenerateEvent | null = null;
  for await (const event of boundedAnswer(writing(...texts), maxBytes)) {
    if (event.type === 'delta') text += event.text;
    if (event.type === 'end') end = event;
  }
  return { text, end };
}

describe('the bound of an answer', () => {
  it('leaves an answer that fits as it is, to the last byte', async () => {
    expect(await read(6, 'abc', 'def')).toMatchObject({ text: 'abcdef', end: { finish: 'stop', completionTokens: 5 } });
  });

  it('ends a longer one as length, in the middle of a token and never of a character', async () => {
    expect(await read(5, 'abc', 'def')).toMatchObject({
      text: 'abcde',
      end: { finish: 'length', promptTokens: 5, completionTokens: 4 },
    });
    expect((await read(5, 'abc', '水')).text).toBe('abc');
    expect((await read(6, 'abc', '水')).text).toBe('abc水');
  });

  it('[C1] cuts at the same byte however the text is cut into tokens', async () => {
    const text = 'aé水🐟'.repeat(10);
    for (const maxBytes of [1, 2, 3, 7, 50, 99]) {
      const whole = await read(maxBytes, text);
      const pieces = await read(maxBytes, ...text);
      expect(pieces.text).toBe(whole.text);
    }
  });

  it('stops the engine', async () => {
    let stopped = false;
    async function* endless(): AsyncGenerator<GenerateEvent, void, undefined> {
      try {
        for (;;) yield { type: 'delta', text: 'x', tokens: 1 };
      } finally {
        stopped = true;
      }
    }
    for await (const _ of boundedAnswer(endless(), 10));
    expect(stopped).toBe(true);
  });

  it('leaves the commit of the longest answer room in one message', () => {
    const link = '\\"1234567890123456789012\\",';
    expect((MAX_ANSWER_BYTES / CHAIN_BLOCK_BYTES) * link.length).toBeLessThan(MAX_CONTROL_MESSAGE_BYTES / 2);
  });

  it('[R5] leaves the statements of all tabs on the longest answer room in one receipt, and that in one row', () => {
    const statement = JSON.stringify({
      chain: { blocks: Array(MAX_ANSWER_BYTES / CHAIN_BLOCK_BYTES).fill('1234567890123456789012') },
      embeddings: ['x'.repeat(8_192), 'x'.repeat(8_192)],
      rest: 'x'.repeat(1_500),
    });
    expect(JSON.stringify(JSON.stringify(statement)).length).toBeLessThan(MAX_TAB_STATEMENT);
    const statements = (1 + MAX_DRAWS) * MAX_TAB_STATEMENT;
    expect(statements + 100_000).toBeLessThan(1_000_000); // A receipt: leases, candidates and readers beside them.
    expect(2 * statements + 300_000).toBeLessThan(2_000_000); // A row: the task, and its receipt.
  });
});
