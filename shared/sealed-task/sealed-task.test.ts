import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import type { Bytes } from '../bytes.ts';
import type { Verdict } from '../checking/verdict.ts';
import { ACK_DEADLINE_MS, CHECK_DEADLINE_MS, FRAME_GAP_DEADLINE_MS, MAX_WAIT_MS } from '../limits.ts';
import type { Lease } from '../protocol/lease.ts';
import type { StreamEvent } from '../protocol/stream-records.ts';
import type { Wrap } from '../sealing/envelope.ts';
import type { Signed, Signer } from '../signing/signed-statement.ts';
import { SealedTask, type TaskUpdate } from './sealed-task.ts';
import { NOBODY_FIT, newSigner, SAMPLING, ScriptedRouter, ScriptedStream } from './testing/scripted-router.ts';

let router: ScriptedRouter;
let client: Signer;

beforeAll(async () => {
  [router, client] = [await ScriptedRouter.create(), await newSigner()];
});
afterEach(() => void vi.useRealTimers());

const NONCE = 'N'.repeat(22);
const asked = () => ({ client: client.publicKey, nonce: NONCE });
const VALID = {
  value: 'valid',
  method: 'exact-re-execution',
  blocks: 1,
  falseBlock: null,
  agree: 1,
  differ: 0,
  cosine: null,
} as const satisfies Verdict;

/** A client's task, and what a test needs to play all others. */
function talk(signer: Signer = client) {
  const stream = new ScriptedStream();
  const delivered = Promise.withResolvers<Bytes>();
  const reattached: PromiseWithResolvers<ReadableStream<Uint8Array>>[] = [];
  const envelopes: Bytes[] = [];
  const wraps: Wrap[] = [];
  const task = new SealedTask(
    stream.stream,
    {
      messages: [{ role: 'user', content: 'secret' }],
      stop: [],
      sampling: { temperature: 0, maxTokens: 9 },
      private: true,
      signer,
      nonce: NONCE,
      routerKey: router.signer.publicKey,
    },
    {
      deliver: async (envelope) => {
        envelopes.push(envelope);
        delivered.resolve(envelope);
      },
      handOn: async (wrap) => void wraps.push(wrap),
      reattach: () => {
        const again = Promise.withResolvers<ReadableStream<Uint8Array>>();
        reattached.push(again);
        return again.promise;
      },
    },
  );
  return { task, stream, wraps, envelopes, reattached, delivered: delivered.promise };
}

const leased = (part: Partial<Lease> = {}, ...rest: [Signer?, Signer?, object?]) =>
  router.leased(router.lease(asked(), part), ...rest);

const ended = (receipt: Signed | null, verdict: Verdict = NOBODY_FIT): StreamEvent => ({
  t: 'ended',
  verdict,
  receipt,
});

/** Up to the moment when the tab has the prompt. */
async function begun() {
  const conversation = talk();
  conversation.stream.event(await leased());
  return { ...conversation, opened: await router.open(await conversation.delivered) };
}

/** Up to the tab's signed commit. */
async function answered(text = 'the answer') {
  const conversation = await begun();
  const answer = await router.answer(conversation.opened, [text]);
  const commit = await router.commit(conversation.opened, answer);
  conversation.stream.frames(...answer.frames);
  conversation.stream.event({ t: 'committed', commit });
  return { ...conversation, answer, commit };
}

async function drain(task: SealedTask): Promise<TaskUpdate[]> {
  const updates: TaskUpdate[] = [];
  for await (const update of task.updates()) updates.push(update);
  return updates;
}

/** Time that a test moves; what is not about time goes on by itself. */
function fakeTime(): void {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
}

async function turns(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}

