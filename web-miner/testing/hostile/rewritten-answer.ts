import type { GenerateRequest } from '../../engine/engine.ts';
import type { Lie } from './lie.ts';
import { engineThatWrites, type WrittenAnswer } from './written-answer.ts';

export type Rewrite = (answer: WrittenAnswer, request: GenerateRequest) => WrittenAnswer;

/** The model runs as it should, and what it wrote is changed before it leaves. */
export function rewritten(rewrite: Rewrite): Lie {
  return {
    work: ({ claimed }) => ({
      renderer: claimed.renderer,
      engine: engineThatWrites(claimed.engine, async (request, signal) =>
        rewrite(await claimed.write(request, signal), request),
      ),
    }),
  };
}

/**
 * A number below `below` that depends on the request alone, so that liars who have agreed on a lie tell the same one. FNV-1a,
 * http://www.isthe.com/chongo/tech/comp/fnv/.
 */
export function chosenBy(request: GenerateRequest, below: number): number {
  let hash = 0x811c9dc5;
  for (const character of `${request.sampling.seed} ${request.prompt}`) {
    hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x01000193);
  }
  return below === 0 ? 0 : (hash >>> 0) % below;
}
