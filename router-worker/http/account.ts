import type { Hono } from 'hono';
import * as v from 'valibot';
import { ShoalError } from '../../shared/errors.ts';
import { bytes16, instant, modelName, shownText } from '../../shared/protocol/fields.ts';
import { level } from '../../shared/protocol/level.ts';
import { taskId } from '../../shared/protocol/task-ids.ts';
import { accountStub } from '../accounts/account-object.ts';
import { type AccountName, digestOf, mintKey, newAccountName, noKey, readKey } from '../accounts/api-key.ts';
import { type KeyLimits, type KeyRecord, mayManage } from '../accounts/key-record.ts';
import { isOperatorPass, routerKeys } from '../keys/router-keys.ts';
import { ledgerStub } from '../ledger/ledger-address.ts';
import type { StatementLine } from '../ledger/transfer.ts';
import { unwrap } from '../pool/session-calls.ts';
import { bearerOf } from './admission.ts';
import type { AppContext, AppEnv } from './context.ts';
import { readJson } from './read-body.ts';

const MAX_BODY_BYTES = 16 * 1024;

const amount = v.pipe(v.number(), v.safeInteger(), v.minValue(1));
const origin = v.pipe(
  v.string(),
  v.maxLength(300),
  v.check((text) => URL.canParse(text) && new URL(text).origin === text, 'an origin'),
);

const keyRequest = v.strictObject({
  name: v.optional(shownText(100), ''),
  /** Micro-credits. */
  budget: v.optional(v.nullable(amount), null),
  models: v.optional(v.nullable(v.pipe(v.array(modelName), v.minLength(1), v.maxLength(100))), null),
  origins: v.optional(v.nullable(v.pipe(v.array(origin), v.minLength(1), v.maxLength(100))), null),
  /** Unix time, ms. */
  expires_at: v.optional(v.nullable(instant), null),
  /** Least level of its requests. */
  level: v.optional(v.nullable(level), null),
  /** By the operator only: the account that the key is for, null for a new one. */
  account: v.optional(v.nullable(v.pipe(v.string(), v.startsWith('acct_')))),
});

const creditRequest = v.strictObject({
  /** Names the transfer: the same id again gives nothing more. */
  id: v.pipe(v.string(), v.regex(/^[\w.-]{1,100}$/)),
  /** `acct_…` */
  account: v.pipe(v.string(), v.maxLength(100)),
  /** Micro-credits. */
  amount,
  /** Left out: for work. `checks`: for those checks of its work that the account is not charged for. */
  for: v.optional(v.literal('checks')),
});

const LINES_BY_DEFAULT = 100;
const MAX_LINES = 1_000;

/** Keys and money of whoever has an account. */
export function accountRoutes(app: Hono<AppEnv>): void {
  app.post('/v1/keys', async (c) => {
    const request = await parse(c, keyRequest);
    const { account, until } = await accountForNewKey(c, request.account);
    const key = await mintKey(await routerKeys(c.env.SHOAL_ROUTER_SECRET), account);
    const { budget, models, origins, expires_at: end, level: floor } = request;
    const limits: KeyLimits = { budget, models, origins, expiresAt: earlier(end, until), level: floor };
    const record = unwrap(await accountStub(c.env, account).addKey(await digestOf(key), request.name, limits));
    // Shown here and never again.
    return c.json({ ...keyView(record, 0), key, account: accountId(account) }, 201);
  });

  app.get('/v1/keys', async (c) => {
    const { account } = await owner(c, true);
    const keys = unwrap(await accountStub(c.env, account).keys());
    const spent = unwrap(await ledgerStub(c.env).keySpent(keys.map(({ id }) => id)));
    return c.json({ object: 'list', data: keys.map((key, i) => keyView(key, spent[i] ?? 0)) });
  });

  app.delete('/v1/keys/:id', async (c) => {
    const { account } = await owner(c, true);
    const { id } = unwrap(await accountStub(c.env, account).revoke(c.req.param('id')));
    return c.json({ id, object: 'api_key', deleted: true });
  });

  app.get('/v1/account', async (c) => {
    const { account, key } = await owner(c, false);
    const money = unwrap(await ledgerStub(c.env).account(account));
    const spent = unwrap(await ledgerStub(c.env).keySpent([key.id]));
    return c.json({
      id: accountId(account),
      object: 'account',
      unit: 'micro-credit',
      ...money,
      key: keyView(key, spent[0] ?? 0),
    });
  });

  app.get('/v1/account/statement', async (c) => {
    const { account } = await owner(c, false);
    const after = wholeNumber(c, 'after', 0, Number.MAX_SAFE_INTEGER);
    const limit = Math.max(1, wholeNumber(c, 'limit', LINES_BY_DEFAULT, MAX_LINES));
    const lines = unwrap(await ledgerStub(c.env).statement(account, after, limit)).map(lineView);
    const next = lines.length === limit ? (lines.at(-1)?.number ?? null) : null;
    return respondStatement(c, lines, next);
  });

  app.post('/v1/credits', async (c) => {
    if (!(await isOperator(c))) {
      throw new ShoalError('operator_only', 'Only the operator of this router gives credits.');
    }
    const { id, account, amount: credits, for: purpose } = await parse(c, creditRequest);
    const order = { id: `credit:${id}`, account: accountName(account), amount: credits };
    unwrap(await ledgerStub(c.env).credit({ ...order, isForChecks: purpose === 'checks' }));
    return c.json({ object: 'credit', id, account, amount: credits, ...(purpose !== undefined && { for: purpose }) });
  });
}