describe('[L6] the client seals to nobody when the router lies about', () => {
  it.each<[string, () => Promise<StreamEvent>]>([
    ['its own key', () => leased({}, router.tab)],
    ['the client', () => leased({ client: router.tab.publicKey })],
    ['the nonce', () => leased({ nonce: 'M'.repeat(22) })],
    ['privacy', () => leased({ private: false })],
    ['the role', () => leased({ role: 'check' })],
    ['the kind of task', () => leased({ kind: 'embed' })],
    ['a parameter that was asked for', () => leased({ sampling: { ...SAMPLING, temperature: 1 } })],
    ['whose key it is: signed by another tab', async () => leased({}, router.signer, await newSigner())],
    ['the key: another than the tab signed', () => leased({}, router.signer, router.tab, { key: 'K'.repeat(43) })],
    ['whether the key is used once', () => leased({}, router.signer, router.tab, { oneTime: false })],
  ])('%s', async (_, lie) => {
    const { task, stream, envelopes } = talk();
    stream.event(await lie());
    await expect(drain(task)).rejects.toMatchObject({ code: 'integrity_failed' });
    expect(envelopes).toEqual([]);
  });
});

describe('a second lease', () => {
  const another = { number: 9, attempt: 2 };

  it.each<[string, Partial<Lease>, string]>([
    ['[N1] of another class', { class: `cls_${'B'.repeat(22)}` }, 'tab_lost'],
    ['of another task', { task: 'B'.repeat(46) }, 'integrity_failed'],
    ['of no later attempt', { attempt: 1 }, 'integrity_failed'],
    ['with another seed', { sampling: { ...SAMPLING, seed: 2 } }, 'integrity_failed'],
    ['[K13] under another commitment to the draw', { draw: 'E'.repeat(43) }, 'integrity_failed'],
  ])('in the middle of an answer is refused when it is %s', async (_, part, code) => {
    const { task, stream, envelopes, opened } = await begun();
    const { frames } = await router.answer(opened, ['the ', 'answer']);
    const second = await newSigner();
    const lease = router.lease(asked(), { ...another, tab: second.publicKey, ...part });
    stream.frames(frames[0]!);
    stream.event(await router.leased(lease, router.signer, second));
    await expect(drain(task)).rejects.toMatchObject({ code });
    expect(envelopes).toHaveLength(1);
  });

  it('[N2] is refused once the first tab has committed', async () => {
    const { task, stream, envelopes } = await answered();
    const second = await newSigner();
    const lease = router.lease(asked(), { ...another, tab: second.publicKey });
    stream.event(await router.leased(lease, router.signer, second));
    await expect(drain(task)).rejects.toMatchObject({ code: 'integrity_failed' });
    expect(envelopes).toHaveLength(1);
  });

  it('[N4] beside the first is sealed to its own tab, and changes nothing until it is told again', async () => {
    const { task, stream, envelopes, opened } = await begun();
    const second = await newSigner();
    const lease = router.lease(asked(), { ...another, tab: second.publicKey });
    const event = await router.leased(lease, router.signer, second);
    stream.event({ ...event, beside: true });
    await vi.waitFor(() => expect(envelopes).toHaveLength(2));
    expect(task.held?.lease.tab).toBe(router.tab.publicKey);
    const openedBySecond = await router.open(envelopes[1]!, second);
    expect(openedBySecond.body).toEqual(opened.body);
    stream.event(event);
    stream.frames(...(await router.answer(openedBySecond, ['the answer'])).frames);
    const texts: string[] = [];
    for await (const update of task.updates()) {
      if (update.type === 'text') texts.push(update.text);
      if (update.type === 'answered') break;
    }
    expect({ texts, tab: task.held?.lease.tab, envelopes: envelopes.length }).toEqual({
      texts: ['the answer'],
      tab: second.publicKey,
      envelopes: 2,
    });
  });
});

