import { type Bytes, fromBase64Url, toBase64Url, utf8 } from '../../shared/bytes.ts';
import { type AnswerChain, DigestChain, type FinishReason } from '../../shared/checking/digest-chain.ts';
import { promptDigest } from '../../shared/protocol/sealed-body.ts';
import type { AnswerCommit } from '../../shared/receipt/statements.ts';
import { vectorToText } from '../../shared/receipt/statements.ts';
import { leaseDigest, type OpenedEnvelope } from '../../shared/sealing/envelope.ts';
import { FrameSealer, MAX_FRAME_PAYLOAD_BYTES } from '../../shared/sealing/frames.ts';
import type { Signed, Signer } from '../../shared/signing/signed-statement.ts';
import { isAbort } from '../engine/engine.ts';
import { type Batch, FrameBatcher } from './frame-batcher.ts';
import type { WorkModel } from './work-model.ts';
import { answering } from './write-again.ts';

export type SentPath = 'relay' | 'direct';

export interface AnswerPorts {
  readonly signer: Signer;
  /** Sends a sealed frame and says which path it took. */
  sendFrame(frame: Bytes): SentPath;
  accepted(promptTokens: number): void;
  /** Tokens that were just written, for the page's speed display. */
  wrote(tokens: number): void;
}

export interface Answered {
  readonly text: string;
  readonly frames: readonly Bytes[];
  readonly commit: Signed;
  readonly finish: FinishReason;
  /** Tokens that say how fast the tab is, and the time that they took, ms: those that were written, or read where nothing is written. */
  readonly pace: { readonly tokens: number; readonly ms: number };
  /** How much of the prompt was read, and in which time; null where it was stopped before its end. */
  readonly reading: {
    readonly promptTokens: number;
    readonly evaluatedTokens: number;
    readonly prefillMs: number;
  } | null;
}

/** Runs one answer: generates, seals frame by frame, and commits to the whole. */
export class AnswerJob {
  readonly #opened: OpenedEnvelope;
  readonly #work: WorkModel;
  readonly #ports: AnswerPorts;
  readonly #sealer: FrameSealer;
  readonly #frames: Bytes[] = [];
  readonly #sent = { relay: { frames: 0, bytes: 0 }, direct: { frames: 0, bytes: 0 } };
  #text = '';
  #out: Promise<void> = Promise.resolve();

  constructor(opened: OpenedEnvelope, work: WorkModel, ports: AnswerPorts) {
    this.#opened = opened;
    this.#work = work;
    this.#ports = ports;
    this.#sealer = new FrameSealer(opened.exporter, 'answer', { pad: opened.lease.private });
  }

  /** Frames so far: what a client that lost some may ask for again. */
  get frames(): readonly Bytes[] {
    return this.#frames;
  }

  /** Throws `EngineError`. An abort is no error: the commit then says `cancelled`. */
  async run(signal: AbortSignal): Promise<Answered> {
    const { lease, body } = this.#opened;
    const chain = await DigestChain.start(fromBase64Url(body.salt));
    const batcher = new FrameBatcher((batch) => {
      this.#out = this.#out.then(() => this.#sendText(chain, batch));
      this.#out.catch(() => undefined);
    });
    const counts = { prompt: 0, completion: 0 };
    let finish: FinishReason = 'stop';
    let pace = { tokens: 0, ms: 0 };
    let reading: Answered['reading'] = null;
    try {
      const { kind, sampling } = lease;
      const question = { kind, messages: body.messages, stop: body.stop, sampling };
      for await (const event of answering(this.#work, question, signal)) {
        if (event.type === 'prompt') {
          counts.prompt = event.tokens;
          this.#ports.accepted(event.tokens);
        } else if (event.type === 'delta') {
          counts.completion += event.tokens;
          this.#text += event.text;
          this.#ports.wrote(event.tokens);
          batcher.push(event.text, event.tokens);
        } else {
          finish = event.finish;
          counts.prompt = event.promptTokens;
          counts.completion = event.completionTokens;
          const { promptTokens, evaluatedTokens = promptTokens, prefillMs, completionTokens, decodeMs } = event;
          reading = { promptTokens, evaluatedTokens, prefillMs };
          pace =
            kind === 'embed' ? { tokens: promptTokens, ms: prefillMs } : { tokens: completionTokens, ms: decodeMs };
        }
      }
    } catch (cause) {
      if (!isAbort(cause)) {
        batcher.drop();
        throw cause;
      }
      finish = 'cancelled';
    }
    batcher.flush();
    await this.#out;
    const answer = await chain.finish(finish);
    if (finish !== 'cancelled') await this.#sendEnd(chain, answer, finish, counts);
    return {
      text: this.#text,
      frames: this.#frames,
      commit: await this.#commit(answer, finish, counts),
      finish,
      pace,
      reading,
    };
  }

  async #sendText(chain: DigestChain, batch: Batch): Promise<void> {
    const bytes = utf8(batch.text);
    let tokens = batch.tokens;
    for (const payload of wholeCharacters(bytes)) {
      await chain.append(payload);
      await this.#send({ kind: 'text', tokens, payload }, chain, false);
      tokens = 0;
    }
  }

  async #sendEnd(
    chain: DigestChain,
    answer: AnswerChain,
    finish: FinishReason,
    counts: { readonly prompt: number; readonly completion: number },
  ): Promise<void> {
    const end = { finish, promptTokens: counts.prompt, completionTokens: counts.completion, head: answer.head };
    await this.#send({ kind: 'end', tokens: 0, payload: utf8(JSON.stringify(end)) }, chain, true);
  }

  async #send(
    content: { readonly kind: 'text' | 'end'; readonly tokens: number; readonly payload: Bytes },
    chain: DigestChain,
    final: boolean,
  ): Promise<void> {
    const frame = await this.#sealer.seal({ ...content, ...chain.progress }, final);
    this.#frames.push(frame);
    const sent = this.#sent[this.#ports.sendFrame(frame)];
    sent.frames++;
    sent.bytes += frame.byteLength;
  }

  async #commit(
    chain: AnswerChain,
    finish: FinishReason,
    tokens: { readonly prompt: number; readonly completion: number },
  ): Promise<Signed> {
    const { lease, statement, body } = this.#opened;
    const commit: AnswerCommit = {
      v: 1,
      task: lease.task,
      lease: await leaseDigest(statement),
      class: lease.class,
      prompt: toBase64Url(await promptDigest(fromBase64Url(body.salt), body)),
      chain,
      finish,
      tokens,
      embedding: lease.private || lease.kind === 'embed' ? null : vectorToText(this.#work.sentence.embed(this.#text)),
      sent: this.#sent,
    };
    return this.#ports.signer.sign('commit', JSON.stringify(commit));
  }
}

/** Cuts bytes so that each part fits a frame and no character is torn. */
function wholeCharacters(bytes: Bytes): Bytes[] {
  const parts: Bytes[] = [];
  let at = 0;
  while (at < bytes.byteLength) {
    let end = Math.min(bytes.byteLength, at + MAX_FRAME_PAYLOAD_BYTES);
    while (end < bytes.byteLength && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
    parts.push(bytes.slice(at, end));
    at = end;
  }
  return parts;
}
