import { type Bytes, concatBytes } from '../../bytes.ts';
import type { Verdict } from '../../checking/verdict.ts';
import type { Lease } from '../../protocol/lease.ts';
import { encodeEvent, encodeFrameRecord, type StreamEvent } from '../../protocol/stream-records.ts';
import { type OpenedEnvelope, openEnvelope } from '../../sealing/envelope.ts';
import { generateSealingKeys, type SealingKeys } from '../../sealing/hpke.ts';
import { generateSigningKeys, type Signed, type Signer, signerOf } from '../../signing/signed-statement.ts';
import { type ScriptedAnswer, scriptAnswer } from './scripted-answer.ts';

export async function newSigner(): Promise<Signer> {
  const { pair, publicKey } = await generateSigningKeys();
  return signerOf(pair.privateKey, publicKey);
}

/** What a lease repeats of the request. */
export interface Asked {
  readonly client: string;
  readonly nonce: string;
}

export const SAMPLING = {
  temperature: 0,
  topP: 1,
  topK: 0,
  minP: 0,
  frequencyPenalty: 0,
  presencePenalty: 0,
  seed: 1,
  maxTokens: 9,
};

export const NOBODY_FIT: Verdict = { value: 'unchecked', reason: 'nobody_fit' };

/** The stream of a task, said by a test. */
export class ScriptedStream {
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  /** Resolves when its reader went away. */
  readonly cancelled: Promise<void>;
  readonly stream: ReadableStream<Uint8Array>;

  constructor() {
    const cancelled = Promise.withResolvers<void>();
    this.cancelled = cancelled.promise;
    this.stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      cancel: () => cancelled.resolve(),
    });
  }

  frames(...frames: readonly Bytes[]): void {
    this.#controller?.enqueue(concatBytes(...frames.map(encodeFrameRecord)));
  }

  event(event: StreamEvent): void {
    this.#controller?.enqueue(encodeEvent(event));
  }

  end(): void {
    this.#controller?.close();
  }

  break(): void {
    this.#controller?.error(new Error('the connection broke'));
  }
}

/** A router and a tab with real keys, that say what a test tells them to say. */
export class ScriptedRouter {
  readonly signer: Signer;
  readonly tab: Signer;
  readonly keys: SealingKeys;
  /** Whether its leases are for level `strict`. */
  isStrict = false;

  private constructor(signer: Signer, tab: Signer, keys: SealingKeys) {
    this.signer = signer;
    this.tab = tab;
    this.keys = keys;
  }

  static async create(): Promise<ScriptedRouter> {
    return new ScriptedRouter(await newSigner(), await newSigner(), await generateSealingKeys());
  }

  lease(asked: Asked, part: Partial<Lease> = {}): Lease {
    return {
      v: 3,
      task: 'A'.repeat(46),
      subtask: 0,
      attempt: 1,
      number: 5,
      role: 'answer',
      rung: null,
      tab: this.tab.publicKey,
      sealTo: this.keys.publicKey,
      oneTime: true,
      model: 'm',
      variant: 'q8_0',
      class: `cls_${'A'.repeat(22)}`,
      client: asked.client,
      nonce: asked.nonce,
      private: true,
      kind: 'chat',
      sampling: SAMPLING,
      draw: 'D'.repeat(43),
      issuedAt: 1,
      expiresAt: Date.now() + 600_000,
      ...part,
    };
  }

  /** A lease, and the key that `keyBy` signed for it. */
  async leased(
    lease: Lease,
    by: Signer = this.signer,
    keyBy: Signer = this.tab,
    key: object = {},
  ): Promise<Extract<StreamEvent, { t: 'leased' }>> {
    return {
      t: 'leased',
      lease: await by.sign('lease', JSON.stringify(lease)),
      tabKey: await keyBy.sign('tab-key', JSON.stringify({ v: 1, key: lease.sealTo, oneTime: lease.oneTime, ...key })),
      token: 'token',
      direct: false,
      strict: this.isStrict,
      beside: false,
    };
  }

  /** A check drawn for another tab. Each has a number of its own. */
  async drawn(asked: Asked, checker: Signer, part: Partial<Lease> = {}): Promise<Extract<StreamEvent, { t: 'drawn' }>> {
    const lease = this.lease(asked, { role: 'check', number: 6, tab: checker.publicKey, ...part });
    const { lease: statement, tabKey } = await this.leased(lease, this.signer, checker);
    return { t: 'drawn', lease: statement, tabKey, handOnBy: 'tab' };
  }

  /** Opens a sealed prompt as the tab that it is sealed to. */
  open(envelope: Bytes, tab: Signer = this.tab): Promise<OpenedEnvelope> {
    return openEnvelope(envelope, {
      tab: tab.publicKey,
      router: this.signer.publicKey,
      takeKey: () => this.keys.pair,
      now: () => 2,
    });
  }

  answer(
    { exporter, body }: OpenedEnvelope,
    parts: readonly string[],
    lie: Parameters<typeof scriptAnswer>[3] = {},
  ): Promise<ScriptedAnswer> {
    return scriptAnswer(exporter, body.salt, parts, lie);
  }

  commit({ lease }: OpenedEnvelope, { chain }: ScriptedAnswer, part: object = {}): Promise<Signed> {
    const commit = {
      v: 3,
      task: lease.task,
      lease: 'L'.repeat(43),
      class: lease.class,
      prompt: 'P'.repeat(43),
      chain,
      finish: 'stop',
      tokens: { prompt: 4, completion: 3 },
      embedding: null,
      sent: { relay: { frames: 2, bytes: 9 }, direct: { frames: 0, bytes: 0 } },
      ...part,
    };
    return this.tab.sign('commit', JSON.stringify(commit));
  }

  /** As much of a receipt as a client reads at once. */
  receipt(part: object = {}, by: Signer = this.signer): Promise<Signed> {
    const receipt = {
      task: 'A'.repeat(46),
      outcome: { value: 'answered' },
      commit: null,
      verdict: NOBODY_FIT,
      ...part,
    };
    return by.sign('receipt', JSON.stringify(receipt));
  }
}
