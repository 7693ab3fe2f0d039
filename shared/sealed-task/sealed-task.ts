import { AsyncQueue } from '../async-queue.ts';
import { type Bytes, fromBase64Url, randomBytes, toBase64Url, utf8 } from '../bytes.ts';
import type { Verdict } from '../checking/verdict.ts';
import { withDeadline } from '../deadline.ts';
import { type ErrorCode, ShoalError } from '../errors.ts';
import type { TaskTail } from '../protocol/fields.ts';
import type { Lease, Sampling } from '../protocol/lease.ts';
import type { Level } from '../protocol/level.ts';
import type { ChatMessage } from '../protocol/sealed-body.ts';
import type { StreamEvent } from '../protocol/stream-records.ts';
import type { TaskKind } from '../protocol/task-kind.ts';
import { type BodySeal, encodeEnvelope, sealBody, type Wrap } from '../sealing/envelope.ts';
import type { SecretExporter } from '../sealing/hpke.ts';
import type { Signed, Signer } from '../signing/signed-statement.ts';
import { AnswerOpener, type AnswerUpdate, commitToAnswer, type TaskPath } from './answer-opener.ts';
import { type LeaseHolder, openFor, openLease } from './open-lease.ts';
import { ResumableStream } from './resumable-stream.ts';
import { openEnding } from './task-ending.ts';
import { TaskWatchdog } from './task-watchdog.ts';

export { answerEnd, type TaskPath } from './answer-opener.ts';

/**
 * One task from the side that seals it: a page for its own prompt, or the router for a plain HTTP client. It seals the body for the tab
 * that was leased, has the frames opened whatever path they took, and wraps the key for the checker that is drawn.
 */

export type TaskUpdate =
  | { readonly type: 'waiting'; readonly ahead: number; readonly etaMs: number }
  | { readonly type: 'leased'; readonly lease: Lease }
  | { readonly type: 'accepted'; readonly promptTokens: number }
  | AnswerUpdate
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
  /** Says that nobody reads the task any more, and why, where the end of its stream does not. */
  leave?(why: ErrorCode): Promise<void>;
}

export interface TaskInput extends LeaseHolder {
  /** Left out: a chat. */
  readonly kind?: TaskKind | undefined;
  readonly messages: readonly ChatMessage[];
  readonly stop: readonly string[];
  /** The values that were asked for; the lease must repeat them. */
  readonly sampling: Partial<Sampling>;
  readonly signer: Signer;
  /** The level that was asked for: at `strict` nothing is shown unverified, whatever the router says of the level. */
  readonly level?: Level | null | undefined;
  /** Agreeing checks that were asked for: at `strict` no fewer will do. Left out: 1. */
  readonly checks?: number | undefined;
  /** What does not hold of a receipt: at `strict`, a router that says `valid` must prove it. Left out by the router itself. */
  readonly problemsOf?: (receipt: Signed | null) => Promise<readonly string[]>;
}

/** A lease of the answer, what is sent to its tab, and what opens the frames that come from there. */
interface AnswerSeal {
  readonly held: HeldLease;
  readonly envelope: Bytes;
  readonly exporter: SecretExporter;
}

/** The key of a task's body, wrapped for a checker. */
interface CheckWrap {
  readonly lease: Lease;
  readonly wrap: Wrap;
  readonly exporter: SecretExporter;
}

export class SealedTask {
  readonly #ports: TaskPorts;
  readonly #input: TaskInput;
  readonly #updates = new AsyncQueue<TaskUpdate>();
  readonly #salt = randomBytes(16);
  readonly #answer = new AnswerOpener(this.#salt, (update) => this.#answerMoved(update));
  readonly #stream: ResumableStream;
  readonly #watchdog: TaskWatchdog;
  readonly #over = Promise.withResolvers<void>();
  #seal: BodySeal | null = null;
  #lease: HeldLease | null = null;
  /** A second tab that writes, too, because the first token is late; null when there is none. */
  #beside: AnswerSeal | null = null;
  #leases = 0;
  #accepted = false;
  #settled = false;
  readonly #checks = new Map<number, CheckWrap>();
  /** Level `strict`: what waits for the verdict; null at the other levels. */
  #withheld: TaskUpdate[] | null = null;

  /** Resolves, never rejects, when nothing more will happen: the verdict is there, or the task failed. */
  readonly finished: Promise<void> = this.#over.promise;

