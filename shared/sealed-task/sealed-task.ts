import * as v from 'valibot';
import { AsyncQueue } from '../async-queue.ts';
import { type Bytes, equalBytes, fromBase64Url, randomBytes, toBase64Url, utf8 } from '../bytes.ts';
import { DigestChain, type FinishReason, finishReason } from '../checking/digest-chain.ts';
import { cosine } from '../checking/similarity.ts';
import type { Verdict } from '../checking/verdict.ts';
import { withDeadline } from '../deadline.ts';
import { ShoalError } from '../errors.ts';
import { count, key32, type TaskTail } from '../protocol/fields.ts';
import { type Lease, lease as leaseSchema, type Sampling, tabKey } from '../protocol/lease.ts';
import type { ChatMessage } from '../protocol/sealed-body.ts';
import { RecordReader, type StreamEvent } from '../protocol/stream-records.ts';
import { answerCommit, vectorFromText } from '../receipt/statements.ts';
import { type BodySeal, encodeEnvelope, sealBody, type Wrap } from '../sealing/envelope.ts';
import { type FrameContent, FrameOpener, FrameOrder, textOf } from '../sealing/frames.ts';
import type { SecretExporter } from '../sealing/hpke.ts';
import { openStatement, parsePayload, type Signed, type Signer } from '../signing/signed-statement.ts';

/**
 * One task from the side that seals it: a page for its own prompt, or the router for a plain HTTP client. It seals the body for the tab
 * that was leased, opens the frames in order whatever path they took, recomputes the digest chain as the text arrives, and wraps the key for
 * the checker that is drawn.
 */

/** The content of the frame that ends an answer. */
export const answerEnd = v.object({
  finish: finishReason,
  promptTokens: count,
  completionTokens: count,
  head: key32,
});

/** What a checker tells the client of a private task, sealed. */
export const checkEvidence = v.object({
  /** Sentence embedding of the checker's own answer, and of the first answer as it was shown. */
  own: v.string(),
  shown: v.nullable(v.string()),
});

export type TaskPath = 'relay' | 'direct';

export type TaskUpdate =
  | { readonly type: 'waiting'; readonly ahead: number }
  | { readonly type: 'leased'; readonly lease: Lease }
  | { readonly type: 'accepted'; readonly promptTokens: number }
  | { readonly type: 'text'; readonly text: string; readonly tokens: number; readonly path: TaskPath }
  | {
      readonly type: 'answered';
      readonly finish: FinishReason;
      readonly promptTokens: number;
      readonly completionTokens: number;
    }
  /** The tab's signed commit fits what arrived. */
  | { readonly type: 'committed' }
  | { readonly type: 'checking'; readonly checker: string }
  /** Private tasks: the cosine that the checker measured; null where the embedding cannot say. */
  | { readonly type: 'similarity'; readonly cosine: number | null }
  | { readonly type: 'ended'; readonly verdict: Verdict; readonly receipt: Signed | null };

/** A lease that this client holds for one of its tasks. */
export interface HeldLease {
  readonly lease: Lease;
  readonly statement: Signed;
  /** Lets its bearer act for the task at the router. */
  readonly token: string;
  /** Whether the tab opens direct links. */
  readonly direct: boolean;
}

export interface TaskPorts {
  /** Sends the envelope to the leased tab, by relay or over a link. */
  deliver(envelope: Bytes, held: HeldLease): Promise<void>;
  handOn(wrap: Wrap, held: HeldLease): Promise<void>;
  /** The task's stream again, after it broke. */
  reattach(held: HeldLease, from: number): Promise<ReadableStream<Uint8Array>>;
}

export interface TaskInput {
  readonly messages: readonly ChatMessage[];
  readonly stop: readonly string[];
  /** The values that were asked for; the lease must repeat them. */
  readonly sampling: Partial<Sampling>;
  readonly private: boolean;
  readonly signer: Signer;
  readonly nonce: string;
  /** The pinned key of the router; null when the router seals for itself and verifies nothing that it has just signed. */
  readonly routerKey: string | null;
}

/** Streams that broke are taken up again this often. */
const MAX_REATTACH = 2;

