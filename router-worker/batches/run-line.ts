import { SESSION_HEADER } from '../../shared/protocol/sealed-task-api.ts';
import type { Env } from '../env.ts';
import { createApp } from '../http/app.ts';
import type { LineCall, LineReply } from './line-crew.ts';

/**
 * Puts a line to the router's own HTTP surface, within this process: every endpoint is answered, checked and refused as for anybody else. The name of the line goes along
 * where no client can put it.
 */
export async function runLine(env: Env, call: LineCall, signal: AbortSignal): Promise<LineReply> {
  const background: Promise<unknown>[] = [];
  const request = new Request(call.origin + call.endpoint, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'shoal-sla': 'batch', // Whoever shares tabs out lets users go first.
      ...(call.level !== null && { 'shoal-level': call.level }),
      ...(call.session != null && { [SESSION_HEADER]: call.session }),
    },
    body: JSON.stringify(call.body),
    signal,
  });
  const response = await createApp().fetch(
    request,
    { ...env, BATCH_LINE: { owner: call.owner, payer: call.payer, name: call.name } },
    {
      waitUntil: (promise) => void background.push(promise),
      passThroughOnException: () => undefined,
      props: {},
    },
  );
  const retryAfter = Number(response.headers.get('retry-after') ?? Number.NaN);
  return {
    status: response.status,
    requestId: response.headers.get('x-request-id') ?? '',
    body: await response.json(),
    retryAfterMs: Number.isFinite(retryAfter) ? retryAfter * 1000 : null,
    settled: Promise.allSettled(background).then(() => undefined),
  };
}
