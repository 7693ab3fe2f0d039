import { isExactClass } from '../../shared/classes/class-id.ts';
import type { Level } from '../../shared/protocol/level.ts';
import type { Asked } from '../allocation/asked.ts';
import type { LeaseWant } from './pool-ports.ts';

/** At level strict an answer is shown when it is proven: where nobody can run it again to the byte, it never is. */
export function servableClasses(level: Level, classes: readonly string[]): readonly string[] {
  return level === 'strict' ? classes.filter(isExactClass) : classes;
}

/** What the allocator is told of a request. Of a sealed prompt it learns nothing but the most that may be written. */
export function askedOf(want: LeaseWant): Asked {
  return {
    model: want.variants[0]?.model ?? '',
    classes: servableClasses(
      want.level,
      want.variants.map((variant) => variant.class),
    ),
    only: want.only,
    prefer: want.prefer,
    size: {
      promptBytes: want.private ? null : want.readablePromptBytes,
      maxTokens: want.kind === 'embed' ? 0 : want.sampling.maxTokens,
    },
    ...want.claim,
  };
}
