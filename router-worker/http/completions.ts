import type { Hono } from 'hono';
import { utf8 } from '../../shared/bytes.ts';
import { MAX_REQUEST_BODY_BYTES } from '../../shared/limits.ts';
import { parseCompletionRequest } from '../../shared/protocol/completions-api.ts';
import { completeSampling } from '../models/complete-sampling.ts';
import { tokensAtMost } from '../models/quote.ts';
import { choiceChunks, collectChoices } from '../segmentation/choices.ts';
import { textCompletion, textCompletionChunks } from '../segmentation/text-completions.ts';
import { respondEvents, SURE_HEADER } from './chat-response.ts';
import { orStopAll, samplingOfChoice, sourceOf, stoppingAll, streamHeaders } from './choices-response.ts';
import type { AppEnv } from './context.ts';
import { idempotent } from './idempotent.ts';
import { bodyWithin, namedSession } from './named-session.ts';
import { openPartsOfRequest } from './parts-of-request.ts';
import { readJson } from './read-body.ts';

/** OpenAI's older shape: each prompt, `n` times, by a task of its own. */
export function completionRoutes(app: Hono<AppEnv>): void {
  app.post('/v1/completions', idempotent({ maxBodyBytes: MAX_REQUEST_BODY_BYTES, keeps: 'asked' }), async (c) => {
    const body = await readJson(c.req.raw, MAX_REQUEST_BODY_BYTES);
    const named = await namedSession(c, body);
    const request = parseCompletionRequest(bodyWithin(named, body));
    const parts = await openPartsOfRequest(c, named, {
      ...request,
      count: request.prompts.length * request.n,
      isWhole: !request.stream,
      hasOwnDeadlines: false,
      promptBytes: Math.max(...request.prompts.map((prompt) => utf8(prompt).byteLength)),
      promptField: 'prompt',
      tokensAtMost: (model) => {
        const { maxTokens } = completeSampling(model, request.sampling);
        const each = request.prompts.map((prompt) => tokensAtMost(model, utf8(prompt).byteLength, 1, maxTokens).total);
        return request.n * each.reduce((sum, tokens) => sum + tokens, 0);
      },
      sessionSeed: request.prompts,
    });
    const { run, level, id } = parts;
    const sampling = completeSampling(parts.model, request.sampling);
    const prompts = request.prompts.flatMap((content) =>
      Array.from({ length: request.n }, (_, choice) => ({
        messages: [{ role: 'user' as const, content }],
        stop: request.stop,
        sampling: samplingOfChoice(sampling, choice),
      })),
    );
    const running = run.add(prompts, { isLive: request.stream });
    c.executionCtx.waitUntil(run.finished());
    const awaitVerdict = request.awaitVerdict || level === 'strict';
    if (request.stream) {
      const chunks = choiceChunks(running, id, { includeUsage: request.includeUsage, awaitVerdict });
      return respondEvents(stoppingAll(textCompletionChunks(chunks), parts), sourceOf(parts), () =>
        streamHeaders(parts),
      );
    }
    const choices = await orStopAll(collectChoices(running, id, awaitVerdict), parts);
    run.given();
    return Response.json(textCompletion(choices), {
      headers: { ...parts.headers(), [SURE_HEADER]: choices.shoal.sure },
    });
  });
}
