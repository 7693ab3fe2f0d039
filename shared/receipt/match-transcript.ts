import { fromBase64Url, fromUtf8, toBase64Url, utf8 } from '../bytes.ts';
import { chainOf, firstFalseBlock } from '../checking/digest-chain.ts';
import { CHAIN_BLOCK_BYTES } from '../limits.ts';
import { promptDigest } from '../protocol/sealed-body.ts';
import { parsePayload } from '../signing/signed-statement.ts';
import type { Receipt } from './receipt.ts';
import { type AnswerCommit, answerCommit } from './statements.ts';
import type { Transcript } from './transcript.ts';

/** Whether a transcript is the exchange that a receipt speaks of. */
export type TranscriptMatch =
  | { readonly match: 'same'; readonly commit: AnswerCommit }
  /** The task ended without a whole answer: there is nothing to compare with. */
  | { readonly match: 'no_answer'; readonly outcome: Receipt['outcome']['value'] }
  | { readonly match: 'other_task' }
  /** The router had the answer written under another model or other values than the request asks for. */
  | { readonly match: 'other_terms'; readonly field: string; readonly asked: string; readonly signed: string }
  /** Messages, stop strings or salt are not those that the tab signed. */
  | { readonly match: 'other_prompt' }
  /** This is not the text that was signed. */
  | { readonly match: 'other_text'; readonly block: number; readonly passage: string };

/**
 * Compares a transcript with a receipt whose signatures were verified. Needs no model: it tells whether this text, to this prompt, is what the tab signed, not
 * whether the tab told the truth.
 */
export async function matchTranscript(receipt: Receipt, transcript: Transcript): Promise<TranscriptMatch> {
  if (transcript.task !== receipt.task) return { match: 'other_task' };
  if (receipt.outcome.value !== 'answered' || receipt.commit === null) {
    return { match: 'no_answer', outcome: receipt.outcome.value };
  }
  const terms = otherTerms(receipt, transcript);
  if (terms !== null) return { match: 'other_terms', ...terms };
  const commit = parsePayload('commit', answerCommit, receipt.commit);
  const salt = fromBase64Url(transcript.salt);
  const { messages, stop } = transcript.request;
  const prompt = await promptDigest(salt, { messages: [...messages], stop: [...stop] });
  if (toBase64Url(prompt) !== commit.prompt) return { match: 'other_prompt' };
  const block = firstFalseBlock(commit.chain, await chainOf(salt, transcript.answer, transcript.finish));
  if (block !== null) return { match: 'other_text', block, passage: passageOf(transcript.answer, block) };
  return { match: 'same', commit };
}

/** The text of one block of the chain, widened to whole characters; empty beyond the end. */
export function passageOf(text: string, block: number): string {
  const bytes = utf8(text);
  const isInside = (at: number) => at < bytes.byteLength && ((bytes[at] ?? 0) & 0xc0) === 0x80;
  let from = block * CHAIN_BLOCK_BYTES;
  let to = Math.min(bytes.byteLength, from + CHAIN_BLOCK_BYTES);
  while (isInside(from)) from--;
  while (isInside(to)) to++;
  return fromUtf8(bytes.subarray(from, to));
}

/** The first value of the request that the receipt does not honour. */
function otherTerms(
  { model, variant, sampling }: Receipt,
  { request }: Transcript,
): { readonly field: string; readonly asked: string; readonly signed: string } | null {
  const name = `${model}:${variant}`;
  if (request.model !== model && request.model !== name) return { field: 'model', asked: request.model, signed: name };
  for (const [field, asked] of Object.entries(request.sampling)) {
    const signed = sampling[field as keyof typeof sampling];
    if (asked !== signed) return { field, asked: String(asked), signed: String(signed) };
  }
  return null;
}
