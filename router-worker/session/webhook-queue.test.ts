import { describe, expect, it, vi } from 'vitest';
import { randomBytes, toBase64Url } from '../../shared/bytes.ts';
import { routerKeys } from '../keys/router-keys.ts';
import { webhookSecret } from '../keys/webhook-secret.ts';
import { NodeSql } from '../testing/node-sql.ts';
import { sendWebhook, WEBHOOK_DEADLINE_MS, type WebhookOutcome } from './send-webhook.ts';
import { EVENT_AFTER_MS, MAX_WAITING_EVENTS, RETRY_AFTER_MS, WebhookQueue } from './webhook-queue.ts';

const FAILED: WebhookOutcome = { isTaken: false, why: 'status 500', isFinal: false };
const TAKEN: WebhookOutcome = { isTaken: true };

/** A queue on a clock of its own, and a receiver that responds as it is told. */
function aQueue(outcomes: WebhookOutcome[]) {
  const { sql } = new NodeSql();
  const seen = { now: 1_000, wakes: [] as number[], sent: [] as { id: string; type: string; at: number }[] };
  const make = () =>
    new WebhookQueue({
      sql,
      now: () => seen.now,
      wake: (at) => void seen.wakes.push(at),
      send: async ({ id, type }) => {
        seen.sent.push({ id, type, at: seen.now });
        return outcomes.shift() ?? TAKEN;
      },
    });
  return { seen, make, queue: make() };
}

/** Lets the clock go on to the next thing to do, until there is none. */
async function untilQuiet(queue: WebhookQueue, seen: { now: number }): Promise<void> {
  for (let at = queue.nextDueAt(); at !== null; at = queue.nextDueAt()) {
    seen.now = Math.max(seen.now, at);
    await queue.drain();
  }
}

describe('the queue of a webhook', () => {
  it('[B9] tells each event until it is taken, under one id', async () => {
    const { queue, seen } = aQueue([FAILED, FAILED]);
    queue.tell('task.ended', 'a', { id: 'task_a' });
    expect(seen.wakes).toEqual([1_000 + EVENT_AFTER_MS]);
    await queue.drain();
    expect(seen.sent).toEqual([]); // Not due yet.
    await untilQuiet(queue, seen);
    const first = 1_000 + EVENT_AFTER_MS;
    const times = [first, first + 5_000, first + 35_000];
    expect(seen.sent.map(({ at }) => at)).toEqual(times);
    expect(new Set(seen.sent.map(({ id }) => id)).size).toBe(1);
    expect(queue.counts()).toEqual({ waiting: 0, delivered: 1, failed: 0, last_failure: null });
  });

  it('[B9] gives up after the last attempt, and says so', async () => {
    const { queue, seen } = aQueue(Array(20).fill(FAILED));
    queue.tell('task.ended', 'a', {});
    await untilQuiet(queue, seen);
    expect(seen.sent).toHaveLength(1 + RETRY_AFTER_MS.length);
    expect(queue.counts()).toEqual({ waiting: 0, delivered: 0, failed: 1, last_failure: 'status 500' });
  });

  it('[B9] gives up at once where the receiver wants no more', async () => {
    const { queue, seen } = aQueue([{ isTaken: false, why: 'status 410', isFinal: true }]);
    queue.tell('task.ended', 'a', {});
    await untilQuiet(queue, seen);
    expect([seen.sent.length, queue.counts().failed]).toEqual([1, 1]);
  });

  it('[B9] is bounded', () => {
    const { queue } = aQueue([]);
    for (let i = 0; i <= MAX_WAITING_EVENTS; i++) queue.tell('task.ended', String(i), {});
    expect(queue.counts()).toEqual({
      waiting: MAX_WAITING_EVENTS,
      delivered: 0,
      failed: 1,
      last_failure: 'too many wait',
    });
  });

  it('survives the object that was lost in the middle of an attempt', async () => {
    const { sql } = new NodeSql();
    let now = 0;
    const made = (send: () => Promise<WebhookOutcome>) =>
      new WebhookQueue({ sql, now: () => now, wake: () => undefined, send });
    const lost = made(() => new Promise(() => undefined));
    lost.tell('task.answered', 'a', {});
    now = EVENT_AFTER_MS;
    void lost.drain();
    const next = made(async () => TAKEN);
    await next.drain();
    expect(next.counts().waiting).toBe(1); // It may still be on its way.
    now = next.nextDueAt() ?? 0;
    await next.drain();
    expect(next.counts()).toEqual({ waiting: 0, delivered: 1, failed: 0, last_failure: null });
  });

  it('forgets what waits when its session does not call any more', async () => {
    const { queue, seen } = aQueue([]);
    queue.tell('task.ended', 'a', {});
    queue.clear();
    await untilQuiet(queue, seen);
    expect([seen.sent, queue.nextDueAt()]).toEqual([[], null]);
  });
});

