import { describe, expect, it } from 'vitest';
import type { Lease } from '../../shared/protocol/lease.ts';
import type { TaskUpdate } from '../../shared/sealed-task/sealed-task.ts';
import { lookAtAnswer } from './look-at-answer.ts';

async function* answered(text: string): AsyncGenerator<TaskUpdate, void, undefined> {
  yield { type: 'leased', lease: { tab: 'T', class: 'c' } as Lease };
  for (const part of text.match(/.{1,9}/gsu) ?? []) yield { type: 'text', text: part, tokens: 1, path: 'relay' };
  yield { type: 'answered', finish: 'stop', promptTokens: 1, completionTokens: 1 };
  yield { type: 'committed' } as TaskUpdate;
}

async function look(prompt: string, text: string) {
  const suspected: string[] = [];
  const types: string[] = [];
  const looked = lookAtAnswer(answered(text), prompt, (tab, classId, reason) =>
    suspected.push(`${tab} ${classId} ${reason}`),
  );
  for await (const update of looked) types.push(update.type);
  return { suspected, types };
}

const PROMPT = 'Tell me about the sea.';

describe('an answer that the router may read', () => {
  it.each([
    ['going in circles', 'the sea is blue and wide. '.repeat(9), 'looping'],
    ['without a word', ' … ', 'empty'],
    ['in letters that nobody asked for', 'Море широкое и синее, и волны бегут к берегу.', 'wrong_language'],
  ])('is noticed when it is %s', async (_, text, reason) => {
    expect((await look(PROMPT, text)).suspected).toEqual([`T c ${reason}`]);
  });

  it('is passed on as it came, and honest ones are not noticed', async () => {
    const { suspected, types } = await look(PROMPT, 'The sea is wide and blue. Many animals live in it.');
    expect(suspected).toEqual([]);
    expect(types.at(0)).toBe('leased');
    expect(types.slice(-2)).toEqual(['answered', 'committed']);
    expect((await look('Расскажи о море.', 'Море широкое и синее, и волны бегут к берегу.')).suspected).toEqual([]);
  });
});
