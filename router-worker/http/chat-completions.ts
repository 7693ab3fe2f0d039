import type { Hono } from 'hono';
import { randomBytes, toBase64Url } from '../../shared/bytes.ts';
import { drawCommitment } from '../../shared/checking/draw.ts';
import { MAX_REQUEST_BODY_BYTES } from '../../shared/limits.ts';
import { type ChatRequest, parseChatRequest } from '../../shared/protocol/chat-api.ts';
import { taskId } from '../../shared/protocol/task-ids.ts';
import { promptBytes } from '../../shared/sealed-task/sealed-task.ts';
import { drawSecret, newTaskTail, routerKeys, sessionNameOf } from '../keys/router-keys.ts';
import { completeSampling } from '../models/complete-sampling.ts';
import { quoteFor, tokensAtMost } from '../models/quote.ts';
import { findVariants, refuseHopeless, servedCatalogue } from '../models/served-catalogue.ts';
import { poolStub } from '../pool/pool-address.ts';
import { openPlainTask } from '../task/plain-task.ts';
import { admit, holdFor } from './admission.ts';
import { respondChat } from './chat-response.ts';
import { respondChoices } from './choices-response.ts';
import { claimOf } from './claim-of.ts';
import type { AppEnv } from './context.ts';
import { idempotent } from './idempotent.ts';
import { levelOf } from './level-of.ts';
import { readJson } from './read-body.ts';
import { respondRedundant } from './redundant-response.ts';

export function chatRoutes(app: Hono<AppEnv>): void {
  app.post('/v1/chat/completions', idempotent({ maxBodyBytes: MAX_REQUEST_BODY_BYTES, keeps: 'asked' }), async (c) => {
    const request = parseChatRequest(await readJson(c.req.raw, MAX_REQUEST_BODY_BYTES));
    if (request.n > 1) return respondChoices(c, request);
    if (request.redundancy > 1) return respondRedundant(c, request);
    const variants = findVariants(await servedCatalogue(c.env), request.model);
    const { model } = variants[0];
    const readablePromptBytes = promptBytes(request.messages);
    refuseHopeless(model, readablePromptBytes);

    const level = levelOf(c, request.level);
    const sampling = completeSampling(model, request.sampling);
    const most = tokensAtMost(model, readablePromptBytes, request.messages.length, sampling.maxTokens);
    const keys = await routerKeys(c.env.SHOAL_ROUTER_SECRET);
    const caller = await admit(c, request.model, most.total);
    const session = await sessionNameOf(keys, conversationSeed(caller.seed, request));
    const task = await newTaskTail(keys, session);
    const claim = claimOf(c, caller.payer.account, session);
    const { held, release } = await holdFor(
      c,
      session,
      task,
      caller.payer,
      quoteFor(variants, most, level, request.checks, claim.sla),
    );
    const plain = await openPlainTask(
      c.env,
      keys,
      request,
      {
        task,
        network: new URL(c.req.url).origin,
        variants: variants.map(({ variant, class: id }) => ({ model: model.id, variant: variant.id, class: id })),
        level,
        wanted: request.checks,
        draw: await drawCommitment(await drawSecret(keys, task)),
        private: false,
        sampling,
        client: keys.signer.publicKey,
        nonce: toBase64Url(randomBytes(16)),
        prefer: null,
        only: null,
        token: '', // For clients that seal for themselves; here the router is the client.
        readablePromptBytes,
        claim,
      },
      held,
    );
    // The check goes on after the answer: the Worker holds the only key that can be wrapped for the checker.
    c.executionCtx.waitUntil(plain.finished.then(() => (plain.held === null ? release() : undefined)));
    await held.catch((cause) => {
      void plain.stop();
      throw cause;
    });
    c.req.raw.signal?.addEventListener('abort', () => void plain.stop());
    c.get('taskNamed')?.(taskId(task));
    c.header('shoal-task', taskId(task)); // On a refusal too: whoever reports it can name the task.
    const suspect: Parameters<typeof respondChat>[3] = (tab, classId, reason) =>
      c.executionCtx.waitUntil(poolStub(c.env).suspect(tab, classId, reason));
    return respondChat(plain, request, level, suspect, {
      'shoal-task': taskId(task),
      'shoal-level': level,
      'x-request-id': c.get('requestId'),
    });
  });
}

/**
 * One conversation, one session, from its first turn on: the caller's key and everything up to the first message of the user. It becomes a name
 * by the router's keyed hash, at once.
 */
function conversationSeed(caller: string, request: ChatRequest): string {
  const firstTurn = request.messages.findIndex((message) => message.role === 'user');
  return JSON.stringify(['plain', caller, request.model, request.messages.slice(0, firstTurn + 1)]);
}