  constructor(stream: ReadableStream<Uint8Array>, input: TaskInput, ports: TaskPorts) {
    this.#ports = ports;
    this.#input = input;
    this.#stream = new ResumableStream(stream, () => this.#reattach());
    this.#watchdog = new TaskWatchdog(() =>
      this.#fail(new ShoalError('deadline_exceeded', 'Nothing was heard in time.')),
    );
    this.#run().catch((cause) => this.#fail(cause));
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

  /** Tabs that the prompt was sealed to for the answer, so far. */
  get leases(): number {
    return this.#leases;
  }

  /** Whether the tab has the prompt and began to read it. */
  get accepted(): boolean {
    return this.#accepted;
  }

  /** The number of the frame that is due next. */
  get nextFrame(): number {
    return this.#answer.nextFrame;
  }

  get answered(): boolean {
    return this.#answer.isWhole;
  }

  /** What happens, in order, to the verdict. Throws a {@link ShoalError} when the task fails. One reader. */
  updates(): AsyncGenerator<TaskUpdate, void, undefined> {
    return this.#updates.take();
  }

  /** Stops the tab. */
  async stop(): Promise<void> {
    this.#fail(new ShoalError('cancelled', 'The request was stopped.'));
    await this.finished;
  }

  /** A sealed frame, from either path. */
  receiveFrame(frame: Bytes, path: TaskPath): void {
    this.#watchdog.enter('writing');
    this.#answer.receive(frame, path).catch((cause) => this.#fail(cause));
  }

  #answerMoved(update: AnswerUpdate): void {
    if (update.type === 'committed') this.#watchdog.enter('checking');
    (this.#withheld ?? this.#updates).push(update);
  }

