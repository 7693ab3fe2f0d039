import { describe, expect, it } from 'vitest';
import { echoedShare, looseWords, newLinks, otherScriptShare, repeatedShare, semanticSigns } from './semantic-signs.ts';

const limits = { looping: 0.3, offTopic: 0.1 };
const prompt = 'Please tell me a short story about a fox and the moon.';
const good = 'There was once a fox called Henry. One evening Henry looked at the moon, and the moon looked back.';
const asked = { prompt, answer: good, finish: 'stop', relatedness: 0.5 } as const;

const signsOf = (change: Partial<Parameters<typeof semanticSigns>[0]>) =>
  semanticSigns({ ...asked, ...change }, limits).map(({ sign }) => sign);

describe('semantic signs', () => {
  it('are none for an ordinary answer', () => {
    expect(signsOf({})).toEqual([]);
    expect(signsOf({ relatedness: null })).toEqual([]);
    expect(signsOf({ answer: 'Tokyo', prompt: 'What is the capital of Japan?' })).toEqual([]);
  });

  it.each([
    ['empty', { answer: ' …\n' }],
    ['looping', { answer: 'the fox ran to the moon and '.repeat(5) }],
    ['cut', { answer: 'There was once a fox. One evening the fox' }],
    ['cut', { answer: 'There was once a cheerful' }],
    ['other-script', { answer: 'Это очень хороший вопрос.' }],
    ['off-topic', { relatedness: 0.09 }],
    ['echo', { answer: `You said: ${prompt}` }],
    ['link', { answer: `${good} See https://acme.example/offer.` }],
  ] as const)('say %s', (sign, change) => {
    expect(signsOf(change)).toContain(sign);
  });

  it('carry the figure that was measured', () => {
    expect(semanticSigns({ ...asked, relatedness: 0.05 }, limits)).toEqual([{ sign: 'off-topic', figure: 0.05 }]);
  });

  it('do not call an answer cut that was stopped by its length', () => {
    expect(signsOf({ answer: 'There was once a fox. One evening the fox', finish: 'length' })).toEqual([]);
  });

  it('see nothing in a changed number or an advertisement without an address', () => {
    expect(signsOf({ answer: `${good} The Acme store has the best prices.` })).toEqual([]);
  });
});

describe('the figures behind the signs', () => {
  it('count repeated runs of three words', () => {
    // Runs: abc bca cab abc bca cab abc: three different ones of seven.
    expect(repeatedShare('a b c a b c a b c')).toBeCloseTo(4 / 7, 12);
    expect(repeatedShare('a a a a')).toBe(0);
    expect(repeatedShare('one two three four five six seven eight')).toBe(0);
  });

  it('count the words of the last line after its last sentence, and none in an item of a list', () => {
    expect(looseWords('It ended. And then')).toBe(2);
    expect(looseWords('It ended.')).toBe(0);
    expect(looseWords('He said "no."')).toBe(0);
    expect(looseWords('Version 3.5 is out')).toBe(5);
    expect(looseWords('I hope we can talk.\n\nBest wishes,\nYara')).toBe(1);
    expect(looseWords('You need:\n\n- a large pot of water')).toBe(0);
    expect(looseWords('これは質問です。答えは')).toBe(1);
  });

  it('compare scripts, letters and not digits', () => {
    expect(otherScriptShare('hello', 'abc где')).toBe(0.5);
    expect(otherScriptShare('hello', '12 + 3')).toBe(0);
    expect(otherScriptShare('日本の首都', 'ひらがな')).toBe(0);
  });

  it('say how much of the prompt came back', () => {
    expect(echoedShare('one two three four five six seven', 'one two three four five six seven')).toBe(1);
    expect(echoedShare('one two three', 'one two three')).toBe(0);
  });

  it('count addresses that the prompt did not name', () => {
    expect(newLinks('see www.a.example', 'www.a.example and https://b.example/x and me@c.example')).toBe(2);
  });
});
