import { beforeAll, describe, expect, it } from 'vitest';
import { type Bytes, concatBytes, fromBase64Url } from '../bytes.ts';
import { chainOf } from '../checking/digest-chain.ts';
import type { Lease } from '../protocol/lease.ts';
import { encodeEvent, encodeFrameRecord, type StreamEvent } from '../protocol/stream-records.ts';
import { openEnvelope, type Wrap } from '../sealing/envelope.ts';
import { FrameSealer } from '../sealing/frames.ts';
import { generateSealingKeys, type SealingKeys } from '../sealing/hpke.ts';
import { generateSigningKeys, type Signer, signerOf } from '../signing/signed-statement.ts';
import { SealedTask, type TaskUpdate } from './sealed-task.ts';

async function newSigner(): Promise<Signer> {
  const { pair, publicKey } = await generateSigningKeys();
  return signerOf(pair.privateKey, publicKey);
}

let router: Signer;
let tab: Signer;
let client: Signer;
let keys: SealingKeys;

beforeAll(async () => {
  [router, tab, client] = [await newSigner(), await newSigner(), await newSigner()];
  keys = await generateSealingKeys();
});

const NONCE = 'N'.repeat(22);
const sampling = {
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  frequencyPenalty: 0,
  presencePenalty: 0,
  seed: 1,
  maxTokens: 9,
};

const honestLease = (): Lease => ({
  v: 1,
  task: 'A'.repeat(46),
  subtask: 0,
  attempt: 1,
  number: 5,
  role: 'answer',
  tab: tab.publicKey,
  sealTo: keys.publicKey,
  oneTime: true,
  model: 'm',
  variant: 'q8_0',
  class: `cls_${'A'.repeat(22)}`,
  client: client.publicKey,
  nonce: NONCE,
  private: true,
  sampling,
  issuedAt: 1,
  expiresAt: Date.now() + 60_000,
});

/** A router that says what a test tells it to say. */
function talk() {
  let controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  const stream = new ReadableStream<Uint8Array>({
    start(given) {
      controller = given;
    },
  });
  const delivered = Promise.withResolvers<Bytes>();
  const wraps: Wrap[] = [];
  const task = new SealedTask(
    stream,
    {
      messages: [{ role: 'user', content: 'secret' }],
      stop: [],
      sampling: { temperature: 0, maxTokens: 9 },
      private: true,
      signer: client,
      nonce: NONCE,
      routerKey: router.publicKey,
    },
    {
      deliver: async (envelope) => delivered.resolve(envelope),
      handOn: async (wrap) => void wraps.push(wrap),
      reattach: () => Promise.reject(new Error('gone')),
    },
  );
  return {
    task,
    wraps,
    delivered: delivered.promise,
    say: (...parts: Uint8Array[]) => controller?.enqueue(concatBytes(...parts)),
    event: (event: StreamEvent) => controller?.enqueue(encodeEvent(event)),
    end: () => controller?.close(),
  };
}

async function leased(
  part: Partial<Lease> = {},
  by: Signer = router,
  keyBy: Signer = tab,
  key: object = {},
): Promise<Extract<StreamEvent, { t: 'leased' }>> {
  const lease = { ...honestLease(), ...part };
  return {
    t: 'leased',
    lease: await by.sign('lease', JSON.stringify(lease)),
    tabKey: await keyBy.sign('tab-key', JSON.stringify({ v: 1, key: lease.sealTo, oneTime: lease.oneTime, ...key })),
    token: 'token',
    direct: false,
  };
}

async function drain(task: SealedTask): Promise<TaskUpdate[]> {
  const updates: TaskUpdate[] = [];
  for await (const update of task.updates()) updates.push(update);
  return updates;
}

describe('[L6] the client seals to nobody when the router lies about', () => {
  it.each<[string, () => Promise<StreamEvent>]>([
    ['its own key', () => leased({}, tab)],
    ['the client', () => leased({ client: tab.publicKey })],
    ['the nonce', () => leased({ nonce: 'M'.repeat(22) })],
    ['privacy', () => leased({ private: false })],
    ['the role', () => leased({ role: 'check' })],
    ['a parameter that was asked for', () => leased({ sampling: { ...sampling, temperature: 1 } })],
    ['whose key it is: signed by another tab', async () => leased({}, router, await newSigner())],
    ['the key: another than the tab signed', () => leased({}, router, tab, { key: 'K'.repeat(43) })],
    ['whether the key is used once', () => leased({}, router, tab, { oneTime: false })],
  ])('%s', async (_, lie) => {
    const { task, event, delivered } = talk();
    event(await lie());
    await expect(drain(task)).rejects.toMatchObject({ code: 'integrity_failed' });
    const sealedAnything = await Promise.race([delivered.then(() => true), Promise.resolve(false)]);
    expect(sealedAnything).toBe(false);
  });
});

