import type { FinishReason } from '../../shared/checking/digest-chain.ts';
import { type ForcedFigures, figuresOf } from '../../shared/checking/forced-decode.ts';
import { EngineError } from '../engine/engine.ts';
import type { WorkModel } from './work-model.ts';
import type { Question } from './write-again.ts';

/**
 * How well an answer fits what the model would write: by a checker of the statistical rung, and by whoever audits an answer that nobody can write again to the
 * byte. Null when there is nothing to read, or the engine cannot read this text. Throws `EngineError`, or `AbortError` when stopped.
 */
export async function readAnswer(
  { engine, renderer }: Pick<WorkModel, 'engine' | 'renderer'>,
  { messages, stop, sampling }: Omit<Question, 'kind'>,
  { text, finish }: { readonly text: string; readonly finish: FinishReason },
  signal: AbortSignal,
): Promise<ForcedFigures | null> {
  const prompt = renderer.render(messages);
  const hasRoom = () => engine.probe({ text: prompt + text, choices: [] }, signal).then(() => true);
  try {
    const tokens = await engine.force({ prompt, answer: text }, signal);
    // The last entry is the end of the answer: as many as asked for and one, or there was room for more.
    const isShort = finish === 'length' && tokens.length <= sampling.maxTokens;
    const cut = isShort && (await hasRoom().catch(orUnreadable(false)));
    return figuresOf(tokens, { finish, hasStopStrings: stop.length > 0, cut }, sampling);
  } catch (cause) {
    return orUnreadable(null)(cause);
  }
}

/** What an engine cannot say of this text is nobody's fault: the value instead. Throws everything else. */
export function orUnreadable<T>(value: T): (cause: unknown) => T {
  return (cause) => {
    if (cause instanceof EngineError && (cause.reason === 'unsupported' || cause.reason === 'context_exceeded')) {
      return value;
    }
    throw cause;
  };
}
