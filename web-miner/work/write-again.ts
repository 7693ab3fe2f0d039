import type { FinishReason } from '../../shared/checking/digest-chain.ts';
import type { Sampling } from '../../shared/protocol/lease.ts';
import type { ChatMessage } from '../../shared/protocol/sealed-body.ts';
import type { TaskKind } from '../../shared/protocol/task-kind.ts';
import type { GenerateEvent } from '../engine/engine.ts';
import { boundedAnswer } from './answer-bound.ts';
import { embedTexts } from './embed-texts.ts';
import type { WorkModel } from './work-model.ts';

/** What the model writes to a prompt: by a checker, and by whoever audits the answer later. */
export interface Written {
  readonly text: string;
  readonly finish: FinishReason;
  readonly tokens: { readonly prompt: number; readonly completion: number };
}

export interface Question {
  readonly kind: TaskKind;
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

/** What the model of this tab makes of a question, as it comes. Throws `EngineError`, `context_length_exceeded`, or `AbortError` when stopped. */
export function answering(
  { engine, renderer }: Pick<WorkModel, 'engine' | 'renderer'>,
  { kind, messages, stop, sampling }: Question,
  signal: AbortSignal,
): AsyncGenerator<GenerateEvent, void, undefined> {
  if (kind === 'chat')
    return boundedAnswer(engine.generate({ prompt: renderer.render(messages), sampling, stop }, signal));
  const texts = messages.map(({ content }) => content);
  return boundedAnswer(embedTexts(engine, texts, signal));
}

/**
 * Writes an answer from its prompt and the sampling that was pinned for it. Within an exact class it is the answer that any other tab writes, to the
 * byte. Throws `EngineError`, or `AbortError` when stopped.
 */
export async function writeAgain(
  work: Pick<WorkModel, 'engine' | 'renderer'>,
  question: Question,
  events: WritingEvents,
  signal: AbortSignal,
): Promise<Written> {
  let text = '';
  let finish: FinishReason = 'stop';
  let tokens = { prompt: 0, completion: 0 };
  for await (const event of answering(work, question, signal)) {
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
