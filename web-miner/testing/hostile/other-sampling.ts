import type { Sampling } from '../../../shared/protocol/lease.ts';
import type { Lie } from './lie.ts';
import { engineThatWrites } from './written-answer.ts';

/** The model and the prompt are right; the sampler is not the one of the lease. */
function sampled(instead: (sampling: Sampling) => Sampling): Lie {
  return {
    work: ({ claimed }) => ({
      renderer: claimed.renderer,
      engine: engineThatWrites(claimed.engine, (request, signal) =>
        claimed.write({ ...request, sampling: instead(request.sampling) }, signal),
      ),
    }),
  };
}

/** A seed of its own choice: who may try many seeds may choose among many answers. */
export const ownSeed = sampled((sampling) => ({ ...sampling, seed: sampling.seed + 1 }));

/** Cooler than was asked for: hides a worse model, or repeats what is cached. */
export const cooler = sampled((sampling) => ({ ...sampling, temperature: sampling.temperature * 0.7 }));
