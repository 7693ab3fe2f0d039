import { type ChatRequest, foldSeed } from '../../shared/protocol/chat-api.ts';
import type { Sampling } from '../../shared/protocol/lease.ts';
import { promptBytes } from '../../shared/sealed-task/sealed-task.ts';
import { completeSampling } from '../models/complete-sampling.ts';
import { tokensAtMost } from '../models/quote.ts';
import { choiceChunks, collectChoices } from '../segmentation/choices.ts';
import { respondEvents, SURE_HEADER } from './chat-response.ts';
import type { AppContext } from './context.ts';
import type { NamedSession } from './named-session.ts';
import { openPartsOfRequest, type PartsOfRequest } from './parts-of-request.ts';

/** `n` choices of one chat: as many tasks, side by side, each with its own seed, receipt and check. */
export async function respondChoices(
  c: AppContext,
  named: NamedSession | null,
  request: ChatRequest,
): Promise<Response> {
  const parts = await openPartsOfRequest(c, named, {
    ...request,
    count: request.n,
    isWhole: !request.stream,
    hasOwnDeadlines: false,
    promptBytes: promptBytes(request.messages),
    promptField: 'messages',
    tokensAtMost: (model) =>
      request.n *
      tokensAtMost(
        model,
        promptBytes(request.messages),
        request.messages.length,
        completeSampling(model, request.sampling).maxTokens,
      ).total,
    sessionSeed: firstTurnOf(request),
  });
  const { run, level, id } = parts;
  const { messages, stop } = request;
  const sampling = completeSampling(parts.model, request.sampling);
  const prompts = Array.from({ length: request.n }, (_, choice) => ({
    messages,
    stop,
    sampling: samplingOfChoice(sampling, choice),
  }));
  const running = run.add(prompts, { isLive: request.stream });
  c.executionCtx.waitUntil(run.finished());
  const awaitVerdict = request.awaitVerdict || level === 'strict';
  if (request.stream) {
    const chunks = choiceChunks(running, id, { includeUsage: request.includeUsage, awaitVerdict });
    return respondEvents(stoppingAll(chunks, parts), sourceOf(parts), () => streamHeaders(parts));
  }
  const choices = await orStopAll(collectChoices(running, id, awaitVerdict), parts);
  run.given();
  return Response.json(choices, { headers: { ...parts.headers(), [SURE_HEADER]: choices.shoal.sure } });
}

/** What a conversation begins with: requests that share it share a session. */
export function firstTurnOf({ messages }: Pick<ChatRequest, 'messages'>): readonly unknown[] {
  return [messages.slice(0, messages.findIndex(({ role }) => role === 'user') + 1)];
}

/** The seed of the request is the first choice's; the others count on from it, so that the same request has the same choices. */
export function samplingOfChoice(first: Sampling, choice: number): Sampling {
  return { ...first, seed: foldSeed(first.seed + choice) };
}

export function sourceOf({ run, tasks }: PartsOfRequest): { readonly task: string | null; stop(): void } {
  return {
    get task() {
      return tasks[0] ?? null;
    },
    stop: () => run.stop(),
  };
}

/** At level strict nothing is sent before it is verified. */
export function streamHeaders({ level, headers }: PartsOfRequest): Record<string, string> {
  return { ...headers(), [SURE_HEADER]: level === 'strict' ? 'verified' : 'unverified' };
}

/** One part that is given up ends the request: the others are stopped. */
export async function orStopAll<T>(work: Promise<T>, parts: PartsOfRequest): Promise<T> {
  try {
    return await work;
  } catch (cause) {
    parts.giveUp(cause);
    throw cause;
  }
}

/** As {@link orStopAll}, for what is told bit by bit. */
export async function* stoppingAll<T>(
  told: AsyncGenerator<T, void, undefined>,
  parts: PartsOfRequest,
): AsyncGenerator<T, void, undefined> {
  try {
    yield* told;
  } catch (cause) {
    parts.giveUp(cause);
    throw cause;
  }
}