describe('an event that is sent', () => {
  const message = async () => {
    const keys = await routerKeys(toBase64Url(randomBytes(32)));
    const url = 'https://hooks.example.com/shoal';
    const secret = await webhookSecret(keys, 'sess_a', url);
    return { url, id: 'msg_1', body: '{"type":"task.ended"}', secret, at: 1_674_087_231_500 };
  };
  const answering = (response: () => Response | Promise<Response>) => {
    const calls: { url: string; init: RequestInit }[] = [];
    const send = (async (url: string, init: RequestInit) => {
      calls.push({ url, init });
      return response();
    }) as typeof fetch;
    return { send, calls };
  };

  it('[B9] is signed as Standard Webhooks wants it, and follows no redirect', async () => {
    const { send, calls } = answering(() => new Response('thanks'));
    // The example that the standard's own libraries are tested with.
    const example = {
      url: 'https://hooks.example.com/shoal',
      id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
      body: '{"test": 2432232314}',
      secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
      at: 1_614_265_330_999,
    };
    expect(await sendWebhook(send, example)).toEqual(TAKEN);
    const { headers, ...rest } = calls[0]?.init ?? {};
    expect(headers).toMatchObject({
      'webhook-id': example.id,
      'webhook-timestamp': '1614265330',
      'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
    });
    expect(rest).toMatchObject({ method: 'POST', redirect: 'manual', body: example.body });
    expect((await message()).secret).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
  });

  it.each<[string, () => Response | Promise<Response>, WebhookOutcome]>([
    ['is tried again after a fault', () => new Response(null, { status: 503 }), { ...FAILED, why: 'status 503' }],
    [
      'is tried again where it is sent on',
      () => new Response(null, { status: 302, headers: { location: 'http://169.254.169.254/' } }),
      { ...FAILED, why: 'status 302' },
    ],
    [
      'is not tried again where nobody wants it',
      () => new Response(null, { status: 410 }),
      { isTaken: false, why: 'status 410', isFinal: true },
    ],
    [
      'is tried again where nobody is there',
      () => Promise.reject(new TypeError('connect')),
      { ...FAILED, why: 'not reached' },
    ],
  ])('[B9] %s', async (_, response, outcome) => {
    const { send, calls } = answering(response);
    expect(await sendWebhook(send, await message())).toEqual(outcome);
    expect(calls).toHaveLength(1);
  });

  it('[B9] is tried again where it takes too long', async () => {
    vi.useFakeTimers();
    try {
      const never = (async (_: string, { signal }: RequestInit) => {
        signal?.throwIfAborted();
        return new Promise<Response>((_resolve, reject) => signal?.addEventListener('abort', reject));
      }) as typeof fetch;
      const sent = sendWebhook(never, await message());
      await vi.advanceTimersByTimeAsync(WEBHOOK_DEADLINE_MS);
      expect(await sent).toEqual({ ...FAILED, why: 'no response in time' });
    } finally {
      vi.useRealTimers();
    }
  });

  it('has a secret of its session and of its address', async () => {
    const keys = await routerKeys(toBase64Url(randomBytes(32)));
    const of = (session: string, url: string) => webhookSecret(keys, session, url);
    const secrets = [
      await of('a', 'https://x.example/'),
      await of('a', 'https://y.example/'),
      await of('b', 'https://x.example/'),
    ];
    expect(new Set(secrets).size).toBe(3);
    expect(await of('a', 'https://x.example/')).toBe(secrets[0]);
  });
});
