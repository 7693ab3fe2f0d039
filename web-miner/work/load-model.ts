import { chatFormOf, kindOf, type ModelEntry } from '../../shared/classes/catalogue.ts';
import { type Engine, EngineError, type LoadOptions } from '../engine/engine.ts';
import { type PromptRenderer, promptRenderer } from '../engine/render-prompt.ts';

/** How a tab loads a model that reads prompts in batches of so many tokens. A text that is embedded is read at once: its batch is the context. */
export function loadOptionsOf(model: Pick<ModelEntry, 'contextTokens' | 'embed'>, batchTokens: number): LoadOptions {
  const { contextTokens, embed } = model;
  return embed === null
    ? { contextTokens, threads: 1, batchTokens, embeddings: false }
    : { contextTokens, threads: 1, batchTokens: contextTokens, embeddings: true, pooling: embed.pooling };
}

/**
 * Tokens of prompt between two looks at the abort signal: about a quarter of a second's worth. A CPU reads a gigabyte of weights a second, within a
 * factor of two on everything measured (docs/measurements.md); the engine's speed is then tokens/s ≈ 10⁹ ÷ bytes.
 */
export function batchTokensFor(weightBytes: number): number {
  const perSecond = 1e9 / weightBytes;
  return Math.max(4, Math.min(64, 2 ** Math.round(Math.log2(perSecond / 4))));
}

/** How prompts are put to a model. One that embeds is asked for nothing but its vectors. */
export function rendererOf(model: ModelEntry): PromptRenderer {
  return kindOf(model) === 'chat' ? promptRenderer(chatFormOf(model)) : NO_CHAT;
}

const NO_CHAT: PromptRenderer = {
  render() {
    throw new EngineError('unsupported', 'This model embeds, and does not chat.');
  },
};

/** As long as a question that people search for. */
const WARM_UP_TEXT = 'How do I make a cup of tea, and how long should it stand before I drink it?';

/** Embeds a text twice. Returns tokens per second, the second time. Throws `EngineError`, `crashed` when the two vectors differ, and `AbortError`. */
export async function warmUpEmbedding(engine: Pick<Engine, 'embed'>, signal: AbortSignal): Promise<number> {
  const first = await engine.embed(WARM_UP_TEXT, signal);
  const beganAt = performance.now();
  const { vector, tokens } = await engine.embed(WARM_UP_TEXT, signal);
  if (!vector.every((x, at) => Number.isFinite(x) && x === first.vector[at])) {
    throw new EngineError('crashed', 'The engine computed two vectors for one text.');
  }
  return (tokens * 1000) / Math.max(1, performance.now() - beganAt);
}