describe('[K15] at level strict', () => {
  it('nothing of an answer is told before it is valid', async () => {
    router.isStrict = true;
    const { task, stream, commit } = await answered();
    router.isStrict = false;
    const updates: TaskUpdate[] = [];
    const following = (async () => {
      for await (const update of task.updates()) updates.push(update);
    })();
    await turns();
    expect(updates.map(({ type }) => type)).toEqual(['leased']);
    stream.event(ended(await router.receipt({ commit, verdict: VALID }), VALID));
    await following;
    expect(updates.map(({ type }) => type)).toEqual(['leased', 'text', 'answered', 'committed', 'ended']);
  });

  it.each<Verdict>([
    NOBODY_FIT,
    { value: 'invalid', method: 'exact-re-execution', blocks: 1, falseBlock: 0, agree: 0, differ: 2, cosine: null },
    { value: 'disputed', method: 'exact-re-execution', blocks: 1, falseBlock: 0, agree: 0, differ: 1, cosine: null },
  ])('an answer that is $value is an error, and none of it is told', async (verdict) => {
    router.isStrict = true;
    const { task, stream, commit } = await answered();
    router.isStrict = false;
    stream.event(ended(await router.receipt({ commit, verdict }), verdict));
    const updates: TaskUpdate[] = [];
    const following = (async () => {
      for await (const update of task.updates()) updates.push(update);
    })();
    await expect(following).rejects.toMatchObject({ code: 'answer_not_verified' });
    expect(updates.map(({ type }) => type)).toEqual(['leased']);
  });
});

describe('a sealed task', () => {
  it('is told as it happens, to the verdict', async () => {
    const { task, stream, commit } = await answered();
    stream.event(ended(await router.receipt({ commit })));
    stream.end();
    const updates = await drain(task);
    expect(updates.map((update) => update.type)).toEqual(['leased', 'text', 'answered', 'committed', 'ended']);
    expect(updates[1]).toEqual({ type: 'text', text: 'the answer', tokens: 3, path: 'relay' });
    await task.finished;
  });

  it.each<[string, Partial<Lease>]>([
    ['the tab that answered', {}],
    ['a tab of another model', { model: 'another-model' }],
    ['other parameters', { sampling: { ...SAMPLING, seed: 2 } }],
    ['another task', { task: 'B'.repeat(46) }],
  ])('[K1] wraps its key for no checker that is leased for %s', async (what, part) => {
    const { task, stream, wraps } = await answered();
    const checker = what === 'the tab that answered' ? router.tab : await newSigner();
    stream.event(await router.drawn(asked(), checker, part));
    await expect(drain(task)).rejects.toMatchObject({ code: 'integrity_failed' });
    expect(wraps).toEqual([]);
  });

  it('gives the same wrap when it is asked for it again, so that the checker’s evidence opens whichever came first', async () => {
    const { task, stream, wraps, envelopes, commit } = await answered();
    const drawn = await router.drawn(asked(), await newSigner());
    stream.event(drawn);
    stream.event(drawn);
    stream.event({ ...drawn, handOnBy: 'client' });
    stream.event(ended(await router.receipt({ commit })));
    expect((await drain(task)).filter(({ type }) => type === 'checking')).toHaveLength(1);
    expect(wraps).toHaveLength(2);
    expect(wraps[1]).toEqual(wraps[0]);
    expect(new TextDecoder().decode(envelopes[1])).toContain(wraps[0]!.wrapped);
  });

  it('[C6] fails when the tab signed another answer to the same task than it sent', async () => {
    const { task, stream, opened } = await begun();
    const answer = await router.answer(opened, ['the answer']);
    const other = await router.answer(opened, ['another answer']);
    stream.frames(...answer.frames);
    stream.event({ t: 'committed', commit: await router.commit(opened, other) });
    await expect(drain(task)).rejects.toMatchObject({ code: 'integrity_failed' });
  });

  it('fails when the commit is for another task, or signed by another than the tab', async () => {
    for (const of of ['task', 'tab']) {
      const { task, stream, opened } = await begun();
      const answer = await router.answer(opened, ['the answer']);
      stream.frames(...answer.frames);
      const commit = await router.commit(opened, answer, of === 'task' ? { task: 'B'.repeat(46) } : {});
      const forged = of === 'tab' ? await client.sign('commit', commit.payload) : commit;
      stream.event({ t: 'committed', commit: forged });
      await expect(drain(task), of).rejects.toMatchObject({ code: 'integrity_failed' });
    }
  });

  it('ends with tab_lost when the stream ends before the task', async () => {
    const { task, stream } = talk();
    stream.event(await leased());
    stream.end();
    await expect(drain(task)).rejects.toMatchObject({ code: 'tab_lost' });
  });

  it('passes on what the router refuses, with its code, parameter and time to come back', async () => {
    const { task, stream } = talk();
    stream.event({ t: 'failed', error: { code: 'no_tab', message: 'nobody', param: null, retry_after_ms: 15_000 } });
    await expect(drain(task)).rejects.toMatchObject({ code: 'no_tab', retryAfterMs: 15_000 });
  });

  it('[T2] [T7] takes events that are told twice, because the stream was taken up, as told once', async () => {
    const { task, stream, commit, reattached } = await answered();
    stream.event({ t: 'accepted', promptTokens: 4 });
    stream.event({ t: 'accepted', promptTokens: 4 });
    stream.event({ t: 'committed', commit });
    const types: string[] = [];
    const reading = (async () => {
      for await (const { type } of task.updates()) types.push(type);
    })();
    await vi.waitUntil(() => types.includes('committed') && types.includes('accepted'), { interval: 1 });
    stream.break();
    await vi.waitUntil(() => reattached.length > 0, { interval: 1 });
    const again = new ScriptedStream();
    reattached[0]!.resolve(again.stream);
    again.event({ t: 'committed', commit });
    again.event(ended(await router.receipt({ commit })));
    again.event(ended(await router.receipt({ commit })));
    await reading;
    expect(types.toSorted()).toEqual(['accepted', 'answered', 'committed', 'ended', 'leased', 'text']);
  });
});

