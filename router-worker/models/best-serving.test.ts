import { describe, expect, it } from 'vitest';
import { EXACT_ARITHMETIC, type ModelEntry, type ServedVariant } from '../../shared/classes/catalogue.ts';
import { bestServing } from './best-serving.ts';

const model = (id: string, parameters: number | null) => ({ id, parameters }) as ModelEntry;
const [small, large] = [model('small', 1e6), model('large', 1e9)];
function variants(of: ModelEntry, id: string, bytes: number): ServedVariant[] {
  const variant = { id, weights: { bytes } } as ServedVariant['variant'];
  const near = { backend: 'cpu', flashAttention: true } as const;
  return [
    { model: of, variant, class: `${of.id}:${id}`, arithmetic: EXACT_ARITHMETIC },
    { model: of, variant, class: `${of.id}:${id}:near`, arithmetic: near },
  ];
}
const catalogue = [
  ...variants(small, 'f16', 20),
  ...variants(large, 'q4_0', 400),
  ...variants(large, 'q8_0', 800),
  ...variants(model('unknown', null), 'f16', 900),
];
const best = (...serving: [id: string, tabs: number, free: number][]) =>
  bestServing(
    catalogue,
    serving.map(([id, tabs, free]) => ({ class: id, tabs, free })),
  ).map(({ class: id }) => id);

describe('the best that serves', () => {
  it('has the most parameters, then the largest weights', () => {
    expect(best(['small:f16', 1, 1], ['large:q4_0', 1, 1], ['unknown:f16', 1, 1])).toEqual([
      'large:q4_0',
      'large:q4_0:near',
    ]);
    expect(best(['large:q4_0', 1, 1], ['large:q8_0:near', 1, 1])).toEqual(['large:q8_0', 'large:q8_0:near']);
  });

  it('is free, where anything is', () => {
    expect(best(['small:f16', 1, 1], ['large:q8_0', 3, 0])).toEqual(['small:f16', 'small:f16:near']);
    expect(best(['small:f16', 1, 0], ['large:q8_0', 3, 0])).toEqual(['large:q8_0', 'large:q8_0:near']);
  });

  it('is nothing where nobody serves, or only what is not offered', () => {
    expect(best()).toEqual([]);
    expect(best(['large:q8_0', 0, 0], ['elsewhere', 2, 2])).toEqual([]);
  });
});
