import { describe, expect, it } from 'vitest';
import { RUNGS } from '../protocol/rungs.ts';
import { limitsOf, METHODS, type Running, rungOf } from './rung.ts';
import { checkMethod } from './verdict.ts';

const SAMPLING = {
  temperature: 0.8,
  topP: 1,
  topK: 0,
  minP: 0,
  frequencyPenalty: 0,
  presencePenalty: 0,
  seed: 7,
  maxTokens: 60,
};
const pup = { model: 'shoal-pup-3m', variant: 'q8_0', class: 'cls_AAAAAAAAAAAAAAAAAAAAAA' };
const flash = { ...pup, class: 'cln_AAAAAAAAAAAAAAAAAAAAAA' };
const q4 = { ...pup, variant: 'q4_0', class: 'cls_BBBBBBBBBBBBBBBBBBBBBB' };
const unmeasured = { ...pup, model: 'another' };
const between = (answering: Running, checking: Running) =>
  rungOf({ ...answering, kind: 'chat', sampling: SAMPLING }, checking);

describe('the strongest rung', () => {
  it.each([
    ['exact', 'one exact class', pup, pup],
    ['statistical', 'the same file in another arithmetic', pup, flash],
    ['statistical', 'one near class', flash, flash],
    ['cross-class', 'another quantization', pup, q4],
    ['similarity', 'a model without limits, in another arithmetic', unmeasured, { ...unmeasured, class: flash.class }],
    ['exact', 'a model without limits, in one exact class', unmeasured, unmeasured],
    [null, 'another model', pup, unmeasured],
  ] as const)('is %s for %s', (rung, _, first, second) => {
    expect(between(first, second)).toBe(rung);
    expect(between(second, first)).toBe(rung);
  });

  it.each([{ topK: 40 }, { minP: 0.05 }, { frequencyPenalty: 1 }, { presencePenalty: -1 }])(
    'is similarity where a draw cannot be computed again: %o',
    (part) => {
      expect(rungOf({ ...pup, kind: 'chat', sampling: { ...SAMPLING, ...part } }, flash)).toBe('similarity');
      expect(rungOf({ ...pup, kind: 'chat', sampling: { ...SAMPLING, ...part } }, pup)).toBe('exact');
    },
  );

  it('has a name in receipts, in the same order', () => {
    expect(RUNGS.map((rung) => METHODS[rung])).toEqual(checkMethod.options);
  });

  it('has limits exactly where an answer is read', () => {
    expect(RUNGS.filter((rung) => limitsOf(rung, pup.model) !== null)).toEqual(['statistical', 'cross-class']);
    expect(RUNGS.filter((rung) => limitsOf(rung, 'another') !== null)).toEqual([]);
  });
});
