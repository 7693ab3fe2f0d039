import type { Hono } from 'hono';
import { MAX_REQUEST_BODY_BYTES } from '../../shared/limits.ts';
import { parseChatRequest } from '../../shared/protocol/chat-api.ts';
import { promptBytes } from '../../shared/sealed-task/sealed-task.ts';
import { floorOfKey } from './admission.ts';
import type { AppEnv } from './context.ts';
import { bodyWithin, namedSession } from './named-session.ts';
import { readJson } from './read-body.ts';
import { offerRequest, quoteView, verifyRequest } from './verify-request.ts';

/** What a chat request would cost at most, at each level, who could answer and check it now, and how long it would wait. Nothing is begun. */
export function quoteRoutes(app: Hono<AppEnv>): void {
  app.post('/v1/quotes', async (c) => {
    const body = await readJson(c.req.raw, MAX_REQUEST_BODY_BYTES);
    const named = await namedSession(c, body);
    const request = parseChatRequest(bodyWithin(named, body));
    const asked = { ...request, promptBytes: promptBytes(request.messages), messages: request.messages.length };
    const offered = await offerRequest(c, named, asked);
    const verified = await verifyRequest(c, offered, await floorOfKey(c), 'quote');
    return c.json(quoteView(verified, request.n * request.redundancy));
  });
}
