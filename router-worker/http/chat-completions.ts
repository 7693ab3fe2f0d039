import type { Hono } from 'hono';
import { ShoalError } from '../../shared/errors.ts';
import { MAX_REQUEST_BODY_BYTES } from '../../shared/limits.ts';
import { type ChatRequest, parseChatRequest } from '../../shared/protocol/chat-api.ts';
import { taskId } from '../../shared/protocol/task-ids.ts';
import { promptBytes } from '../../shared/sealed-task/sealed-task.ts';
import { newTaskTail, routerKeys, sessionNameOf } from '../keys/router-keys.ts';
import { quoteFor } from '../models/quote.ts';
import { wantOfPlainTask } from '../pool/lease-want.ts';
import { poolStub } from '../pool/pool-address.ts';
import { knownPools } from '../pool/pool-count.ts';
import { openPlainTask, tellGiven } from '../task/plain-task.ts';
import { admit, holdFor } from './admission.ts';
import { beginInBackground, keeperOf } from './answers.ts';
import { respondChat } from './chat-response.ts';
import { respondChoices } from './choices-response.ts';
import { choosePool } from './choose-pool.ts';
import { claimOf } from './claim-of.ts';
import type { AppEnv } from './context.ts';
import { idempotent } from './idempotent.ts';
import { admitToSession, bodyWithin, leaveSession, namedSession } from './named-session.ts';
import { readJson } from './read-body.ts';
import { respondRedundant } from './redundant-response.ts';
import { offerRequest, quoteView, verifyRequest } from './verify-request.ts';

export function chatRoutes(app: Hono<AppEnv>): void {
  app.post('/v1/chat/completions', idempotent({ maxBodyBytes: MAX_REQUEST_BODY_BYTES, keeps: 'asked' }), async (c) => {
    const pools = knownPools(c.env);
    const body = await readJson(c.req.raw, MAX_REQUEST_BODY_BYTES);
    const named = await namedSession(c, body);
    const request = parseChatRequest(bodyWithin(named, body));
    const isInBackground = c.env.BACKGROUND !== undefined;
    if (request.background) {
      refuseWithBackground(request);
      if (!isInBackground) return beginInBackground(c, named, body);
    }
    if (request.n > 1 || request.redundancy > 1) {
      if (request.dryRun) {
        const message = 'Several answers are not tried in advance: POST /v1/quotes says what they cost.';
        throw new ShoalError('unsupported_field', message, { param: 'shoal.dry_run' });
      }
      return request.n > 1 ? respondChoices(c, named, request) : respondRedundant(c, named, request);
    }
    const readablePromptBytes = promptBytes(request.messages);
    const asked = { ...request, promptBytes: readablePromptBytes, messages: request.messages.length };
    const offered = await offerRequest(c, named, asked);
    const caller = await admit(c, offered.name, request.dryRun ? 0 : offered.tokensAtMost);
    const verified = await verifyRequest(
      c,
      offered,
      caller.floor,
      request.dryRun || isInBackground ? 'dry_run' : 'work',
    );
    const { variants, level, checks } = verified;

    const keys = await routerKeys(c.env.SHOAL_ROUTER_SECRET);
    const conversation = await sessionNameOf(keys, conversationSeed(caller.seed, request));
    const session = named?.name ?? conversation;
    const at = await choosePool(c, verified, named, conversation, null, pools);
    const task = await newTaskTail(keys, session, at);
    if (named !== null) {
      const order = { task, tokensAtMost: verified.tokens.total, price: verified.price };
      await admitToSession(c, named, order, request.dryRun);
    }
    if (request.dryRun) return c.json(quoteView(verified));
    const claim = claimOf(c, caller.payer.account, conversation, named?.settings);
    const { held, release } = await holdFor(
      c,
      session,
      task,
      caller.payer,
      quoteFor(variants, verified.tokens, level, checks, verified.sla),
    ).catch(async (cause) => {
      if (named !== null) await leaveSession(c, named, task);
      throw cause;
    });
    const network = new URL(c.req.url).origin;
    const asking = { task, network, served: variants, level, wanted: checks, claim };
    const plain = await openPlainTask(
      c.env,
      keys,
      request,
      await wantOfPlainTask(
        keys,
        { ...asking, kind: 'chat', sampling: verified.sampling, deadlineAt: verified.deadlineAt },
        readablePromptBytes,
      ),
      at,
      held,
    );
    // The check goes on after the answer: the Worker holds the only key that can be wrapped for the checker.
    c.executionCtx.waitUntil(
      plain.finished.then(() => (plain.held === null ? release() : tellGiven(c.env, keys, plain))),
    );
    await held.catch((cause) => {
      void plain.stop();
      throw cause;
    });
    c.req.raw.signal?.addEventListener('abort', () => void plain.stop());
    c.get('taskNamed')?.(taskId(task));
    c.env.BACKGROUND?.(taskId(task));
    c.header('shoal-task', taskId(task)); // On a refusal too: whoever reports it can name the task.
    const suspect: Parameters<typeof respondChat>[3] = (tab, classId, reason) =>
      c.executionCtx.waitUntil(poolStub(c.env, at).suspect(tab, classId, reason));
    return respondChat(plain, request, level, suspect, keeperOf(c, named), {
      'shoal-task': taskId(task),
      'shoal-level': level,
      'x-request-id': c.get('requestId'),
    });
  });
}

/** Throws `unsupported_field` for what a response that only names a task cannot give. */
function refuseWithBackground({ stream, dryRun, n, redundancy }: ChatRequest): void {
  const param = stream ? 'stream' : dryRun ? 'shoal.dry_run' : n > 1 ? 'n' : redundancy > 1 ? 'shoal.redundancy' : null;
  if (param === null) return;
  const message = `The field '${param}' is not honoured in the background: one answer is written, and fetched as a whole.`;
  throw new ShoalError('unsupported_field', message, { param });
}

/**
 * One conversation, one session, from its first turn on: the caller's key and everything up to the first message of the user. It becomes a name
 * by the router's keyed hash, at once.
 */
function conversationSeed(caller: string, request: ChatRequest): string {
  const firstTurn = request.messages.findIndex((message) => message.role === 'user');
  return JSON.stringify(['plain', caller, request.model, request.messages.slice(0, firstTurn + 1)]);
}