describe('an end that the router tells', () => {
  it.each<[string, (commit: Signed) => Promise<StreamEvent>]>([
    ['comes with a verdict but without a receipt', async () => ended(null, VALID)],
    ['has a receipt for another task', async (commit) => ended(await router.receipt({ commit, task: 'B'.repeat(46) }))],
    ['has a receipt with another verdict', async (commit) => ended(await router.receipt({ commit }), VALID)],
    ['has a receipt by another key', async (commit) => ended(await router.receipt({ commit }, client))],
    [
      'has a receipt that was altered',
      async (commit) => {
        const receipt = await router.receipt({ commit, verdict: VALID });
        return ended(
          { ...receipt, payload: receipt.payload.replace('"blocks":1', '"blocks":2') },
          { ...VALID, blocks: 2 },
        );
      },
    ],
  ])('is refused when it %s', async (_, lie) => {
    const { task, stream, commit } = await answered();
    stream.event(await lie(commit));
    await expect(drain(task)).rejects.toMatchObject({ code: 'integrity_failed' });
  });

  it('is refused when the receipt has the commit of another answer', async () => {
    const { task, stream, opened } = await answered();
    const other = await router.answer(opened, ['another answer']);
    stream.event(ended(await router.receipt({ commit: await router.commit(opened, other) })));
    await expect(drain(task)).rejects.toMatchObject({ code: 'integrity_failed' });
  });

  it.each<[string, string, () => Promise<StreamEvent>]>([
    ['is no success', 'integrity_failed', async () => ended(null)],
    ['is no success, whatever the receipt says', 'integrity_failed', async () => ended(await router.receipt())],
    [
      'is the failure that the receipt names',
      'engine_failed',
      async () => ended(await router.receipt({ outcome: { value: 'failed', code: 'engine_failed' } })),
    ],
    [
      'is the loss of the tab when somebody else had stopped it',
      'tab_lost',
      async () => ended(await router.receipt({ outcome: { value: 'cancelled' } })),
    ],
  ])('without an answer %s', async (_, code, end) => {
    const { task, stream } = await begun();
    stream.event(await end());
    stream.end();
    await expect(drain(task)).rejects.toMatchObject({ code });
  });

  it('before the lease is no success', async () => {
    const { task, stream } = talk();
    stream.event(ended(null));
    await expect(drain(task)).rejects.toMatchObject({ code: 'integrity_failed' });
  });

  it('without the tab’s commit is no success, though the whole text arrived', async () => {
    const { task, stream, opened } = await begun();
    stream.frames(...(await router.answer(opened, ['the answer'])).frames);
    stream.event(ended(await router.receipt()));
    await expect(drain(task)).rejects.toMatchObject({ code: 'integrity_failed' });
  });

  it('[T7] brings the commit whose own event was lost with a stream', async () => {
    const { task, stream, opened } = await begun();
    const answer = await router.answer(opened, ['the answer']);
    stream.frames(...answer.frames);
    stream.event(ended(await router.receipt({ commit: await router.commit(opened, answer) })));
    const types = (await drain(task)).map(({ type }) => type);
    expect(types).toEqual(['leased', 'text', 'answered', 'committed', 'ended']);
  });

  it('[T7] may be followed by the frames that a broken stream had lost', async () => {
    const { task, stream, opened, reattached } = await begun();
    const answer = await router.answer(opened, ['one ', 'two']);
    stream.event(ended(await router.receipt({ commit: await router.commit(opened, answer) })));
    stream.frames(...answer.frames);
    const types = (await drain(task)).map(({ type }) => type);
    expect(types).toEqual(['leased', 'text', 'text', 'answered', 'committed', 'ended']);
    expect(reattached).toEqual([]);
  });

  it('[S3] waits for frames that a link swallowed, asks for them, and takes what else is said as known', async () => {
    fakeTime();
    const { task, stream, opened, reattached } = await begun();
    const answer = await router.answer(opened, ['one ', 'two']);
    const commit = await router.commit(opened, answer);
    const receipt = await router.receipt({ commit });
    task.receiveFrame(answer.frames[0]!, 'direct');
    stream.event({ t: 'committed', commit });
    stream.event(ended(receipt));
    stream.end();
    const updates = drain(task);
    await vi.waitUntil(() => vi.getTimerCount() === 2, { interval: 1 }); // The watchdog's, and the one for the last frames.
    vi.advanceTimersByTime(2_000);
    await vi.waitUntil(() => reattached.length > 0, { interval: 1 });
    const again = new ScriptedStream();
    reattached[0]!.resolve(again.stream);
    again.event(ended(receipt));
    again.frames(...answer.frames.slice(1));
    expect((await updates).map(({ type }) => type)).toEqual([
      'leased',
      'text',
      'text',
      'answered',
      'committed',
      'ended',
    ]);
    await again.cancelled;
  });
});

