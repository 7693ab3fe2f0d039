import { describe, expect, it } from 'vitest';
import { type CheckedClass, RUNGS, strongestRung } from './rung.ts';

const traits = { weights: 'w1', template: 't1', renderer: 1, samplers: 1, contextTokens: 512 } as const;
const first: CheckedClass = { id: 'cls_1', model: 'pup', traits };

describe('the strongest rung', () => {
  it.each([
    ['exact', 'the same class', first],
    ['statistical', 'the same weights in another class', { ...first, id: 'cls_2' }],
    ['similarity', 'other weights of the model', { ...first, id: 'cls_2', traits: { ...traits, weights: 'w2' } }],
    ['similarity', 'another prompt text', { ...first, id: 'cls_2', traits: { ...traits, template: 't2' } }],
    ['similarity', 'another context size', { ...first, id: 'cls_2', traits: { ...traits, contextTokens: 1024 } }],
    [null, 'another model', { id: 'cls_2', model: 'other', traits: { ...traits, weights: 'w2' } }],
  ] as const)('is %s for %s', (rung, _, second) => {
    expect(strongestRung(first, second)).toBe(rung);
    expect(strongestRung(second, first)).toBe(rung);
  });

  it('ranks exact above statistical above similarity', () => {
    expect(RUNGS).toEqual(['exact', 'statistical', 'similarity']);
  });
});
