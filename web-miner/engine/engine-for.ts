import type { ServedVariant } from '../../shared/classes/catalogue.ts';
import type { Engine } from './engine.ts';
import { LateEngine } from './late-engine.ts';
import { WllamaEngine } from './wllama-engine.ts';

/** The engine that runs this variant. `wasmUrl`: where the one for the processor has its WebAssembly, absolute. */
export function engineFor(
  { variant, arithmetic }: Pick<ServedVariant, 'variant' | 'arithmetic'>,
  wasmUrl: string,
): Engine {
  switch (variant.format) {
    case 'gguf':
      return new WllamaEngine(wasmUrl, arithmetic);
    case 'mlc':
      return new LateEngine(async () => {
        const { WebLlmEngine } = await import('./web-llm-engine.ts');
        return new WebLlmEngine(variant.weights.files);
      });
  }
}
