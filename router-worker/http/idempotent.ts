import type { MiddlewareHandler } from 'hono';
import { type Bytes, concatBytes, EMPTY, fromUtf8, sha256, toBase64Url, utf8 } from '../../shared/bytes.ts';
import { ShoalError } from '../../shared/errors.ts';
import { SESSION_HEADER } from '../../shared/protocol/sealed-task-api.ts';
import { type KeptResponse, MAX_KEPT_RESPONSE_BYTES } from '../idempotency/request-keys.ts';
import { routerKeys } from '../keys/router-keys.ts';
import type { AppContext, AppEnv } from './context.ts';
import { ownerOf } from './owner.ts';
import { readBytes } from './read-body.ts';

export const IDEMPOTENCY_HEADER = 'idempotency-key';

/** Says that a response is a repetition. */
export const REPLAYED_HEADER = 'idempotency-replayed';

/** What a repetition tells of the first response, beside its body. */
const KEPT_HEADERS = ['content-type', 'shoal-task', 'shoal-level', 'shoal-sure'];

/** When somebody who waits for a running request may ask again, ms. */
const ASK_AGAIN_MS = 2_000;

/** The last event of a stream that came to its end. */
const END_OF_STREAM = 'data: [DONE]';

export interface IdempotentRoute {
  readonly maxBodyBytes: number;
  /** `asked`: a response holds an answer's text, so it is kept only for a request with `store: true`. `always`: it holds none. */
  readonly keeps: 'asked' | 'always';
}

/**
 * `Idempotency-Key`: a request that succeeded is never run twice under one key. The second gets the first one's response if that was to be kept, and else the name of
 * its task. Throws `invalid_value`, `idempotency_mismatch`, `idempotency_in_progress` or `idempotency_done`.
 */
export function idempotent(route: IdempotentRoute): MiddlewareHandler<AppEnv> {
  return async (c, next) => {
    const key = c.req.header(IDEMPOTENCY_HEADER);
    if (key === undefined) return next();
    if (!/^[\x21-\x7e]{1,255}$/.test(key)) {
      throw new ShoalError('invalid_value', 'The key must have 1 to 255 visible ASCII characters.', {
        param: 'Idempotency-Key',
      });
    }
    const bytes = await readBytes(c.req.raw, route.maxBodyBytes);
    const owner = await ownerOf(c);
    const keys = await routerKeys(c.env.SHOAL_ROUTER_SECRET);
    const digest = toBase64Url(await keys.mac('idempotency', `${owner}\n${key}`));
    const session = c.req.header(SESSION_HEADER);
    const place = session === undefined ? c.req.path : `${c.req.path}\n${session}`;
    const asked = toBase64Url(await sha256(utf8(`${place}\n`), bytes));
    const store = c.env.IDEMPOTENCY.get(c.env.IDEMPOTENCY.idFromName(owner));
    const admission = await store.admit(digest, asked);
    if (admission.do === 'replay') return replay(c, admission.response, admission.task);
    if (admission.do === 'refuse') throw refusal(c, admission);

    const { body, isStored } = withoutStore(bytes, route);
    c.req.raw = new Request(c.req.raw, { body });
    c.set('taskNamed', (task) => c.executionCtx.waitUntil(store.named(digest, task)));
    let isOpen = true;
    const end = async (response: KeptResponse | null) => {
      if (!isOpen) return;
      isOpen = false;
      await (response === null ? store.failed(digest) : store.succeeded(digest, response));
    };
    try {
      await next();
    } catch (cause) {
      await end(null);
      throw cause;
    }
    const { status, headers } = c.res;
    if (status >= 300 || c.res.body === null) return end(null); // Refused: nothing was begun, or it came to nothing.
    const kept = Object.fromEntries(KEPT_HEADERS.flatMap((name) => pair(name, headers.get(name))));
    const { readable, writable } = new IdentityTransformStream();
    const isStream = (kept['content-type'] ?? '').startsWith('text/event-stream');
    const keepsBody = isStored || status === 202; // That one only names a task.
    const passing = passOn(c.res.body, writable.getWriter(), { isStored: keepsBody, isStream }).then(
      ({ whole, last }) => {
        const isDone = !isStream || last.includes(END_OF_STREAM);
        return end(isDone ? { status, headers: kept, body: keepsBody ? whole : null } : null);
      },
      () => end(null), // The client hung up, and the task with it.
    );
    c.executionCtx.waitUntil(passing);
    c.res = new Response(readable, c.res);
  };
}

