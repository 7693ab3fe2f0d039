import type { Asked } from '../allocation/allocator.ts';
import type { LeaseWant } from './pool-ports.ts';

/** What the allocator is told of a request. Of a sealed prompt it learns nothing but the most that may be written. */
export function askedOf(want: LeaseWant): Asked {
  return {
    model: want.variants[0]?.model ?? '',
    classes: want.variants.map((variant) => variant.class),
    only: want.only,
    prefer: want.prefer,
    size: { promptBytes: want.private ? null : want.readablePromptBytes, maxTokens: want.sampling.maxTokens },
    ...want.claim,
  };
}
