import type { Hono } from 'hono';
import { utf8 } from '../../shared/bytes.ts';
import { MAX_REQUEST_BODY_BYTES } from '../../shared/limits.ts';
import { parseMapRequest } from '../../shared/protocol/map-api.ts';
import { completeSampling } from '../models/complete-sampling.ts';
import { type MapEvent, type MapResult, MapRun } from '../segmentation/map-run.ts';
import type { PartPrompt } from '../segmentation/open-parts.ts';
import { planMap } from '../segmentation/plan-map.ts';
import { respondEvents, SURE_HEADER } from './chat-response.ts';
import { stoppingAll, streamHeaders } from './choices-response.ts';
import type { AppEnv } from './context.ts';
import { idempotent } from './idempotent.ts';
import { bodyWithin, namedSession } from './named-session.ts';
import { openPartsOfRequest } from './parts-of-request.ts';
import { readJson } from './read-body.ts';

/** A long document: one instruction for each of its parts, and one for what came back. */
export function mapRoutes(app: Hono<AppEnv>): void {
  app.post('/v1/map', idempotent({ maxBodyBytes: MAX_REQUEST_BODY_BYTES, keeps: 'asked' }), async (c) => {
    const body = await readJson(c.req.raw, MAX_REQUEST_BODY_BYTES);
    const named = await namedSession(c, body);
    const request = parseMapRequest(bodyWithin(named, body));
    const parts = await openPartsOfRequest(c, named, {
      ...request,
      count: 1, // More is known when the document is cut.
      isWhole: false,
      hasOwnDeadlines: true,
      promptBytes: 0, // The parts are made to fit.
      promptField: 'document',
      tokensAtMost: () => utf8(request.document).byteLength, // A token has a byte at least; most have more, which leaves room for the answers.
      sessionSeed: [crypto.randomUUID()],
    });
    const { run, level, tasks } = parts;
    const sampling = completeSampling(parts.model, request.sampling);
    const map = new MapRun<PartPrompt>(run, planMap(request, parts.model), {
      promptOf: (content, maxTokens) => ({
        messages: [{ role: 'user', content }],
        stop: request.stop,
        sampling: { ...sampling, maxTokens },
      }),
      awaitVerdict: request.awaitVerdict || level === 'strict',
    });
    const deadline = setTimeout(() => map.stop('deadline_exceeded'), request.deadlineMs);
    const over = Promise.withResolvers<void>();
    const events = untilOver(stoppingAll(map.events(), parts), () => {
      clearTimeout(deadline);
      over.resolve();
    });
    c.executionCtx.waitUntil(over.promise.then(() => run.finished()));
    if (request.stream) {
      const source = { task: tasks[0] ?? null, stop: () => map.stop('cancelled') };
      return respondEvents(events, source, () => streamHeaders(parts));
    }
    let result: MapResult | null = null;
    for await (const event of events) if (event.type === 'result') result = event;
    return Response.json(result, {
      headers: { ...parts.headers(), [SURE_HEADER]: result?.shoal.sure ?? 'unverified' },
    });
  });
}

async function* untilOver(
  events: AsyncGenerator<MapEvent, void, undefined>,
  onOver: () => void,
): AsyncGenerator<MapEvent, void, undefined> {
  try {
    yield* events;
  } finally {
    onOver();
  }
}
