import { describe, expect, it } from 'vitest';
import embedded from '../../models/embedded/catalogue.json' with { type: 'json' };
import { type Catalogue, type ServedVariant, servedVariants } from '../../shared/classes/catalogue.ts';
import { ModelPlan } from './model-plan.ts';

const [SERVED] = (await servedVariants(embedded as unknown as Catalogue)) as [ServedVariant];
const DEVICE = { memoryBytes: null, storageBytes: null, bytesPerSecond: null, gpu: null };
const MB = 1e6;

function entry(id: string, bytes: number, mustShow = false): ServedVariant {
  const { model, variant } = SERVED;
  const weights = { ...variant.weights, bytes };
  return {
    ...SERVED,
    class: `cls_${id}`,
    model: { ...model, id, licence: { ...model.licence, mustShow } },
    variant: { ...variant, weights },
  };
}

const [tiny, small, strict, large] = [
  entry('tiny', 1 * MB),
  entry('small', 5 * MB),
  entry('strict', 6 * MB, true),
  entry('large', 100 * MB),
] as const;
const idOf = (served: ServedVariant | null) => served?.model.id ?? null;
const never = () => false;

describe('the plan of models', () => {
  const left = new ModelPlan([tiny, small, large], null, DEVICE);

  it('begins with what comes within seconds, and names the largest that fits as the next; a choice has no next', () => {
    expect([idOf(left.begin.first), idOf(left.begin.next)]).toEqual(['small', 'large']);
    const chosen = new ModelPlan([tiny, small, large], 'large', DEVICE).begin;
    expect([idOf(chosen.first), chosen.next, chosen.because]).toEqual(['large', null, 'You chose it.']);
    expect(() => new ModelPlan([tiny], 'other', DEVICE).begin).toThrow("The router has no model 'other'.");
    expect(() => new ModelPlan([], null, DEVICE).begin).toThrow('no model that this device can run');
  });

  it('knows the next smaller one, for a device that is too slow', () => {
    expect([large, small, tiny].map((served) => idOf(left.smallerThan(served)))).toEqual(['small', 'tiny', null]);
  });

  it('[O5] takes no smaller one, and follows the network to none, whose terms nobody was shown', () => {
    const plan = new ModelPlan([tiny, strict, large], null, DEVICE);
    expect(idOf(plan.smallerThan(large))).toBe('tiny');
    expect(plan.wanted([strict.class], tiny.class, never)).toBeNull();
  });

  it('follows the network to what fits, is not served already, and did not fail a moment ago; never against a choice', () => {
    expect(idOf(left.wanted([large.class], small.class, never))).toBe('large');
    expect(left.wanted([small.class], small.class, never)).toBeNull();
    expect(left.wanted([large.class], small.class, (name) => name.startsWith('large'))).toBeNull();
    const chosen = new ModelPlan([tiny, small, large], 'small', DEVICE);
    expect(chosen.wanted([large.class], small.class, never)).toBeNull();
  });

  it('learns how fast the device is, and plans no model that it would write too slowly', () => {
    const plan = new ModelPlan([tiny, small, large], null, DEVICE);
    plan.learned(2, small.variant.weights.bytes);
    expect(plan.wanted([large.class], small.class, never)).toBeNull();
  });
});
