import type { Engine, GenerateEvent, GenerateRequest } from '../../engine/engine.ts';

/** A whole answer, as an engine wrote it or as a liar wants it. */
export interface WrittenAnswer {
  /** The text as it came, piece by piece: mostly one token each. */
  readonly pieces: readonly { readonly text: string; readonly tokens: number }[];
  readonly finish: 'stop' | 'length';
  readonly promptTokens: number;
  readonly completionTokens: number;
}

export type WriteAnswer = (request: GenerateRequest, signal: AbortSignal) => Promise<WrittenAnswer>;

/** Throws what the engine throws. */
export async function writtenBy(engine: Engine, request: GenerateRequest, signal: AbortSignal): Promise<WrittenAnswer> {
  const pieces: WrittenAnswer['pieces'][number][] = [];
  for await (const event of engine.generate(request, signal)) {
    if (event.type === 'delta') pieces.push({ text: event.text, tokens: event.tokens });
    if (event.type === 'end') {
      const { finish, promptTokens, completionTokens } = event;
      return { pieces, finish, promptTokens, completionTokens };
    }
  }
  throw new Error('the engine ended without saying how');
}

/** Runs the engine once for each different request. */
export function remembering(engine: Engine): WriteAnswer {
  const known = new Map<string, WrittenAnswer>();
  return async (request, signal) => {
    const key = JSON.stringify(request);
    const answer = known.get(key) ?? (await writtenBy(engine, request, signal));
    known.set(key, answer);
    return answer;
  };
}

export function textOf(answer: WrittenAnswer): string {
  return answer.pieces.map(({ text }) => text).join('');
}

/** Another text under the same figures; `finish` as before. */
export function withText(answer: WrittenAnswer, text: string): WrittenAnswer {
  return { ...answer, pieces: [{ text, tokens: answer.completionTokens }] };
}

/** An engine that gives the answers of `write`; everything else is the engine's own. */
export function engineThatWrites(engine: Engine, write: WriteAnswer): Engine {
  return {
    load: (weights, options, signal) => engine.load(weights, options, signal),
    embed: (text, signal) => engine.embed(text, signal),
    probe: (request, signal) => engine.probe(request, signal),
    force: (request, signal) => engine.force(request, signal),
    dispose: () => engine.dispose(),
    async *generate(request, signal) {
      const answer = await write(request, signal);
      signal.throwIfAborted();
      yield* eventsOf(answer);
    },
  };
}

/** An engine that says this of the answers of others; what it writes itself is the engine's own. */
export function engineThatReads(engine: Engine, reading: Pick<Engine, 'probe' | 'force'>): Engine {
  return {
    load: (weights, options, signal) => engine.load(weights, options, signal),
    generate: (request, signal) => engine.generate(request, signal),
    embed: (text, signal) => engine.embed(text, signal),
    dispose: () => engine.dispose(),
    ...reading,
  };
}

function* eventsOf({ pieces, ...end }: WrittenAnswer): Generator<GenerateEvent, void, undefined> {
  yield { type: 'prompt', tokens: end.promptTokens };
  for (const piece of pieces) yield { type: 'delta', ...piece };
  yield { type: 'end', ...end, prefillMs: 0, decodeMs: 0 };
}
