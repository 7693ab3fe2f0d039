import { fromUtf8, utf8 } from '../../shared/bytes.ts';
import { MAX_ANSWER_BYTES } from '../../shared/limits.ts';
import type { GenerateEvent } from '../engine/engine.ts';

/** What an engine writes, up to `maxBytes`: an answer that would be longer ends there as `length`, with whole characters. */
export async function* boundedAnswer(
  events: AsyncIterable<GenerateEvent>,
  maxBytes = MAX_ANSWER_BYTES,
): AsyncGenerator<GenerateEvent, void, undefined> {
  let room = maxBytes;
  let promptTokens = 0;
  let completionTokens = 0;
  for await (const event of events) {
    if (event.type === 'prompt') promptTokens = event.tokens;
    if (event.type !== 'delta') {
      yield event;
      continue;
    }
    const bytes = utf8(event.text);
    completionTokens += event.tokens;
    if (bytes.byteLength <= room) {
      room -= bytes.byteLength;
      yield event;
      continue;
    }
    while (room > 0 && ((bytes[room] ?? 0) & 0xc0) === 0x80) room--;
    if (room > 0) yield { ...event, text: fromUtf8(bytes.subarray(0, room)) };
    yield { type: 'end', finish: 'length', promptTokens, completionTokens, prefillMs: 0, decodeMs: 0 };
    return; // Leaving the loop stops the engine.
  }
}
