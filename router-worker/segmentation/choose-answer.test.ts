import { describe, expect, it } from 'vitest';
import { chooseAnswer } from './choose-answer.ts';

const VECTORS: Record<string, readonly number[]> = { east: [1, 0], 'north-east': [0.8, 0.6], north: [0, 1] };
const table = { embed: (text: string) => new Float32Array(VECTORS[text] ?? [0, 0]) };

function answers(...texts: readonly string[]) {
  return texts.map((text) => ({ class: 'exact', text, finish: 'stop' }));
}

describe('the answer that is given of several', () => {
  it('is the only one there is', () => {
    expect(chooseAnswer(answers('east'), table)).toEqual({ at: 0, by: 'only', agree: 1 });
  });

  it('is the one that most tabs of a class wrote to the byte', () => {
    expect(chooseAnswer(answers('north', 'east', 'east'), table)).toEqual({ at: 1, by: 'digest', agree: 2 });
    expect(chooseAnswer(answers('east', 'east'), table)).toEqual({ at: 0, by: 'digest', agree: 2 });
  });

  it('is the one most like the others where none has a majority', () => {
    expect(chooseAnswer(answers('north', 'north-east', 'east'), table)).toEqual({ at: 1, by: 'medoid', agree: 1 });
    expect(chooseAnswer(answers('north', 'north', 'east', 'east', 'north-east'), table)).toMatchObject({
      by: 'medoid',
    });
  });

  it('finds no agreement between classes: their seeds mean different draws', () => {
    const [one, other] = answers('east', 'east');
    expect(chooseAnswer([one!, { ...other!, class: 'another' }], table)).toEqual({ at: 0, by: 'medoid', agree: 1 });
  });

  it('holds a cut answer for another one than a whole', () => {
    const [one, other] = answers('east', 'east');
    expect(chooseAnswer([one!, { ...other!, finish: 'length' }], table)).toMatchObject({ by: 'medoid', agree: 1 });
  });
});
