import * as v from 'valibot';
import { type Bytes, equalBytes } from '../bytes.ts';
import {
  type AnswerChain,
  answerChain,
  DigestChain,
  type FinishReason,
  finishReason,
  firstFalseBlock,
} from '../checking/digest-chain.ts';
import { ShoalError } from '../errors.ts';
import { CHAIN_BLOCK_BYTES, MAX_ANSWER_BYTES } from '../limits.ts';
import { count, key32, taskTail } from '../protocol/fields.ts';
import { type FrameContent, FrameOpener, FrameOrder, textOf } from '../sealing/frames.ts';
import type { SecretExporter } from '../sealing/hpke.ts';
import { parseJson } from './parse-json.ts';
import { disputed, ShownAnswer } from './shown-answer.ts';

/** The content of the frame that ends an answer. */
export const answerEnd = v.object({
  finish: finishReason,
  promptTokens: count,
  completionTokens: count,
  head: key32,
});

/** What a client reads of the tab's commit: the rest of the statement is for the session and for receipts. */
export const commitToAnswer = v.object({ task: taskTail, chain: answerChain, finish: finishReason });
type CommitToAnswer = v.InferOutput<typeof commitToAnswer>;

export type TaskPath = 'relay' | 'direct';

export type AnswerUpdate =
  | { readonly type: 'text'; readonly text: string; readonly tokens: number; readonly path: TaskPath }
  | {
      readonly type: 'answered';
      readonly finish: Exclude<FinishReason, 'cancelled'>;
      readonly promptTokens: number;
      readonly completionTokens: number;
    }
  /** The tab's signed commit fits what arrived. */
  | { readonly type: 'committed' };

/**
 * Opens the frames of one answer in their order, whatever path they took, recomputes the digest chain as the text arrives, and compares it
 * with the tab's commit, whichever of the two is whole first.
 */
export class AnswerOpener {
  readonly #salt: Bytes;
  readonly #onUpdate: (update: AnswerUpdate) => void;
  #order = new FrameOrder();
  #opening: { readonly frames: FrameOpener; readonly chain: DigestChain } | null = null;
  /** Frames are opened one after the other: the chain takes no two at once. */
  #work: Promise<void> = Promise.resolve();
  #received: { readonly chain: AnswerChain; readonly finish: FinishReason } | null = null;
  #commit: Pick<CommitToAnswer, 'chain' | 'finish'> | null = null;
  #fits = false;
  readonly #shown = new ShownAnswer();
  readonly #whole = Promise.withResolvers<void>();

  constructor(salt: Bytes, onUpdate: (update: AnswerUpdate) => void) {
    this.#salt = salt;
    this.#onUpdate = onUpdate;
  }

  /** The tab seals under keys of this exporter. Again for another tab, which writes the answer from its first word: what has come of it must be the same. */
  async start(exporter: SecretExporter): Promise<void> {
    await this.atRest; // The last frames of the tab before are still its own.
    this.#shown.again();
    this.#order = new FrameOrder();
    this.#opening = { frames: new FrameOpener(exporter, 'answer'), chain: await DigestChain.start(this.#salt) };
  }

  /** Whether anything of the answer has come. */
  get isBegun(): boolean {
    return !this.#shown.isEmpty || this.isWhole;
  }

  /** The number of the frame that is due next. */
  get nextFrame(): number {
    return this.#order.next;
  }

  /** Whether every frame arrived and was opened. */
  get isWhole(): boolean {
    return this.#received !== null;
  }

  get hasCommit(): boolean {
    return this.#commit !== null;
  }

  /** Whether the answer is whole and the tab has signed exactly this one. */
  get isCommitted(): boolean {
    return this.#fits;
  }

  /** Resolves, never rejects, when the answer is whole. */
  get whole(): Promise<void> {
    return this.#whole.promise;
  }

  /** Resolves, never rejects, when the frames so far were opened or refused. */
  get atRest(): Promise<void> {
    return this.#work.catch(() => undefined);
  }

  /** A frame from either path. Throws `integrity_failed` when it, or one before it, is not what the tab sealed. */
  async receive(frame: Bytes, path: TaskPath): Promise<void> {
    for (const next of this.#order.push(frame)) {
      this.#work = this.#work.then(() => this.#open(next, path));
    }
    await this.#work;
  }

  /** What the tab signed. Throws `integrity_failed` when it is not what arrived. */
  commit(commit: Pick<CommitToAnswer, 'chain' | 'finish'>): void {
    refuseCancelled(commit.finish);
    this.#commit = commit;
    this.#compare();
  }

  async #open(frame: Bytes, path: TaskPath): Promise<void> {
    if (this.#opening === null) throw new ShoalError('integrity_failed', 'A frame came before the lease.');
    const { frames, chain } = this.#opening;
    const { content, final } = await frames.open(frame);
    const written = textOf(content);
    if (!final) await chain.append(content.payload);
    const progress = chain.progress;
    if (progress.blocks * CHAIN_BLOCK_BYTES > MAX_ANSWER_BYTES) {
      throw new ShoalError('integrity_failed', 'The answer is longer than any may be.');
    }
    if (progress.blocks !== content.blocks || !equalBytes(progress.chain, content.chain)) {
      throw new ShoalError('integrity_failed', 'The digest chain of a frame does not fit its text.');
    }
    if (final) return this.#ended(content, chain);
    const { text, tokens } = this.#shown.take(written, content.tokens);
    if (text !== '') this.#onUpdate({ type: 'text', text, tokens, path });
  }

  async #ended(content: FrameContent, chain: DigestChain): Promise<void> {
    const end = v.safeParse(answerEnd, parseJson(textOf(content)));
    if (!end.success) throw new ShoalError('integrity_failed', 'The last frame is not of the agreed shape.');
    const { finish, promptTokens, completionTokens, head } = end.output;
    refuseCancelled(finish);
    const own = await chain.finish(finish);
    if (own.head !== head) throw new ShoalError('integrity_failed', 'The answer is not the one that the tab closed.');
    this.#shown.ended();
    const before = this.#received;
    if (before !== null && (firstFalseBlock(before.chain, own) !== null || before.finish !== finish)) {
      throw disputed();
    }
    this.#received = { chain: own, finish };
    if (before === null) this.#onUpdate({ type: 'answered', finish, promptTokens, completionTokens });
    this.#whole.resolve();
    this.#compare();
  }

  #compare(): void {
    if (this.#received === null || this.#commit === null) return;
    const { chain, finish } = this.#commit;
    if (firstFalseBlock(chain, this.#received.chain) !== null || finish !== this.#received.finish) {
      throw new ShoalError('integrity_failed', 'The tab committed to another answer than it sent.');
    }
    if (this.#fits) return; // The commit may be told again when a stream is taken up.
    this.#fits = true;
    this.#onUpdate({ type: 'committed' });
  }
}

/** Whoever stopped an answer reads it no further: one that says so to a reader was stopped by its tab, and is not whole. */
function refuseCancelled(finish: FinishReason): asserts finish is Exclude<FinishReason, 'cancelled'> {
  if (finish === 'cancelled') throw new ShoalError('tab_lost', 'The tab stopped before the answer was whole.');
}
