import type { Hono } from 'hono';
import { ShoalError } from '../../shared/errors.ts';
import { tailOf } from '../../shared/protocol/task-ids.ts';
import { routerKeys, sessionOfTask } from '../keys/router-keys.ts';
import { sessionStub, unwrap } from '../pool/session-calls.ts';
import type { AppEnv } from './context.ts';

/** What the network remembers of a task: its state, and its receipt. Whoever has the id may read; ids cannot be guessed. */
export function recordRoutes(app: Hono<AppEnv>): void {
  app.get('/v1/tasks/:id', async (c) => {
    const tail = tailOf(c.req.param('id'));
    const keys = await routerKeys(c.env.SHOAL_ROUTER_SECRET);
    const session = sessionStub(c.env, await sessionOfTask(keys, tail));
    return c.json(unwrap(await session.view(tail)));
  });

  app.get('/v1/receipts/:id', async (c) => {
    try {
      const tail = tailOf(c.req.param('id'));
      const keys = await routerKeys(c.env.SHOAL_ROUTER_SECRET);
      const session = sessionStub(c.env, await sessionOfTask(keys, tail));
      return c.json(unwrap(await session.receipt(tail)));
    } catch (cause) {
      if (!(cause instanceof ShoalError) || cause.code !== 'task_not_found') throw cause;
      throw new ShoalError('receipt_not_found', 'There is no receipt with this id.');
    }
  });
}
