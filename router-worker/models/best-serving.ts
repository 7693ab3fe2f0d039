import type { ServedVariant } from '../../shared/classes/catalogue.ts';

/**
 * The best that serves: among variants that a tab serves now, free ones before busy ones, the one of the model with the most parameters, and of its variants the one with
 * the largest weights. All its classes; empty when nobody serves any.
 */
export function bestServing(
  variants: readonly ServedVariant[],
  serving: readonly { readonly class: string; readonly tabs: number; readonly free: number }[],
): ServedVariant[] {
  const tabsOf = new Map(serving.map((entry) => [entry.class, entry]));
  const served = variants.filter(({ class: id }) => (tabsOf.get(id)?.tabs ?? 0) > 0);
  const free = served.filter(({ class: id }) => (tabsOf.get(id)?.free ?? 0) > 0);
  const [best] = (free.length > 0 ? free : served).toSorted(
    (a, b) =>
      (b.model.parameters ?? 0) - (a.model.parameters ?? 0) || b.variant.weights.bytes - a.variant.weights.bytes,
  );
  return variants.filter(({ model, variant }) => model === best?.model && variant === best.variant);
}