function pair(name: string, value: string | null): [string, string][] {
  return value === null ? [] : [[name, value]];
}

function replay(c: AppContext, { status, headers, body }: KeptResponse, task: string | null): Response {
  if (task !== null) c.header('shoal-task', task);
  if (body === null) {
    throw new ShoalError(
      'idempotency_done',
      `A request with this key was answered${task === null ? '' : ` as ${task}`}. Its text was not kept: it was not asked for with store.`,
      { param: 'Idempotency-Key' },
    );
  }
  return new Response(body, { status, headers: { ...headers, [REPLAYED_HEADER]: 'true' } });
}

function refusal(
  c: AppContext,
  admission: { readonly why: 'other_body' } | { readonly why: 'running'; readonly task: string | null },
): ShoalError {
  const param = 'Idempotency-Key';
  if (admission.why === 'other_body') {
    return new ShoalError('idempotency_mismatch', 'This key was used for another request.', { param });
  }
  const { task } = admission;
  if (task !== null) c.header('shoal-task', task);
  return new ShoalError(
    'idempotency_in_progress',
    `The first request with this key is still running${task === null ? '' : ` as ${task}`}.`,
    { param, retryAfterMs: ASK_AGAIN_MS },
  );
}

/** Whether the response is to be kept. `store: true` is honoured here, where a key is at hand, so the route is not told of it. */
function withoutStore(bytes: Bytes, route: IdempotentRoute): { readonly body: Bytes; readonly isStored: boolean } {
  if (route.keeps === 'always') return { body: bytes, isStored: true };
  let value: unknown;
  try {
    value = JSON.parse(fromUtf8(bytes));
  } catch {
    return { body: bytes, isStored: false }; // The route will refuse it.
  }
  if (typeof value !== 'object' || value === null || !('store' in value) || value.store !== true) {
    return { body: bytes, isStored: false };
  }
  const { store: _, ...rest } = value;
  return { body: utf8(JSON.stringify(rest)), isStored: true };
}

/**
 * Passes the body on as it comes. Rejects when it breaks off, or the reader of a stream leaves. What is no stream is an answer that was given: it is read to its end
 * though its reader has left, who will ask again.
 */
async function passOn(
  source: ReadableStream<Uint8Array>,
  writer: WritableStreamDefaultWriter<Uint8Array>,
  { isStored, isStream }: { readonly isStored: boolean; readonly isStream: boolean },
): Promise<{ readonly whole: Bytes | null; readonly last: string }> {
  const reader = source.getReader();
  let parts: Uint8Array[] | null = isStored ? [] : null;
  let total = 0;
  let last: Bytes = EMPTY;
  let hasLeft = false;
  const orLeft = (cause: unknown) => {
    if (isStream) throw cause;
    hasLeft = true;
  };
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      total += value.byteLength;
      if (total > MAX_KEPT_RESPONSE_BYTES) parts = null;
      parts?.push(value.slice());
      last = concatBytes(last, value).slice(-2 * END_OF_STREAM.length);
      if (!hasLeft) await writer.write(value).catch(orLeft);
    }
    if (!hasLeft) await writer.close().catch(orLeft);
  } catch (cause) {
    await reader.cancel(cause).catch(() => undefined);
    await writer.abort(cause).catch(() => undefined);
    throw cause;
  }
  return { whole: parts === null ? null : concatBytes(...parts), last: new TextDecoder().decode(last) };
}
