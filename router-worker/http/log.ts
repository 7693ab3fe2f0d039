import type { Hono } from 'hono';
import * as v from 'valibot';
import { toBase64Url } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import { MAX_LOG_ENTRIES } from '../../shared/limits.ts';
import { tailOf } from '../../shared/protocol/task-ids.ts';
import { entryOf } from '../../shared/receipt-log/log-api.ts';
import { key32 } from '../../shared/signing/signed-statement.ts';
import { routerKeys, sessionOfTask } from '../keys/router-keys.ts';
import { logStub } from '../log/log-address.ts';
import { sessionStub, unwrap } from '../pool/session-calls.ts';
import type { AppContext, AppEnv } from './context.ts';

const ENTRIES_BY_DEFAULT = 100;

/** The public log of receipts: digests, signed heads, proofs. Anyone may read all of it. */
export function logRoutes(app: Hono<AppEnv>): void {
  app.get('/v1/log/head', async (c) => c.json(unwrap(await logStub(c.env).head())));

  app.get('/v1/log/entries', async (c) => {
    const from = wholeNumber(c, 'from') ?? 0;
    const limit = wholeNumber(c, 'limit') ?? ENTRIES_BY_DEFAULT;
    if (limit < 1 || limit > MAX_LOG_ENTRIES) throw invalid('limit', `it must be 1 to ${MAX_LOG_ENTRIES}`);
    return c.json(unwrap(await logStub(c.env).entries(from, limit)));
  });

  app.get('/v1/log/inclusion', async (c) => {
    const entry = await entryAskedFor(c);
    return c.json(unwrap(await logStub(c.env).inclusion(entry)));
  });

  app.get('/v1/log/consistency', async (c) => {
    const from = wholeNumber(c, 'from');
    if (from === null) throw new ShoalError('missing_field', "The parameter 'from' is missing.", { param: 'from' });
    return c.json(unwrap(await logStub(c.env).consistency(from, wholeNumber(c, 'to'))));
  });
}

/** By the receipt's id, or by the entry itself, which whoever has the receipt can compute. */
async function entryAskedFor(c: AppContext): Promise<string> {
  const entry = c.req.query('entry');
  if (entry !== undefined) {
    if (!v.is(key32, entry)) throw invalid('entry', 'it must be 32 bytes, base64url');
    return entry;
  }
  const id = c.req.query('receipt');
  if (id === undefined) {
    throw new ShoalError('missing_field', "Give 'receipt', an id, or 'entry', a digest.", { param: 'receipt' });
  }
  try {
    const tail = tailOf(id);
    const keys = await routerKeys(c.env.SHOAL_ROUTER_SECRET);
    const session = sessionStub(c.env, await sessionOfTask(keys, tail));
    return toBase64Url(await entryOf(unwrap(await session.receipt(tail))));
  } catch (cause) {
    if (!(cause instanceof ShoalError) || cause.code !== 'task_not_found') throw cause;
    throw new ShoalError('receipt_not_found', 'There is no receipt with this id.');
  }
}

/** Null when the parameter is not given. */
function wholeNumber(c: AppContext, name: string): number | null {
  const text = c.req.query(name);
  if (text === undefined) return null;
  const value = Number(text);
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(value)) throw invalid(name, 'it must be a whole number');
  return value;
}

function invalid(param: string, why: string): ShoalError {
  return new ShoalError('invalid_value', `The parameter '${param}' has a value that is not allowed: ${why}.`, {
    param,
  });
}