describe('[T3] a client that stops', () => {
  it('stops once, and gives the stream back', async () => {
    const { task, stream } = talk();
    await Promise.all([task.stop(), task.stop(), stream.cancelled]);
    await expect(drain(task)).rejects.toMatchObject({ code: 'cancelled' });
    await task.finished;
  });

  it('sends no prompt that was still being sealed', async () => {
    const [signing, mayGoOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const { task, stream, envelopes } = talk({
      publicKey: client.publicKey,
      async sign(...what) {
        signing.resolve();
        await mayGoOn.promise;
        return client.sign(...what);
      },
    });
    stream.event(await leased());
    await signing.promise;
    await task.stop();
    mayGoOn.resolve();
    await new Promise((resolve) => setTimeout(resolve, 20)); // Longer than a signature takes.
    expect(envelopes).toEqual([]);
  });

  it('while the stream is taken up gives back the new one', async () => {
    const { task, stream, reattached } = await begun();
    stream.break();
    await vi.waitUntil(() => reattached.length > 0, { interval: 1 });
    await task.stop();
    const again = new ScriptedStream();
    reattached[0]!.resolve(again.stream);
    await again.cancelled;
    await expect(drain(task)).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('while missing frames are asked for gives back the stream that would bring them', async () => {
    fakeTime();
    const { task, stream, opened, reattached } = await begun();
    const answer = await router.answer(opened, ['the answer']);
    stream.event(ended(await router.receipt({ commit: await router.commit(opened, answer) })));
    stream.end();
    await vi.waitUntil(() => vi.getTimerCount() === 2, { interval: 1 }); // The watchdog's, and the one for the last frames.
    vi.advanceTimersByTime(2_000);
    await vi.waitUntil(() => reattached.length > 0, { interval: 1 });
    await task.stop();
    const again = new ScriptedStream();
    reattached[0]!.resolve(again.stream);
    await again.cancelled;
    await expect(drain(task)).rejects.toMatchObject({ code: 'cancelled' });
  });

  it('is told of no answer that was cancelled as of one that was whole', async () => {
    const { task, stream, opened } = await begun();
    const { frames } = await router.answer(opened, ['the ans'], { finish: 'cancelled' });
    stream.frames(...frames);
    await expect(drain(task)).rejects.toMatchObject({ code: 'tab_lost' });
  });
});

describe('[T1] a task of which nothing is heard', () => {
  const SLACK_MS = 20_000;

  it.each<[string, number, () => Promise<ReturnType<typeof talk>>]>([
    ['in the line', MAX_WAIT_MS, async () => talk()],
    ['after the lease', ACK_DEADLINE_MS, begun],
    [
      'in mid-answer',
      FRAME_GAP_DEADLINE_MS,
      async () => {
        const conversation = await begun();
        const { frames } = await router.answer(conversation.opened, ['one ', 'two']);
        conversation.stream.event({ t: 'accepted', promptTokens: 4 });
        conversation.stream.frames(frames[0]!);
        return conversation;
      },
    ],
    ['during the check', CHECK_DEADLINE_MS, answered],
  ])('%s fails, and the router is told to stop', async (_, limitMs, play) => {
    fakeTime();
    const { task, stream } = await play();
    const failed = expect(drain(task)).rejects.toMatchObject({ code: 'deadline_exceeded' });
    await turns();
    vi.advanceTimersByTime(limitMs);
    await turns();
    vi.advanceTimersByTime(3 * SLACK_MS);
    await Promise.all([failed, stream.cancelled, task.finished]);
  });

  it('goes on while a slow checker is at work', async () => {
    fakeTime();
    const { task, stream, commit } = await answered();
    const types: string[] = [];
    const reading = (async () => {
      for await (const { type } of task.updates()) types.push(type);
    })();
    await vi.waitUntil(() => types.includes('committed'), { interval: 1 });
    vi.advanceTimersByTime(CHECK_DEADLINE_MS);
    stream.event(ended(await router.receipt({ commit })));
    await reading;
    expect(types.at(-1)).toBe('ended');
  });

  it('goes on while frames come over a direct link', async () => {
    fakeTime();
    const { task, stream, opened } = await begun();
    const answer = await router.answer(opened, ['one ', 'two ', 'three']);
    stream.event({ t: 'accepted', promptTokens: 4 });
    await turns();
    for (const frame of answer.frames) {
      vi.advanceTimersByTime(FRAME_GAP_DEADLINE_MS);
      task.receiveFrame(frame, 'direct');
    }
    const commit = await router.commit(opened, answer);
    stream.event({ t: 'committed', commit });
    stream.event(ended(await router.receipt({ commit })));
    const updates = await drain(task);
    expect(updates.at(-1)).toMatchObject({ type: 'ended' });
    expect(vi.getTimerCount()).toBe(0);
  });
});
