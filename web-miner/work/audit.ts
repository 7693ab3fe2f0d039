import { fromBase64Url } from '../../shared/bytes.ts';
import { chainOf, type FinishReason, firstFalseBlock } from '../../shared/checking/digest-chain.ts';
import { failuresIn, isReadable } from '../../shared/checking/forced-decode.ts';
import { limitsOf } from '../../shared/checking/rung.ts';
import { passageOf } from '../../shared/receipt/match-transcript.ts';
import type { Receipt } from '../../shared/receipt/receipt.ts';
import type { AnswerCommit } from '../../shared/receipt/statements.ts';
import type { Transcript } from '../../shared/receipt/transcript.ts';
import { readAnswer } from './read-answer.ts';
import type { WorkModel } from './work-model.ts';
import { type WritingEvents, writeAgain } from './write-again.ts';

/** A block of an answer, as text, and how the whole answer ended. */
export interface Passage {
  readonly text: string;
  readonly finish: FinishReason;
}

/** An exchange as a tab signed it: `matchTranscript` found the transcript to be the one that the receipt speaks of. */
export interface SignedExchange {
  readonly receipt: Receipt;
  readonly commit: AnswerCommit;
  readonly transcript: Transcript;
}

/** Whether the model writes what was signed. */
export type AuditResult =
  | {
      readonly result: 'agrees';
      /** Complete blocks of 64 bytes, bytes and tokens that were written again. */
      readonly blocks: number;
      readonly bytes: number;
      readonly tokens: number;
    }
  | {
      readonly result: 'differs';
      /** The first block that is not what the model writes; counted from 0, each of 64 bytes. */
      readonly block: number;
      readonly signed: Passage;
      readonly written: Passage;
    }
  /** Of a class in which nobody can write an answer again to the byte: whether it may well be the model's. */
  | {
      readonly result: 'fits' | 'does_not_fit';
      /** Tokens that were read. */
      readonly positions: number;
      /** Statistics above their limit. */
      readonly failed: readonly string[];
    }
  | { readonly result: 'unreadable' };

/**
 * Whether the model writes a signed answer again to the bit. `receipt` must have been verified, the transcript found to be the signed exchange, and `work` be of the
 * receipt's class. Throws `EngineError`, or `AbortError` when stopped.
 */
export async function compareWithModel(
  { receipt, commit, transcript }: SignedExchange,
  work: Pick<WorkModel, 'engine' | 'renderer'>,
  events: WritingEvents,
  signal: AbortSignal,
): Promise<AuditResult> {
  const { messages, stop } = transcript.request;
  const written = await writeAgain(work, { kind: 'chat', messages, stop, sampling: receipt.sampling }, events, signal);
  const chain = await chainOf(fromBase64Url(transcript.salt), written.text, written.finish);
  const block = firstFalseBlock(commit.chain, chain);
  if (block === null) {
    return { result: 'agrees', blocks: chain.blocks.length, bytes: chain.bytes, tokens: written.tokens.completion };
  }
  return {
    result: 'differs',
    block,
    signed: { text: passageOf(transcript.answer, block), finish: transcript.finish },
    written: { text: passageOf(written.text, block), finish: written.finish },
  };
}

/** As {@link compareWithModel}, of a near class. */
export async function readWithModel(
  { receipt, transcript }: SignedExchange,
  work: Pick<WorkModel, 'engine' | 'renderer'>,
  signal: AbortSignal,
): Promise<AuditResult> {
  const { messages, stop } = transcript.request;
  const { sampling } = receipt;
  const limits = isReadable(sampling) ? limitsOf('statistical', receipt.model) : null;
  const answer = { text: transcript.answer, finish: transcript.finish };
  const figures = limits === null ? null : await readAnswer(work, { messages, stop, sampling }, answer, signal);
  if (limits === null || figures === null) return { result: 'unreadable' };
  const failed = failuresIn(figures, limits);
  const positions = Math.max(...figures.statistics.map((one) => one.positions));
  return { result: failed.length === 0 ? 'fits' : 'does_not_fit', positions, failed };
}
