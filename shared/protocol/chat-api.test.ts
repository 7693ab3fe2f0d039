import { describe, expect, it } from 'vitest';
import { ShoalError } from '../errors.ts';
import { foldSeed, parseChatRequest } from './chat-api.ts';

const good = { model: 'shoal-pup-3m', messages: [{ role: 'user', content: 'hi' }] };

function refusal(body: unknown): Pick<ShoalError, 'code' | 'param'> {
  try {
    parseChatRequest(body);
  } catch (cause) {
    if (cause instanceof ShoalError) return { code: cause.code, param: cause.param };
    throw cause;
  }
  throw new Error('it was accepted');
}

describe('a chat request', () => {
  it('is understood with OpenAI’s defaults, and only what it sets is passed on', () => {
    expect(parseChatRequest(good)).toEqual({
      model: 'shoal-pup-3m',
      messages: [{ role: 'user', content: 'hi' }],
      stop: [],
      stream: false,
      includeUsage: false,
      level: null,
      checks: 1,
      awaitVerdict: false,
      session: null,
      dryRun: false,
      background: false,
      n: 1,
      redundancy: 1,
      sampling: {},
    });
  });

  it('passes every sampling value on, and the limit under either name', () => {
    const asked = {
      temperature: 0.2,
      top_p: 0.9,
      frequency_penalty: 1,
      presence_penalty: -1,
      seed: 5,
      max_tokens: 4,
      max_completion_tokens: 4,
    };
    expect(parseChatRequest({ ...good, ...asked }).sampling).toEqual({
      temperature: 0.2,
      topP: 0.9,
      frequencyPenalty: 1,
      presencePenalty: -1,
      seed: 5,
      maxTokens: 4,
    });
  });

  it('takes text parts, the developer role, and one stop string', () => {
    const request = parseChatRequest({
      ...good,
      messages: [
        { role: 'developer', content: 'Be brief.' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'a' },
            { type: 'text', text: 'b' },
          ],
        },
      ],
      stop: 'END',
    });
    expect(request.messages).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'a\nb' },
    ]);
    expect(request.stop).toEqual(['END']);
  });

  it('may carry standard fields in the value that changes nothing', () => {
    const neutral = {
      n: 1,
      logprobs: false,
      top_logprobs: null,
      logit_bias: {},
      tools: [],
      tool_choice: 'none',
      parallel_tool_calls: true,
      response_format: { type: 'text' },
      modalities: ['text'],
      store: false,
      service_tier: 'auto',
      metadata: {},
      audio: null,
      user: 'u',
    };
    expect(() => parseChatRequest({ ...good, ...neutral })).not.toThrow();
  });

  it.each<[string, unknown, string, string | null]>([
    ['a list', [], 'invalid_json', null],
    ['null', null, 'invalid_json', null],
    ['no model', { messages: good.messages }, 'missing_field', 'model'],
    ['no messages', { model: 'm' }, 'missing_field', 'messages'],
    ['a number for a model', { ...good, model: 7 }, 'invalid_type', 'model'],
    ['messages that are a string', { ...good, messages: 'hi' }, 'invalid_type', 'messages'],
    ['a message without content', { ...good, messages: [{ role: 'user' }] }, 'missing_field', 'messages[0].content'],
    ['a message without role', { ...good, messages: [{ content: 'x' }] }, 'missing_field', 'messages[0].role'],
    ['an unknown role', { ...good, messages: [{ role: 'pirate', content: 'x' }] }, 'invalid_value', 'messages[0].role'],
    ['a null content', { ...good, messages: [{ role: 'user', content: null }] }, 'invalid_type', 'messages[0].content'],
    [
      'an image',
      { ...good, messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }] },
      'unsupported_field',
      'messages[0].content[0].type',
    ],
    ['a tool message', { ...good, messages: [{ role: 'tool', content: 'x' }] }, 'invalid_value', 'messages[0].role'],
    [
      'a named message',
      { ...good, messages: [{ role: 'user', content: 'x', name: 'Ann' }] },
      'unsupported_field',
      'messages[0].name',
    ],
    ['no text at all', { ...good, messages: [{ role: 'user', content: '  ' }] }, 'empty_messages', 'messages'],
    ['an empty list of messages', { ...good, messages: [] }, 'empty_messages', 'messages'],
    [
      'half a character',
      { ...good, messages: [{ role: 'user', content: 'a\ud800b' }] },
      'invalid_value',
      'messages[0].content',
    ],
    [
      'half a character in a part',
      { ...good, messages: [{ role: 'user', content: [{ type: 'text', text: '\udc00' }] }] },
      'invalid_value',
      'messages[0].content[0].text',
    ],
    ['half a character to stop at', { ...good, stop: '\ud83d' }, 'invalid_value', 'stop'],
    ['a string temperature', { ...good, temperature: '1' }, 'invalid_type', 'temperature'],
    ['a temperature of 3', { ...good, temperature: 3 }, 'invalid_value', 'temperature'],
    ['top_p of −1', { ...good, top_p: -1 }, 'invalid_value', 'top_p'],
    ['max_tokens of 0', { ...good, max_tokens: 0 }, 'invalid_value', 'max_tokens'],
    ['two limits that differ', { ...good, max_tokens: 5, max_completion_tokens: 9 }, 'invalid_value', 'max_tokens'],
    ['half a token', { ...good, max_tokens: 1.5 }, 'invalid_type', 'max_tokens'],
    ['stream as a string', { ...good, stream: 'yes' }, 'invalid_type', 'stream'],
    ['five stop strings', { ...good, stop: ['a', 'b', 'c', 'd', 'e'] }, 'invalid_value', 'stop'],
    ['an empty stop string', { ...good, stop: [''] }, 'invalid_value', 'stop[0]'],
    ['a fractional seed', { ...good, seed: 1.5 }, 'invalid_type', 'seed'],
    ['an unknown field', { ...good, temprature: 1 }, 'unknown_field', 'temprature'],
    [
      'an unknown field in a message',
      { ...good, messages: [{ role: 'user', content: 'x', colour: 1 }] },
      'unknown_field',
      'messages[0].colour',
    ],
    ['an unknown extension', { ...good, shoal: { levle: 'none' } }, 'unknown_field', 'shoal.levle'],
    ['an unknown level', { ...good, shoal: { level: 'strictest' } }, 'invalid_value', 'shoal.level'],
    ['no choices', { ...good, n: 0 }, 'invalid_value', 'n'],
    ['too many choices', { ...good, n: 129 }, 'invalid_value', 'n'],
    ['half a choice', { ...good, n: 1.5 }, 'invalid_type', 'n'],
    ['too much redundancy', { ...good, shoal: { redundancy: 6 } }, 'invalid_value', 'shoal.redundancy'],
    ['redundant choices', { ...good, n: 2, shoal: { redundancy: 2 } }, 'invalid_value', 'shoal.redundancy'],
    ['tools', { ...good, tools: [{ type: 'function' }] }, 'unsupported_field', 'tools'],
    ['a JSON format', { ...good, response_format: { type: 'json_object' } }, 'unsupported_field', 'response_format'],
    ['log-probabilities', { ...good, logprobs: true }, 'unsupported_field', 'logprobs'],
    ['a bias', { ...good, logit_bias: { 50256: -100 } }, 'unsupported_field', 'logit_bias'],
    ['audio', { ...good, audio: { voice: 'x' } }, 'unsupported_field', 'audio'],
  ])('[E1] [E2] with %s is refused by name', (_, body, code, param) => {
    expect(refusal(body)).toEqual({ code, param });
  });

  it('is refused for a __proto__ field like for any other unknown one', () => {
    const body: unknown = JSON.parse(
      '{"model":"m","messages":[{"role":"user","content":"x"}],"__proto__":{"stream":true}}',
    );
    expect(refusal(body)).toEqual({ code: 'unknown_field', param: '__proto__' });
  });
});

describe('a seed', () => {
  it('may be any integer; the engine gets 32 bits, never the value that means "random"', () => {
    for (const seed of [0, 1, -1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, -(2 ** 53 - 1), 2 ** 53 - 1]) {
      const folded = foldSeed(seed);
      expect(Number.isInteger(folded) && folded >= 0 && folded < 0xffff_ffff, String(seed)).toBe(true);
    }
    expect(foldSeed(42)).toBe(42);
  });
});