describe('a sealed task', () => {
  /** Plays an honest tab after an honest lease. */
  async function answered(text: string) {
    const conversation = talk();
    const { event, delivered, say } = conversation;
    const lease = await leased();
    event(lease);
    const opened = await openEnvelope(await delivered, {
      tab: tab.publicKey,
      router: router.publicKey,
      takeKey: () => keys.pair,
      now: () => 2,
    });
    const chain = await chainOf(fromBase64Url(opened.body.salt), text, 'stop');
    const sealer = new FrameSealer(opened.exporter, 'answer', { pad: true });
    const start = await chainOf(fromBase64Url(opened.body.salt), '', 'stop');
    expect(start.blocks).toEqual([]);
    const { DigestChain } = await import('../checking/digest-chain.ts');
    const growing = await DigestChain.start(fromBase64Url(opened.body.salt));
    await growing.append(new TextEncoder().encode(text));
    const body = await sealer.seal(
      { kind: 'text', tokens: 3, payload: new TextEncoder().encode(text), ...growing.progress },
      false,
    );
    const end = { finish: 'stop', promptTokens: 4, completionTokens: 3, head: chain.head };
    const last = await sealer.seal(
      { kind: 'end', tokens: 0, payload: new TextEncoder().encode(JSON.stringify(end)), ...growing.progress },
      true,
    );
    say(encodeFrameRecord(body), encodeFrameRecord(last));
    const commit = {
      v: 1,
      task: opened.lease.task,
      lease: 'L'.repeat(43),
      class: opened.lease.class,
      prompt: 'P'.repeat(43),
      chain,
      finish: 'stop',
      tokens: { prompt: 4, completion: 3 },
      embedding: null,
      sent: { relay: { frames: 2, bytes: 9 }, direct: { frames: 0, bytes: 0 } },
    };
    event({ t: 'committed', commit: await tab.sign('commit', JSON.stringify(commit)) });
    return { ...conversation, lease };
  }

  it('is told as it happens, to the verdict', async () => {
    const { task, event, end } = await answered('the answer');
    event({ t: 'ended', verdict: { value: 'unchecked', reason: 'nobody_fit' }, receipt: null });
    end();
    const updates = await drain(task);
    expect(updates.map((update) => update.type)).toEqual(['leased', 'text', 'answered', 'committed', 'ended']);
    expect(updates[1]).toEqual({ type: 'text', text: 'the answer', tokens: 3, path: 'relay' });
  });

  it.each<[string, Partial<Lease>]>([
    ['the tab that answered', {}],
    ['a tab of another class', { class: `cls_${'B'.repeat(22)}` }],
    ['other parameters', { sampling: { ...sampling, seed: 2 } }],
    ['another task', { task: 'B'.repeat(46) }],
  ])('[K1] wraps its key for no checker that is leased for %s', async (_, part) => {
    const { task, event, wraps } = await answered('the answer');
    const checker =
      part.class === undefined && part.sampling === undefined && part.task === undefined ? tab : await newSigner();
    const { lease, tabKey } = await leased(
      { role: 'check', number: 6, tab: checker.publicKey, ...part },
      router,
      checker,
    );
    event({ t: 'drawn', lease, tabKey, handOnBy: 'tab' });
    await expect(drain(task)).rejects.toMatchObject({ code: 'integrity_failed' });
    expect(wraps).toEqual([]);
  });

  it('ends with tab_lost when the stream ends before the task', async () => {
    const { task, event, end } = talk();
    event(await leased());
    end();
    await expect(drain(task)).rejects.toMatchObject({ code: 'tab_lost' });
  });

  it('passes on what the router refuses, with its code, parameter and time to come back', async () => {
    const { task, event } = talk();
    event({ t: 'failed', error: { code: 'no_tab', message: 'nobody', param: null, retry_after_ms: 15_000 } });
    await expect(drain(task)).rejects.toMatchObject({ code: 'no_tab', retryAfterMs: 15_000 });
  });

  it('stops when told to, once', async () => {
    const { task } = talk();
    await Promise.all([task.stop(), task.stop()]);
    await expect(drain(task)).rejects.toMatchObject({ code: 'cancelled' });
    await task.finished;
  });
});
