import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { chainOf } from './digest-chain.ts';
import { cosine } from './similarity.ts';
import { exactFinding, type Finding, similarityFinding, verdictOf, wantsMore } from './tally.ts';

const salt = new Uint8Array(16);
const claimed = await chainOf(salt, 'x'.repeat(100), 'stop');
const other = await chainOf(salt, `${'x'.repeat(99)}y`, 'stop');
const third = await chainOf(salt, `z${'x'.repeat(99)}`, 'stop');
const same = exactFinding(claimed, claimed, null);
const differs = exactFinding(claimed, other, null);
const differsElsewhere = exactFinding(claimed, third, null);
const common = { cosine: null, method: 'exact-re-execution', blocks: 2, falseBlock: null } as const;

describe('a verdict', () => {
  it('[K6] does not depend on similarity: likeness saves no false answer and difference damns no true one', () => {
    for (const similarity of [1, 0, -1, null]) {
      expect(verdictOf(claimed, [exactFinding(claimed, claimed, similarity)])).toEqual({
        value: 'valid',
        method: 'exact-re-execution',
        blocks: 2,
        falseBlock: null,
        agree: 1,
        differ: 0,
        cosine: similarity,
      });
      const against = exactFinding(claimed, other, similarity);
      expect(verdictOf(claimed, [against, against])).toEqual({
        value: 'invalid',
        method: 'exact-re-execution',
        blocks: 2,
        falseBlock: 1,
        agree: 0,
        differ: 2,
        cosine: similarity,
      });
    }
  });

  it.each<[string, readonly Finding[], object, boolean]>([
    ['one that agrees', [same], { value: 'valid', agree: 1, differ: 0, blocks: 2 }, false],
    ['one that differs', [differs], { value: 'disputed', agree: 0, differ: 1, falseBlock: 1 }, true],
    [
      'two that say the same other thing',
      [differs, differs],
      { value: 'invalid', agree: 0, differ: 2, falseBlock: 1 },
      false,
    ],
    ['one for, after one against', [differs, same], { value: 'valid', agree: 1, differ: 1, blocks: 2 }, true],
    ['one against, after one for', [same, differs], { value: 'valid', agree: 1, differ: 1, blocks: 2 }, true],
    ['two for, one against', [differs, same, same], { value: 'valid', agree: 2, differ: 1, blocks: 2 }, false],
    [
      'three answers, all different',
      [differs, differsElsewhere],
      { value: 'disputed', agree: 0, differ: 2, falseBlock: 1 },
      true,
    ],
    ['two on each side', [same, differs, differs], { value: 'disputed', agree: 1, differ: 2, falseBlock: 1 }, true],
    [
      'a majority against, one that errs alone',
      [differsElsewhere, differs, differs],
      { value: 'invalid', agree: 0, differ: 3, falseBlock: 1 },
      false,
    ],
  ])(
    '[K11] of %s is by majority, the answer itself being one voice; against dissent it wants a lead of two',
    (_, findings, expected, more) => {
      expect(verdictOf(claimed, findings)).toEqual({ ...common, ...expected });
      expect(wantsMore(findings, 1)).toBe(more);
    },
  );

  it('waits for as many as were asked for, as long as they agree', () => {
    expect([1, 2, 3].map((wanted) => wantsMore([same, same], wanted))).toEqual([false, false, true]);
    expect(wantsMore([], 1)).toBe(true);
  });

  it('[K11] is the same in whatever order the findings came, and never of fewer voices than the other side', () => {
    const finding = fc.constantFrom(same, differs, differsElsewhere);
    fc.assert(
      fc.property(fc.array(finding, { minLength: 1, maxLength: 6 }), (findings) => {
        const { value } = verdictOf(claimed, findings);
        expect(verdictOf(claimed, [...findings].reverse()).value).toBe(value);
        const agree = 1 + findings.filter((one) => one === same).length;
        const against = Math.max(
          findings.filter((one) => one === differs).length,
          findings.filter((one) => one === differsElsewhere).length,
        );
        expect(value).toBe(agree > against ? 'valid' : agree < against ? 'invalid' : 'disputed');
      }),
    );
  });

  it('[K17] of similarity alone is inconclusive, and one such check is enough; beside an exact one it does not count', () => {
    const like = similarityFinding(0.98765);
    expect(verdictOf(claimed, [like])).toEqual({
      value: 'inconclusive',
      method: 'embedding-similarity',
      blocks: 2,
      falseBlock: null,
      agree: 0,
      differ: 0,
      cosine: 0.9877,
    });
    expect(wantsMore([like], 3)).toBe(false);
    expect(verdictOf(claimed, [like, same])).toEqual({ ...common, value: 'valid', agree: 1, differ: 0 });
    expect(wantsMore([like, differs], 1)).toBe(true);
  });

  it('shows four digits of the cosine, the same on every machine', () => {
    expect(exactFinding(claimed, claimed, 0.123456789).cosine).toBe(0.1235);
  });
});

describe('cosine', () => {
  it('is 1 for equal directions, −1 for opposite ones, 0 for right angles', () => {
    const vector = (...x: number[]) => Float32Array.from(x);
    expect(cosine(vector(1, 2), vector(2, 4))).toBeCloseTo(1);
    expect(cosine(vector(1, 2), vector(-1, -2))).toBeCloseTo(-1);
    expect(cosine(vector(1, 0), vector(0, 5))).toBe(0);
  });

  it('says nothing about zero vectors, other lengths, or numbers that are none', () => {
    const zero = new Float32Array(2);
    expect(cosine(zero, Float32Array.of(1, 1))).toBeNull();
    expect(cosine(Float32Array.of(1), Float32Array.of(1, 1))).toBeNull();
    expect(cosine(new Float32Array(0), new Float32Array(0))).toBeNull();
    expect(cosine(Float32Array.of(Number.NaN, 1), Float32Array.of(1, 1))).toBeNull();
  });
});