export class SealedTask {
  readonly #ports: TaskPorts;
  readonly #input: TaskInput;
  readonly #updates = new AsyncQueue<TaskUpdate>();
  readonly #salt = randomBytes(16);
  readonly #order = new FrameOrder();
  #reader: RecordReader;
  #seal: BodySeal | null = null;
  #lease: HeldLease | null = null;
  #accepted = false;
  #opener: FrameOpener | null = null;
  #chain: DigestChain | null = null;
  /** Head of the chain of the text that arrived whole, and of the tab's commit: compared when both are there. */
  #head: string | null = null;
  #committedHead: string | null = null;
  readonly #whole = Promise.withResolvers<void>();
  #frames: Promise<void> = Promise.resolve();
  #reattached = 0;
  #stopped = false;
  #settled = false;
  readonly #checks = new Map<number, { readonly lease: Lease; readonly exporter: SecretExporter }>();

  /** Resolves, never rejects, when nothing more will happen: the verdict is there, or the task failed. */
  readonly finished: Promise<void>;

  constructor(stream: ReadableStream<Uint8Array>, input: TaskInput, ports: TaskPorts) {
    this.#ports = ports;
    this.#input = input;
    this.#reader = new RecordReader(stream);
    this.finished = this.#run().then(
      () => this.#updates.close(),
      (cause) => this.#fail(cause),
    );
  }

  /** The salt under which prompt and answer are committed: with it and the transcript, the receipt can be checked against the text. */
  get salt(): string {
    return toBase64Url(this.#salt);
  }

  get task(): TaskTail | null {
    return this.#lease?.lease.task ?? null;
  }

  /** The lease of the answer; null before there is one. */
  get held(): HeldLease | null {
    return this.#lease;
  }

  /** Whether the tab has the prompt and began to read it. */
  get accepted(): boolean {
    return this.#accepted;
  }

  /** The number of the frame that is due next. */
  get nextFrame(): number {
    return this.#order.next;
  }

  get answered(): boolean {
    return this.#head !== null;
  }

  /** What happens, in order, to the verdict. Throws a {@link ShoalError} when the task fails. One reader. */
  updates(): AsyncGenerator<TaskUpdate, void, undefined> {
    return this.#updates.take();
  }

  /** Stops the tab. */
  async stop(): Promise<void> {
    if (this.#stopped) return;
    this.#stopped = true;
    await this.#reader.cancel('stopped');
    this.#fail(new ShoalError('cancelled', 'The request was stopped.'));
  }

  /** A sealed frame, from either path. */
  receiveFrame(frame: Bytes, path: TaskPath): void {
    let ready: Bytes[];
    try {
      ready = this.#order.push(frame);
    } catch (cause) {
      return this.#fail(cause);
    }
    for (const next of ready) {
      this.#frames = this.#frames.then(() => this.#openFrame(next, path)).catch((cause) => this.#fail(cause));
    }
  }

  #fail(cause: unknown): void {
    if (this.#settled) return;
    this.#settled = true;
    this.#updates.fail(ShoalError.from(cause));
    void this.#reader.cancel('failed');
  }

  async #run(): Promise<void> {
    for (;;) {
      let record: Awaited<ReturnType<RecordReader['next']>>;
      try {
        record = await this.#reader.next();
      } catch (cause) {
        record = await this.#takeUpAgain(cause);
      }
      if (record === null) {
        await this.#frames;
        if (this.#settled || this.#stopped) return;
        throw new ShoalError('tab_lost', 'The stream of the task ended before the task did.');
      }
      if ('frame' in record) this.receiveFrame(record.frame, 'relay');
      else if (await this.#event(record.event)) return;
    }
  }

  /** The first record of the stream that replaces a broken one. */
  async #takeUpAgain(cause: unknown): ReturnType<RecordReader['next']> {
    if (this.#stopped || this.#settled) return null;
    while (this.#lease !== null && this.#reattached < MAX_REATTACH) {
      this.#reattached++;
      try {
        const stream = await this.#ports.reattach(this.#lease, this.#order.next);
        this.#reader = new RecordReader(stream);
        return await this.#reader.next();
      } catch {
        // The next attempt, or the original error.
      }
    }
    throw cause instanceof ShoalError
      ? cause
      : new ShoalError('tab_lost', 'The connection to the router broke.', { cause });
  }

  /** True when the stream has nothing more to say. */
  async #event(event: StreamEvent): Promise<boolean> {
    switch (event.t) {
      case 'waiting':
        this.#updates.push({ type: 'waiting', ahead: event.ahead });
        return false;
      case 'leased':
        await this.#leased(event);
        return false;
      case 'accepted':
        this.#accepted = true;
        this.#updates.push({ type: 'accepted', promptTokens: event.promptTokens });
        return false;
      case 'failed':
        throw ShoalError.fromWire(event.error);
      case 'committed':
        await this.#committed(event.commit);
        return false;
      case 'drawn':
        await this.#wrapForChecker(event);
        return false;
      case 'evidence':
        await this.#evidence(event);
        return false;
      case 'ended':
        await this.#untilWhole();
        this.#settled = true;
        this.#updates.push({ type: 'ended', verdict: event.verdict, receipt: event.receipt });
        return true;
    }
  }

  async #leased(event: Extract<StreamEvent, { t: 'leased' }>): Promise<void> {
    if (this.#lease !== null) throw new ShoalError('integrity_failed', 'The router leased the task twice.');
    const lease = await this.#openLease(event.lease, event.tabKey);
    if (lease.role !== 'answer') throw new ShoalError('integrity_failed', 'The router leased another role.');
    for (const [field, value] of Object.entries(this.#input.sampling)) {
      if (lease.sampling[field as keyof Sampling] !== value) {
        throw new ShoalError('integrity_failed', `The router changed the parameter ${field}.`);
      }
    }
    const held = { lease, statement: event.lease, token: event.token, direct: event.direct };
    this.#lease = held;
    this.#chain = await DigestChain.start(this.#salt);
    this.#seal = await sealBody({
      v: 1,
      salt: toBase64Url(this.#salt),
      messages: [...this.#input.messages],
      stop: [...this.#input.stop],
      sampling: lease.sampling,
    });
    const { wrap, exporter } = await this.#seal.wrapFor(event.lease, lease, this.#input.signer);
    this.#opener = new FrameOpener(exporter, 'answer');
    this.#updates.push({ type: 'leased', lease });
    await this.#ports.deliver(encodeEnvelope(wrap, this.#seal.sealed), held);
  }

  /** A lease by the pinned router, for this client, sealing to a key that the leased tab signed. */
  async #openLease(statement: Signed, keyStatement: Signed): Promise<Lease> {
    const { routerKey } = this.#input;
    const lease =
      routerKey === null
        ? parsePayload('lease', leaseSchema, statement)
        : await openStatement('lease', leaseSchema, statement, routerKey);
    const { client, nonce } = lease;
    if (
      client !== this.#input.signer.publicKey ||
      nonce !== this.#input.nonce ||
      lease.private !== this.#input.private
    ) {
      throw new ShoalError('integrity_failed', 'The lease is for another client.');
    }
    const key =
      routerKey === null
        ? parsePayload('tab-key', tabKey, keyStatement) // Verified when the tab joined.
        : await openStatement('tab-key', tabKey, keyStatement, lease.tab);
    if (key.key !== lease.sealTo || key.oneTime !== lease.oneTime) {
      throw new ShoalError('integrity_failed', 'The key to seal to is not the one that the tab signed.');
    }
    return lease;
  }

  async #openFrame(frame: Bytes, path: TaskPath): Promise<void> {
    const opener = this.#opener;
    const chain = this.#chain;
    if (opener === null || chain === null) throw new ShoalError('integrity_failed', 'A frame came before the lease.');
    const { content, final } = await opener.open(frame);
    if (final) return this.#answerEnded(content, chain);
    const text = textOf(content);
    await chain.append(content.payload);
    const progress = chain.progress;
    if (progress.blocks !== content.blocks || !equalBytes(progress.chain, content.chain)) {
      throw new ShoalError('integrity_failed', 'The digest chain of a frame does not fit its text.');
    }
    this.#updates.push({ type: 'text', text, tokens: content.tokens, path });
  }

  async #answerEnded(content: FrameContent, chain: DigestChain): Promise<void> {
    const end = v.safeParse(answerEnd, parseJson(textOf(content)));
    if (!end.success) throw new ShoalError('integrity_failed', 'The last frame is not of the agreed shape.');
    const { finish, promptTokens, completionTokens, head } = end.output;
    const own = await chain.finish(finish);
    if (own.head !== head) throw new ShoalError('integrity_failed', 'The answer is not the one that the tab closed.');
    this.#head = head;
    this.#updates.push({ type: 'answered', finish, promptTokens, completionTokens });
    this.#whole.resolve();
    this.#compareHeads();
  }

  async #committed(statement: Signed): Promise<void> {
    const lease = this.#lease?.lease;
    if (lease === undefined) throw new ShoalError('integrity_failed', 'A commit came before the lease.');
    const commit =
      this.#input.routerKey === null
        ? parsePayload('commit', answerCommit, statement) // Verified by the session.
        : await openStatement('commit', answerCommit, statement, lease.tab);
    if (commit.task !== lease.task) throw new ShoalError('integrity_failed', 'The commit is for another task.');
    this.#committedHead = commit.chain.head;
    this.#compareHeads();
  }

  #compareHeads(): void {
    if (this.#head === null || this.#committedHead === null) return;
    if (this.#head !== this.#committedHead) {
      throw new ShoalError('integrity_failed', 'The tab committed to another answer than it sent.');
    }
    this.#updates.push({ type: 'committed' });
  }

  /** The task has ended, but frames that went over a direct link may still be on their way, or lost with the link. */
  async #untilWhole(): Promise<void> {
    await this.#frames;
    while (this.#head === null && this.#committedHead !== null && !this.#settled) {
      await withDeadline(this.#whole.promise, LAST_FRAME_MS, null);
      if (this.#head !== null || this.#settled) return;
      await this.#fetchMissing();
    }
  }

  /** Frames that a link lost are read from a stream of their own. */
  async #fetchMissing(): Promise<void> {
    const lease = this.#lease;
    if (lease === null || this.#reattached++ >= MAX_REATTACH) {
      throw new ShoalError('tab_lost', 'The end of the answer did not arrive.');
    }
    const stream = await this.#ports.reattach(lease, this.#order.next);
    const reader = new RecordReader(stream);
    while (this.#head === null) {
      const record = await reader.next();
      if (record === null || 'event' in record) break;
      this.receiveFrame(record.frame, 'relay');
      await this.#frames;
    }
    await reader.cancel();
  }

  async #wrapForChecker(event: Extract<StreamEvent, { t: 'drawn' }>): Promise<void> {
    const answer = this.#lease;
    const seal = this.#seal;
    if (answer === null || seal === null) throw new ShoalError('integrity_failed', 'A check came before the lease.');
    const lease = await this.#openLease(event.lease, event.tabKey);
    const sameWork =
      lease.role === 'check' &&
      lease.task === answer.lease.task &&
      lease.class === answer.lease.class &&
      JSON.stringify(lease.sampling) === JSON.stringify(answer.lease.sampling);
    if (!sameWork || lease.tab === answer.lease.tab) {
      throw new ShoalError('integrity_failed', 'The router asked to open the prompt to a tab that does not check it.');
    }
    const { wrap, exporter } = await seal.wrapFor(event.lease, lease, this.#input.signer);
    this.#checks.set(lease.number, { lease, exporter });
    this.#updates.push({ type: 'checking', checker: lease.tab });
    try {
      const held = { lease, statement: event.lease, token: answer.token, direct: false };
      if (event.handOnBy === 'tab') await this.#ports.handOn(wrap, held);
      else await this.#ports.deliver(encodeEnvelope(wrap, seal.sealed), held);
    } catch {
      // The session's deadline ends the check as unchecked: the answer itself is not at fault.
    }
  }

  async #evidence(event: Extract<StreamEvent, { t: 'evidence' }>): Promise<void> {
    const check = this.#checks.get(event.number);
    if (check === undefined || check.lease.tab !== event.checker) return;
    try {
      const { content } = await new FrameOpener(check.exporter, 'evidence').open(fromBase64Url(event.frame));
      const evidence = v.parse(checkEvidence, parseJson(textOf(content)));
      const { own, shown } = evidence;
      this.#updates.push({
        type: 'similarity',
        cosine: shown === null ? null : cosine(vectorFromText(own), vectorFromText(shown)),
      });
    } catch {
      this.#updates.push({ type: 'similarity', cosine: null }); // Evidence that does not open says nothing.
    }
  }
}

/** How long the last frames may come after the end of the task, ms: two paths have two speeds. */
const LAST_FRAME_MS = 2_000;

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** UTF-8 bytes of a conversation's text. */
export function promptBytes(messages: readonly ChatMessage[]): number {
  return messages.reduce((total, message) => total + utf8(message.content).byteLength, 0);
}
