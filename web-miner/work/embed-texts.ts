import { utf8 } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import { vectorLine } from '../../shared/protocol/vector-lines.ts';
import { type Engine, EngineError, type GenerateEvent } from '../engine/engine.ts';

/** UTF-8 bytes of a token, about. Engines count tokens as they read them: what is said beforehand is for the router's plans alone. */
const BYTES_A_TOKEN = 4;

/**
 * Embeds texts one after the other, told as the writing of an answer is: an empty delta for each text that was read, with its tokens, and all lines at once at the
 * end. So the time from the beginning to the first frame is the time that the tab needs to read. Throws `context_length_exceeded`, naming the text by its place, else
 * as {@link Engine.embed} does.
 */
export async function* embedTexts(
  engine: Pick<Engine, 'embed'>,
  texts: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<GenerateEvent, void, undefined> {
  const beganAt = performance.now();
  const bytes = texts.reduce((sum, text) => sum + utf8(text).byteLength, 0);
  yield { type: 'prompt', tokens: Math.max(texts.length, Math.ceil(bytes / BYTES_A_TOKEN)) };
  const lines: string[] = [];
  let promptTokens = 0;
  for (const [index, text] of texts.entries()) {
    const { vector, tokens } = await engine.embed(text, signal).catch((cause) => {
      throw namedByPlace(cause, index);
    });
    lines.push(vectorLine(vector));
    promptTokens += tokens;
    yield { type: 'delta', text: '', tokens };
  }
  yield { type: 'delta', text: lines.join('\n'), tokens: 0 };
  const prefillMs = performance.now() - beganAt;
  yield { type: 'end', finish: 'stop', promptTokens, completionTokens: 0, prefillMs, decodeMs: 0 };
}

function namedByPlace(cause: unknown, index: number): unknown {
  if (!(cause instanceof EngineError) || cause.reason !== 'context_exceeded') return cause;
  return new ShoalError('context_length_exceeded', cause.message, { param: `input[${index}]` });
}
