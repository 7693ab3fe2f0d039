import type { Hono } from 'hono';
import { ShoalError } from '../../shared/errors.ts';
import { SESSION_HEADER } from '../../shared/protocol/sealed-task-api.ts';
import { tailOf, taskId } from '../../shared/protocol/task-ids.ts';
import { routerKeys, sessionOfTask } from '../keys/router-keys.ts';
import { callSession, sessionStub, unwrap } from '../pool/session-calls.ts';
import type { Keep } from '../task/keep-answer.ts';
import type { AppContext, AppEnv } from './context.ts';
import type { NamedSession } from './named-session.ts';
import { ownerOf } from './owner.ts';

/** What a request in the background takes along of its client: who asks, from where, and how. */
const HEADERS_TAKEN = ['authorization', 'cf-connecting-ip', 'origin', 'shoal-level', 'shoal-sla', SESSION_HEADER];

/** Answers that their session keeps, for its owner alone, and how to stop one that nobody waits for. */
export function answerRoutes(app: Hono<AppEnv>): void {
  app.get('/v1/tasks/:id/answer', async (c) => {
    const { tail, session, owner } = await taskOf(c);
    return c.json(unwrap(await session.answer(owner, tail)), 200, { 'cache-control': 'no-store' });
  });

  app.post('/v1/tasks/:id/cancel', async (c) => {
    const { tail, session, owner } = await taskOf(c);
    return c.json(unwrap(await session.stopTask(owner, tail)));
  });
}

async function taskOf(c: AppContext) {
  const tail = tailOf(c.req.param('id') ?? '');
  const keys = await routerKeys(c.env.SHOAL_ROUTER_SECRET);
  return { tail, session: sessionStub(c.env, await sessionOfTask(keys, tail)), owner: await ownerOf(c) };
}

/** Who takes the answers of a request to keep them; null where none is kept. */
export function keeperOf(c: AppContext, named: NamedSession | null): Keep | null {
  if (named?.keeps !== true) return null;
  return (task, answer) =>
    c.executionCtx.waitUntil(
      callSession(c.env, named.name, (session) => session.keepAnswer(task, { answer })).catch((cause) =>
        console.error(JSON.stringify({ event: 'answer_not_kept', task, reason: ShoalError.from(cause).code })),
      ),
    );
}

/**
 * Hands a request to its session, that goes on with it when this one is over. Responds `202` with the task's name, or as it is refused. Throws `unsupported_field` where the
 * answer could not be fetched, or `session_busy`.
 */
export async function beginInBackground(c: AppContext, named: NamedSession | null, body: unknown): Promise<Response> {
  const param = 'shoal.background';
  if (named?.keeps !== true || c.env.BATCH_LINE !== undefined) {
    const message = "The field 'shoal.background' needs a session with store: true: nobody could fetch the answer.";
    throw new ShoalError('unsupported_field', message, { param });
  }
  const taken = HEADERS_TAKEN.flatMap((name) => {
    const value = c.req.header(name);
    return value === undefined ? [] : [[name, value] as const];
  });
  const start = unwrap(
    await sessionStub(c.env, named.name).runInBackground(named.owner, {
      url: c.req.url,
      headers: { ...Object.fromEntries(taken), 'content-type': 'application/json' },
      body: JSON.stringify(body),
    }),
  );
  if (!('task' in start)) return new Response(start.body, { status: start.status, headers: start.headers });
  const { task } = start;
  c.get('taskNamed')?.(task);
  const tail = tailOf(task);
  return c.json({ id: taskId(tail), object: 'task', status: 'queued', answer: `/v1/tasks/${task}/answer` }, 202, {
    'shoal-task': task,
    location: `/v1/tasks/${task}/answer`,
    'retry-after': '1',
  });
}