export const accountId = (name: AccountName) => `acct_${name}`;

/** Throws `invalid_value`. */
function accountName(id: string): AccountName {
  const name = id.replace(/^acct_/, '');
  if (id.startsWith('acct_') && v.is(bytes16, name)) return name;
  throw new ShoalError('invalid_value', "An account is named 'acct_' and 22 letters of base64url.", {
    param: 'account',
  });
}

/** The operator makes keys for any account, and new accounts; the owner of an account makes more keys for it, which last no longer than the key that makes them. */
async function accountForNewKey(
  c: AppContext,
  asked: string | null | undefined,
): Promise<{ readonly account: AccountName; readonly until: number | null }> {
  if (await isOperator(c)) return { account: asked == null ? newAccountName() : accountName(asked), until: null };
  const { account, key } = await owner(c, true);
  if (asked !== undefined) {
    throw new ShoalError('operator_only', "Only the operator names the account of a key: leave 'account' out.", {
      param: 'account',
    });
  }
  return { account, until: key.expiresAt };
}

function earlier(one: number | null, other: number | null): number | null {
  return one === null || other === null ? (one ?? other) : Math.min(one, other);
}

async function isOperator(c: AppContext): Promise<boolean> {
  const token = bearerOf(c);
  return token !== null && isOperatorPass(await routerKeys(c.env.SHOAL_ROUTER_SECRET), token);
}

/** Whose key this is. `manages`: keys with limits may not. Throws `invalid_api_key` or `key_not_allowed`. */
export async function owner(
  c: AppContext,
  manages: boolean,
): Promise<{ readonly account: AccountName; readonly key: KeyRecord }> {
  const token = bearerOf(c);
  if (token === null) throw noKey();
  const { account, digest } = await readKey(await routerKeys(c.env.SHOAL_ROUTER_SECRET), token);
  const use = { model: null, origin: c.req.header('origin') ?? null };
  const key = unwrap(await accountStub(c.env, account).authenticate(digest, use));
  if (manages && !mayManage(key)) {
    throw new ShoalError(
      'key_not_allowed',
      'A key with a budget, models, origins or a level of its own cannot manage keys or devices.',
    );
  }
  return { account, key };
}

function keyView(key: KeyRecord, spent: number) {
  return {
    id: key.id,
    object: 'api_key',
    name: key.name,
    created_at: key.createdAt,
    expires_at: key.expiresAt,
    revoked_at: key.revokedAt,
    budget: key.budget,
    /** With what its sessions hold. */
    spent,
    models: key.models,
    origins: key.origins,
    level: key.level,
  };
}

function lineView({ number, transfer, kind, task, amount: change, balance, at }: StatementLine) {
  return { number, at, kind, task: task === null ? null : taskId(task), amount: change, balance, transfer };
}

const COLUMNS = ['number', 'at', 'kind', 'task', 'amount', 'balance', 'transfer'] as const;

/** The next page, where there may be one, is named by a Link header, whatever the format. */
function respondStatement(c: AppContext, lines: readonly ReturnType<typeof lineView>[], next: number | null): Response {
  if (next !== null) {
    const url = new URL(c.req.url);
    url.searchParams.set('after', String(next));
    c.header('link', `<${url}>; rel="next"`);
  }
  const format = c.req.query('format') ?? 'json';
  switch (format) {
    case 'json':
      return c.json({ object: 'list', unit: 'micro-credit', data: lines, next_after: next });
    case 'jsonl':
      return text(
        c,
        'application/jsonl',
        lines.map((line) => JSON.stringify(line)),
      );
    case 'csv':
      // No field has a comma, a quote or a line break in it: numbers, and ids of our own letters.
      return text(c, 'text/csv', [
        COLUMNS.join(','),
        ...lines.map((line) => COLUMNS.map((name) => line[name] ?? '').join(',')),
      ]);
    default:
      throw new ShoalError('invalid_value', "'format' must be one of: json, jsonl, csv.", { param: 'format' });
  }
}

function text(c: AppContext, type: string, rows: readonly string[]): Response {
  return c.body(rows.map((row) => `${row}\n`).join(''), 200, { 'content-type': `${type}; charset=utf-8` });
}

function wholeNumber(c: AppContext, name: string, byDefault: number, most: number): number {
  const given = c.req.query(name);
  if (given === undefined) return byDefault;
  const value = Number(given);
  if (/^\d{1,16}$/.test(given) && value <= most) return value;
  throw new ShoalError('invalid_value', `'${name}' must be a whole number up to ${most}.`, { param: name });
}

export async function parse<T>(c: AppContext, schema: v.GenericSchema<unknown, T>): Promise<T> {
  const parsed = v.safeParse(schema, await readJson(c.req.raw, MAX_BODY_BYTES));
  if (parsed.success) return parsed.output;
  const param = v.getDotPath(parsed.issues[0]) ?? null;
  throw new ShoalError('invalid_value', `The field '${param ?? ''}' is not of the agreed shape.`, { param });
}
