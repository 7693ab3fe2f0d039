import type { ModelEntry } from '../../shared/classes/catalogue.ts';
import { ShoalError } from '../../shared/errors.ts';
import type { Sampling } from '../../shared/protocol/lease.ts';

/** Every sampler value of a task: the request's, else the model's, else OpenAI's. The seed is drawn here when the request has none. Throws `invalid_value` when the model does not chat. */
export function completeSampling(model: ModelEntry, asked: Partial<Sampling>): Sampling {
  const { defaults } = model;
  if (defaults === null) {
    throw new ShoalError('invalid_value', `The model '${model.id}' does not chat.`, { param: 'model' });
  }
  return {
    temperature: asked.temperature ?? defaults.temperature,
    topP: asked.topP ?? defaults.topP,
    topK: asked.topK ?? 0,
    minP: asked.minP ?? 0,
    frequencyPenalty: asked.frequencyPenalty ?? 0,
    presencePenalty: asked.presencePenalty ?? 0,
    seed: asked.seed ?? randomSeed(),
    maxTokens: asked.maxTokens ?? defaults.maxTokens,
  };
}

function randomSeed(): number {
  const [seed = 0] = crypto.getRandomValues(new Uint32Array(1));
  return seed === 0xffff_ffff ? 0 : seed; // All ones means "random" to the engine.
}
