import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isErrorCode, ShoalError } from '../errors.ts';
import { passageOf } from './match-transcript.ts';
import { parseTranscript } from './transcript.ts';

const TAIL = 'A'.repeat(46);
const good = {
  request: { model: 'm:q8_0', messages: [{ role: 'user', content: 'hello' }], stop: 'x', temperature: 0 },
  response: {
    id: `chatcmpl-${TAIL}`,
    object: 'chat.completion',
    choices: [{ index: 0, message: { role: 'assistant', content: 'hi 🐟' }, finish_reason: 'stop' }],
    shoal: { receipt: `rcpt_${TAIL}`, salt: 'A'.repeat(22), verdict: { value: 'pending' } },
  },
};

function refusal(input: unknown): { readonly code: string; readonly param: string | null } {
  try {
    parseTranscript(input);
  } catch (cause) {
    expect(cause).toBeInstanceOf(ShoalError);
    const { code, param } = cause as ShoalError;
    return { code, param };
  }
  throw new Error('it was taken');
}

const withResponse = (part: object) => ({ ...good, response: { ...good.response, ...part } });
const withChoice = (part: object) => withResponse({ choices: [{ ...good.response.choices[0], ...part }] });
const withNotes = (part: object) => withResponse({ shoal: { ...good.response.shoal, ...part } });

describe('a transcript', () => {
  it('is an OpenAI client’s request with the answer that it got', () => {
    expect(parseTranscript(good)).toEqual({
      request: expect.objectContaining({
        model: 'm:q8_0',
        messages: [{ role: 'user', content: 'hello' }],
        stop: ['x'],
        sampling: { temperature: 0 },
      }),
      task: TAIL,
      answer: 'hi 🐟',
      finish: 'stop',
      salt: 'A'.repeat(22),
    });
  });

  it('may be the list of a stream’s chunks', () => {
    const [choice] = good.response.choices;
    const piece = (delta: object, finish_reason: string | null, more: object = {}) => ({
      object: 'chat.completion.chunk',
      choices: [{ index: 0, delta, finish_reason }],
      ...more,
    });
    const response = [
      piece({ role: 'assistant', content: 'hi ' }, null),
      piece({ content: '🐟' }, null),
      piece({}, 'stop', { shoal: good.response.shoal }),
      { object: 'chat.completion.chunk', choices: [], usage: { total_tokens: 3 } },
    ];
    expect(choice?.message.content).toBe('hi 🐟');
    expect(parseTranscript({ ...good, response })).toEqual(parseTranscript(good));
    expect(refusal({ ...good, response: [] })).toEqual({
      code: 'missing_field',
      param: 'response.choices.0.finish_reason',
    });
    expect(refusal({ ...good, response: response.slice(0, 2) })).toMatchObject({ code: 'missing_field' });
    expect(refusal({ ...good, response: [{ choices: 1 }] })).toEqual({
      code: 'invalid_value',
      param: 'response.0.choices',
    });
  });

  it.each([
    ['invalid_type', null, null],
    ['invalid_type', null, 'text'],
    ['missing_field', 'request', []],
    ['missing_field', 'request', {}],
    ['missing_field', 'response', { request: good.request }],
    ['invalid_value', 'request', { ...good, request: 'hello' }],
    ['missing_field', 'request.model', { ...good, request: {} }],
    ['unknown_field', 'request.colour', { ...good, request: { ...good.request, colour: 'red' } }],
    ['empty_messages', 'request.messages', { ...good, request: { ...good.request, messages: [] } }],
    ['missing_field', 'response.choices.0', withResponse({ choices: [] })],
    ['invalid_value', 'response.choices', withResponse({ choices: 'none' })],
    ['invalid_value', 'response.choices.0.message.content', withChoice({ message: { content: null } })],
    ['invalid_value', 'response.choices.0.message.content', withChoice({ message: { content: '\ud83d' } })],
    ['invalid_value', 'response.choices.0.finish_reason', withChoice({ finish_reason: 'cancelled' })],
    ['missing_field', 'response.shoal', withResponse({ shoal: undefined })],
    ['invalid_value', 'response.shoal.salt', withNotes({ salt: 'short' })],
    ['invalid_value', 'response.shoal.receipt', withNotes({ receipt: 'rcpt_x' })],
  ])('is refused as %s, naming %s', (code, param, input) => {
    expect(refusal(input)).toEqual({ code, param });
  });

  it('of any other content is refused in the words of the vocabulary', () => {
    fc.assert(
      fc.property(fc.record({ request: fc.jsonValue(), response: fc.jsonValue() }), (input) => {
        expect(isErrorCode(refusal(input).code)).toBe(true);
      }),
      { seed: 7 },
    );
  });
});

describe('a passage', () => {
  it('is the text of one block, widened to whole characters', () => {
    expect(passageOf('abc', 0)).toBe('abc');
    expect(passageOf('abc', 1)).toBe('');
    const text = `${'a'.repeat(62)}🐟${'b'.repeat(70)}`;
    expect([0, 1, 2, 3].map((block) => passageOf(text, block))).toEqual([
      `${'a'.repeat(62)}🐟`,
      `🐟${'b'.repeat(62)}`,
      'b'.repeat(8),
      '',
    ]);
  });

  it('is never half a character, wherever the block is cut', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), fc.nat(8), (text, block) => {
        expect(text).toContain(passageOf(text, block));
      }),
      { seed: 7 },
    );
  });
});
