import type { FinishReason } from '../../shared/checking/digest-chain.ts';
import type { Sampling } from '../../shared/protocol/lease.ts';
import type { ChatMessage } from '../../shared/protocol/sealed-body.ts';
import { boundedAnswer } from './answer-bound.ts';
import type { WorkModel } from './work-model.ts';

/** What the model writes to a prompt: by a checker, and by whoever audits the answer later. */
export interface Written {
  readonly text: string;
  readonly finish: FinishReason;
  readonly tokens: { readonly prompt: number; readonly completion: number };
}

export interface Question {
  readonly messages: readonly ChatMessage[];
  readonly stop: readonly string[];
  readonly sampling: Sampling;
}

export interface WritingEvents {
  /** The prompt's length, before it is read. */
  accepted(promptTokens: number): void;
  /** Tokens that were just written. */
  wrote(tokens: number): void;
}

/**
 * Writes an answer from its prompt and the sampling that was pinned for it. Within an exact class it is the answer that any other tab writes, to the
 * byte. Throws `EngineError`, or `AbortError` when stopped.
 */
export async function writeAgain(
  { engine, renderer }: Pick<WorkModel, 'engine' | 'renderer'>,
  question: Question,
  events: WritingEvents,
  signal: AbortSignal,
): Promise<Written> {
  const { sampling, stop } = question;
  let text = '';
  let finish: FinishReason = 'stop';
  let tokens = { prompt: 0, completion: 0 };
  const request = { prompt: renderer.render(question.messages), sampling, stop };
  for await (const event of boundedAnswer(engine.generate(request, signal))) {
    if (event.type === 'prompt') events.accepted(event.tokens);
    else if (event.type === 'delta') {
      text += event.text;
      events.wrote(event.tokens);
    } else {
      finish = event.finish;
      tokens = { prompt: event.promptTokens, completion: event.completionTokens };
    }
  }
  return { text, finish, tokens };
}
