import type { ModelEntry } from '../../shared/classes/catalogue.ts';
import type { Sampling } from '../../shared/protocol/lease.ts';

/** Every sampler value of a task: the request's, else the model's, else OpenAI's. The seed is drawn here when the request has none. */
export function completeSampling(model: ModelEntry, asked: Partial<Sampling>): Sampling {
  return {
    temperature: asked.temperature ?? model.defaults.temperature,
    topP: asked.topP ?? model.defaults.topP,
    topK: asked.topK ?? 0,
    minP: asked.minP ?? 0,
    frequencyPenalty: asked.frequencyPenalty ?? 0,
    presencePenalty: asked.presencePenalty ?? 0,
    seed: asked.seed ?? randomSeed(),
    maxTokens: asked.maxTokens ?? model.defaults.maxTokens,
  };
}

function randomSeed(): number {
  const [seed = 0] = crypto.getRandomValues(new Uint32Array(1));
  return seed === 0xffff_ffff ? 0 : seed; // All ones means "random" to the engine.
}
