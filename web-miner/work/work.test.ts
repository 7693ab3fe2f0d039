import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { OpenedEnvelope } from '../../shared/sealing/envelope.ts';
import { generateSigningKeys, signerOf } from '../../shared/signing/signed-statement.ts';
import { EngineError } from '../engine/engine.ts';
import { KeyRing } from '../identity/key-ring.ts';
import { createStoredIdentity, identityFrom } from '../identity/tab-identity.ts';
import { AnswerJob } from './answer-job.ts';
import { BATCH_MS, BATCH_TOKENS, type Batch, FrameBatcher } from './frame-batcher.ts';
import { batchTokensFor } from './load-model.ts';
import { RateMeter } from './rate-meter.ts';
import { SpeedMeter } from './speed-meter.ts';
import type { WorkModel } from './work-model.ts';

describe('batching of frames', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  function batcher() {
    const out: Batch[] = [];
    return { out, batcher: new FrameBatcher((batch) => out.push(batch)) };
  }

  it('sends the first token at once, then every eight', () => {
    const { out, batcher: frames } = batcher();
    for (let i = 0; i < 1 + 2 * BATCH_TOKENS; i++) frames.push(`${i} `, 1);
    expect(out.map(({ tokens }) => tokens)).toEqual([1, BATCH_TOKENS, BATCH_TOKENS]);
    expect(out[1]?.text).toBe('1 2 3 4 5 6 7 8 ');
  });

  it('sends what is there when the time is over, and nothing when there is nothing', () => {
    const { out, batcher: frames } = batcher();
    frames.push('a', 1);
    frames.push('b', 1);
    vi.advanceTimersByTime(BATCH_MS - 1);
    expect(out).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(out).toEqual([
      { text: 'a', tokens: 1 },
      { text: 'b', tokens: 1 },
    ]);
    vi.advanceTimersByTime(10 * BATCH_MS);
    frames.flush();
    expect(out).toHaveLength(2);
  });

  it('sends nothing more, and waits for nothing, once the answer failed', () => {
    const { out, batcher: frames } = batcher();
    frames.push('a', 1);
    frames.push('b', 1);
    frames.drop();
    expect(vi.getTimerCount()).toBe(0);
    frames.flush();
    expect(out).toHaveLength(1);
  });
});

describe('an answer whose engine fails', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it('leaves no timer behind, and sends nothing after the news', async () => {
    const { pair, publicKey } = await generateSigningKeys();
    const exportSecret = async (_: string, length: number) => new Uint8Array(length);
    const opened = {
      lease: { private: false, kind: 'chat', sampling: {} },
      body: { salt: 'AAAAAAAAAAAAAAAAAAAAAA', messages: [], stop: [] },
      exporter: { exportSecret },
    } as unknown as OpenedEnvelope;
    const engine = {
      async *generate() {
        yield { type: 'delta', text: 'one ', tokens: 1 };
        yield { type: 'delta', text: 'two ', tokens: 1 };
        throw new EngineError('crashed', 'The engine broke down.');
      },
    };
    const work = { engine, renderer: { render: () => '' } } as unknown as WorkModel;
    const ports = {
      signer: signerOf(pair.privateKey, publicKey),
      sendFrame: () => 'relay' as const,
      accepted: () => undefined,
      wrote: () => undefined,
    };
    const job = new AnswerJob(opened, work, ports);
    await expect(job.run(new AbortController().signal)).rejects.toThrow('broke down');
    expect(vi.getTimerCount()).toBe(0);
  });
});

describe('the rate of a download', () => {
  it('is that of the last few seconds', () => {
    const meter = new RateMeter();
    expect(meter.rate(0, 0)).toBe(0);
    expect(meter.rate(1_000, 1_000)).toBe(1_000);
    for (let second = 2; second <= 20; second++) meter.rate(1_000 + second, second * 1_000);
    expect(meter.rate(1_021, 21_000)).toBeCloseTo(1);
  });
});

describe('the speed of a tab', () => {
  it('is shown while it writes, without the time that reading the prompt took', () => {
    const meter = new SpeedMeter(null);
    expect(meter.shown).toBeNull();
    meter.begin();
    meter.wrote(1, 10_000);
    let shown = false;
    for (let i = 1; i <= 20; i++) shown = meter.wrote(1, 10_000 + i * 50) || shown;
    expect(shown).toBe(true);
    expect(meter.shown).toBeCloseTo(20, 0);
  });

  it('is told to the router when it moved enough', () => {
    const meter = new SpeedMeter(100);
    expect(meter.measured(4, 10)).toBe(false);
    expect(meter.measured(100, 1_000)).toBe(false);
    expect(meter.measured(100, 4_000)).toBe(true);
    expect(meter.proven).toBeCloseTo(77.5);
  });
});

describe('prompt batches', () => {
  it('are smaller for larger models, so that a stop in prefill is quick', () => {
    expect(batchTokensFor(3.2e6)).toBe(64);
    expect(batchTokensFor(98e6)).toBe(4);
    expect(batchTokensFor(5e9)).toBe(4);
  });
});

describe('[S2] the keys of a tab', () => {
  it('are given out once, but for the standing one', async () => {
    const identity = identityFrom(await createStoredIdentity());
    const ring = new KeyRing(identity);
    const [statement] = await ring.issue(1);
    const { key } = JSON.parse(statement!.payload) as { key: string };
    expect(ring.take(key)).not.toBeNull();
    expect(ring.take(key)).toBeNull();
    expect(ring.take(identity.standing.publicKey)).toBe(identity.standing.pair);
    expect(ring.take(identity.standing.publicKey)).toBe(identity.standing.pair);
    expect(ring.take('unknown')).toBeNull();
  });

  it('are forgotten when there are too many', async () => {
    const ring = new KeyRing(identityFrom(await createStoredIdentity()));
    const first = (await ring.issue(1))[0]!;
    await ring.issue(64);
    expect(ring.take((JSON.parse(first.payload) as { key: string }).key)).toBeNull();
  });

  it('cannot be exported', async () => {
    const { signing, sealing } = await createStoredIdentity();
    for (const { privateKey } of [signing, sealing]) {
      expect(privateKey.extractable).toBe(false);
      await expect(crypto.subtle.exportKey('pkcs8', privateKey)).rejects.toThrow();
    }
  });
});
