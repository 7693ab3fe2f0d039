import { describe, expect, it } from 'vitest';
import { newQuestion } from './questions.ts';

describe('a question of the network', () => {
  it('is one of the operator’s own, where there are any', () => {
    const own = ['What do we sell?', 'Where is the office?'];
    const prompts = new Set(Array.from({ length: 60 }, () => newQuestion(Math.random, own).prompt));
    expect([...prompts].sort()).toEqual([...own].sort());
  });

  it('is seldom the same twice', () => {
    const asked = Array.from({ length: 200 }, () => JSON.stringify(newQuestion(Math.random)));
    expect(new Set(asked).size).toBe(200);
  });
});
