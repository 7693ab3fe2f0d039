import type { SentenceEmbedding } from '../../shared/checking/sentence-embedding.ts';
import type { Engine } from '../engine/engine.ts';
import type { PromptRenderer } from '../engine/render-prompt.ts';

/** The model that a tab has loaded, with all that serving a subtask needs. */
export interface WorkModel {
  readonly model: string;
  readonly variant: string;
  readonly class: string;
  readonly engine: Engine;
  readonly renderer: PromptRenderer;
  readonly sentence: SentenceEmbedding;
}