  /** Nothing changes from now on, whatever is still being awaited. */
  #settle(): void {
    this.#settled = true;
    this.#watchdog.end();
  }

  #fail(cause: unknown): void {
    if (this.#settled) return;
    this.#settle();
    this.#updates.fail(ShoalError.from(cause));
    // A router that stays where it is must stop the tab.
    const told = [this.#ports.leave?.(ShoalError.from(cause).code), this.#stream.stop()];
    void Promise.allSettled(told).then(() => this.#over.resolve());
  }

  async #run(): Promise<void> {
    for (;;) {
      const record = await this.#stream.next();
      if (this.#settled) return;
      this.#watchdog.heard();
      if (record === null) {
        await this.#answer.atRest;
        throw new ShoalError('tab_lost', 'The stream of the task ended before the task did.');
      }
      if ('frame' in record) this.receiveFrame(record.frame, 'relay');
      else if (await this.#event(record.event)) return;
    }
  }

  async #reattach(): Promise<ReadableStream<Uint8Array>> {
    if (this.#lease === null) throw new ShoalError('tab_lost', 'There is no lease.');
    return this.#ports.reattach(this.#lease, this.#answer.nextFrame);
  }

  /** True when the stream has nothing more to say. Told twice, because a stream was taken up, an event changes nothing. */
  async #event(event: StreamEvent): Promise<boolean> {
    switch (event.t) {
      case 'waiting':
        this.#updates.push({ type: 'waiting', ahead: event.ahead, etaMs: event.etaMs });
        return false;
      case 'leased':
        await this.#leased(event);
        return false;
      case 'accepted':
        this.#watchdog.enter('accepted');
        if (!this.#accepted) this.#updates.push({ type: 'accepted', promptTokens: event.promptTokens });
        this.#accepted = true;
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
        await this.#ended(event);
        return true;
    }
  }

  async #leased(event: Extract<StreamEvent, { t: 'leased' }>): Promise<void> {
    const beside = this.#beside;
    const hasWon = beside?.held.statement.payload === event.lease.payload;
    const seal: AnswerSeal = hasWon ? beside : await this.#sealTo(event);
    const { held, exporter, envelope } = seal;
    this.#beside = event.beside ? seal : null;
    if (this.#beside !== null) {
      // Nobody waits for it: the first tab is at work, and may win.
      if (!this.#settled) this.#ports.deliver(envelope, held).catch(() => undefined);
      return;
    }
    this.#lease = held;
    this.#accepted = false;
    this.#watchdog.leasedAgain();
    await this.#answer.start(exporter);
    if (this.#settled) return; // Stopped while it was sealed: nobody needs to read the prompt.
    this.#updates.push({ type: 'leased', lease: held.lease });
    if (hasWon) return;
    try {
      await this.#ports.deliver(envelope, held);
    } catch (cause) {
      // The tab is gone. The stream tells whether another one takes its place.
      if (ShoalError.from(cause).code !== 'tab_lost') throw cause;
    }
  }

  /** The envelope for a tab that was leased the answer: the first one, or another for the same work. Throws what refuses the lease. */
  async #sealTo(event: Extract<StreamEvent, { t: 'leased' }>): Promise<AnswerSeal> {
    const lease = await openLease(event.lease, event.tabKey, this.#input);
    if (lease.role !== 'answer') throw new ShoalError('integrity_failed', 'The router leased another role.');
    if (lease.kind !== (this.#input.kind ?? 'chat')) {
      throw new ShoalError('integrity_failed', 'The router leased another kind of task.');
    }
    for (const [field, value] of Object.entries(this.#input.sampling)) {
      if (lease.sampling[field as keyof Sampling] !== value) {
        throw new ShoalError('integrity_failed', `The router changed the parameter ${field}.`);
      }
    }
    if (this.#lease !== null) {
      await this.#answer.atRest; // What came from the tab before counts.
      refuseUnlikeBefore(this.#lease.lease, lease, this.#answer);
    }
    const held = { lease, statement: event.lease, token: event.token, direct: event.direct };
    if (event.strict || this.#input.level === 'strict') this.#withheld ??= [];
    this.#seal ??= await sealBody({
      v: 1,
      kind: lease.kind,
      salt: toBase64Url(this.#salt),
      messages: [...this.#input.messages],
      stop: [...this.#input.stop],
      sampling: lease.sampling,
    });
    this.#leases++;
    const { wrap, exporter } = await this.#seal.wrapFor(event.lease, lease, this.#input.signer);
    return { held, exporter, envelope: encodeEnvelope(wrap, this.#seal.sealed) };
  }

  async #committed(statement: Signed): Promise<void> {
    const lease = this.#lease?.lease;
    if (lease === undefined) throw tooEarly();
    const commit = await openFor(this.#input, 'commit', commitToAnswer, statement, lease.tab);
    if (commit.task !== lease.task) throw new ShoalError('integrity_failed', 'The commit is for another task.');
    this.#answer.commit(commit);
  }

  /** The end, if there is an answer that its tab has signed: else it is a failure, whatever the router says. */
  async #ended(event: Extract<StreamEvent, { t: 'ended' }>): Promise<void> {
    this.#watchdog.enter('ending');
    const task = this.#lease?.lease.task;
    if (task === undefined) throw tooEarly();
    const { commit, failure } = await openEnding(event, task, this.#input.routerKey);
    // A stream that broke may have lost the commit's own event.
    if (commit !== null) await this.#committed(commit);
    await this.#untilWhole();
    if (this.#settled) return;
    if (!this.#answer.isCommitted) throw failure;
    const { level, problemsOf, checks = 1 } = this.#input;
    if (this.#withheld !== null) {
      const { verdict } = event;
      const agree = verdict.value === 'valid' && verdict.method === 'exact-re-execution' ? verdict.agree : 0;
      if (agree < checks) {
        throw new ShoalError(
          'answer_not_verified',
          `The answer is ${verdict.value}: ${agree} of ${checks} tabs agree.`,
        );
      }
    }
    const [problem] = (level === 'strict' && (await problemsOf?.(event.receipt))) || [];
    if (problem !== undefined) throw new ShoalError('answer_not_verified', problem);
    if (this.#settled) return;
    this.#settle();
    for (const update of this.#withheld ?? []) this.#updates.push(update);
    this.#updates.push({ type: 'ended', verdict: event.verdict, receipt: event.receipt });
    this.#updates.close();
    this.#over.resolve();
  }

  /**
   * The task has ended, but frames that went over a direct link may still be on their way, or lost with the link. Those are sent again, after the
   * end on a stream that was taken up, or on a new one.
   */
  async #untilWhole(): Promise<void> {
    await this.#answer.atRest;
    if (!this.#isMissingFrames) return;
    while (this.#isMissingFrames) {
      await this.#readFrames();
      if (this.#isMissingFrames) await withDeadline(this.#answer.whole, LAST_FRAME_MS, null);
      if (this.#isMissingFrames) await this.#stream.renew();
    }
    await this.#stream.stop();
  }

  get #isMissingFrames(): boolean {
    return this.#answer.hasCommit && !this.#answer.isWhole && !this.#settled;
  }

  /** Frames alone: what else the stream says after the end is known. */
  async #readFrames(): Promise<void> {
    const whole = this.#answer.whole.then(() => null);
    while (this.#isMissingFrames) {
      const record = await Promise.race([this.#stream.next(), whole]);
      if (record === null) return;
      this.#watchdog.heard();
      if ('frame' in record) this.receiveFrame(record.frame, 'relay');
      else if (record.event.t === 'failed') throw ShoalError.fromWire(record.event.error);
      await this.#answer.atRest;
    }
  }

  async #wrapForChecker(event: Extract<StreamEvent, { t: 'drawn' }>): Promise<void> {
    const held = this.#lease;
    const seal = this.#seal;
    if (held === null || seal === null) throw tooEarly();
    const { lease, wrap } = await this.#wrapOf(event, held.lease, seal);
    if (this.#settled) return;
    try {
      const check = { lease, statement: wrap.lease, token: held.token, direct: false };
      if (event.handOnBy === 'tab') await this.#ports.handOn(wrap, check);
      else await this.#ports.deliver(encodeEnvelope(wrap, seal.sealed), check);
    } catch {
      // The session's deadline ends the check as unchecked: the answer itself is not at fault.
    }
  }

  /** One wrap a check: asked for it again, the client gives the same, so that the checker's evidence opens whichever copy came first. */
  async #wrapOf(event: Extract<StreamEvent, { t: 'drawn' }>, answer: Lease, seal: BodySeal): Promise<CheckWrap> {
    const lease = await openLease(event.lease, event.tabKey, this.#input);
    const known = this.#checks.get(lease.number);
    if (known?.wrap.lease.payload === event.lease.payload) return known;
    const sameWork =
      lease.role === 'check' &&
      lease.task === answer.task &&
      lease.model === answer.model &&
      lease.kind === answer.kind &&
      JSON.stringify(lease.sampling) === JSON.stringify(answer.sampling);
    if (!sameWork || lease.tab === answer.tab) {
      throw new ShoalError('integrity_failed', 'The router asked to open the prompt to another tab.');
    }
    const { wrap, exporter } = await seal.wrapFor(event.lease, lease, this.#input.signer);
    const check = { lease, wrap, exporter };
    this.#checks.set(lease.number, check);
    this.#updates.push({ type: 'checking', checker: lease.tab });
    return check;
  }

  async #evidence(event: Extract<StreamEvent, { t: 'evidence' }>): Promise<void> {
    const check = this.#checks.get(event.number);
    if (check === undefined || check.lease.tab !== event.checker) return;
    let cosine: number | null = null; // Evidence that does not open says nothing.
    try {
      const { similarityIn } = await import('./check-similarity.ts'); // Few answers come this far while somebody looks.
      cosine = await similarityIn(fromBase64Url(event.frame), check.exporter);
    } catch {
      // As above.
    }
    this.#updates.push({ type: 'similarity', cosine });
  }
}

/**
 * A second lease is for the same answer by another tab. What has come of it already can only be gone on with by a tab of the same class; what it writes is
 * compared.
 * Throws `integrity_failed` or `tab_lost`.
 */
function refuseUnlikeBefore(before: Lease, lease: Lease, answer: Pick<AnswerOpener, 'isBegun' | 'hasCommit'>): void {
  const isSameWork =
    lease.task === before.task &&
    lease.model === before.model &&
    lease.kind === before.kind &&
    lease.draw === before.draw &&
    lease.attempt > before.attempt &&
    lease.tab !== before.tab &&
    JSON.stringify(lease.sampling) === JSON.stringify(before.sampling);
  if (!isSameWork || answer.hasCommit) throw new ShoalError('integrity_failed', 'The router leased the task twice.');
  if (answer.isBegun && lease.class !== before.class) {
    throw new ShoalError('tab_lost', 'The tab was lost in mid-answer.');
  }
}

function tooEarly(): ShoalError {
  return new ShoalError('integrity_failed', 'It came before the lease.');
}

/** How long the last frames may come after the end of the task, ms: two paths have two speeds. */
const LAST_FRAME_MS = 2_000;

/** UTF-8 bytes of a conversation's text. */
export function promptBytes(messages: readonly ChatMessage[]): number {
  return messages.reduce((total, message) => total + utf8(message.content).byteLength, 0);
}
