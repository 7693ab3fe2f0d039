import * as v from 'valibot';
import { type Bytes, concatBytes, sha256, toBase64Url, utf8 } from '../bytes.ts';
import { CHAIN_BLOCK_BYTES, MAX_ANSWER_BYTES } from '../limits.ts';
import { bytes16, count, key32 } from '../protocol/fields.ts';

/**
 * The digest chain of an answer: over 64-byte blocks of its UTF-8 bytes, so that nobody needs a tokenizer to compare two answers, and the first
 * false block can be named.
 *
 *   h₀ = SHA-256("shoal/chain/v1\n" ‖ salt)      hᵢ = SHA-256(hᵢ₋₁ ‖ blockᵢ)
 *   head = SHA-256(hₙ ‖ rest ‖ u32 length of the answer ‖ finish reason)
 *
 * `blocks` lists the first 16 bytes of h₁ … hₙ. The salt travels inside the sealed body: whoever lacks it cannot test guesses.
 */
export const finishReason = v.picklist(['stop', 'length', 'cancelled']);
export type FinishReason = v.InferOutput<typeof finishReason>;

export const answerChain = v.object({
  blocks: v.pipe(v.array(bytes16), v.maxLength(MAX_ANSWER_BYTES / CHAIN_BLOCK_BYTES)),
  head: key32,
  bytes: count,
});
export type AnswerChain = v.InferOutput<typeof answerChain>;

export const CHAIN_LINK_BYTES = 16;

/** Grows with the answer. Calls must be awaited one after the other. */
export class DigestChain {
  #link: Bytes;
  #rest: Bytes = new Uint8Array(0);
  readonly #blocks: Bytes[] = [];
  #bytes = 0;

  private constructor(link: Bytes) {
    this.#link = link;
  }

  static async start(salt: Bytes): Promise<DigestChain> {
    return new DigestChain(await sha256(utf8('shoal/chain/v1\n'), salt));
  }

  /** Complete blocks so far, and the first 16 bytes of the chain after them. */
  get progress(): { readonly blocks: number; readonly chain: Bytes } {
    return { blocks: this.#blocks.length, chain: this.#link.subarray(0, CHAIN_LINK_BYTES) };
  }

  async append(bytes: Uint8Array): Promise<void> {
    this.#bytes += bytes.byteLength;
    let pending = concatBytes(this.#rest, bytes);
    while (pending.byteLength >= CHAIN_BLOCK_BYTES) {
      this.#link = await sha256(this.#link, pending.subarray(0, CHAIN_BLOCK_BYTES));
      this.#blocks.push(this.#link.subarray(0, CHAIN_LINK_BYTES));
      pending = pending.subarray(CHAIN_BLOCK_BYTES);
    }
    this.#rest = pending.slice();
  }

  async finish(reason: FinishReason): Promise<AnswerChain> {
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, this.#bytes);
    const head = await sha256(this.#link, this.#rest, length, utf8(reason));
    return { blocks: this.#blocks.map(toBase64Url), head: toBase64Url(head), bytes: this.#bytes };
  }
}

export async function chainOf(salt: Bytes, answer: string, reason: FinishReason): Promise<AnswerChain> {
  const chain = await DigestChain.start(salt);
  await chain.append(utf8(answer));
  return chain.finish(reason);
}

/**
 * Compares two chains under the same salt. `null` when equal; else the index of the first block that differs. The part after the
 * last complete block, the length and the finish reason count as one block more.
 */
export function firstFalseBlock(claimed: AnswerChain, recomputed: AnswerChain): number | null {
  const shared = Math.min(claimed.blocks.length, recomputed.blocks.length);
  for (let i = 0; i < shared; i++) {
    if (claimed.blocks[i] !== recomputed.blocks[i]) return i;
  }
  const isSameEnd =
    claimed.head === recomputed.head &&
    claimed.bytes === recomputed.bytes &&
    claimed.blocks.length === recomputed.blocks.length;
  return isSameEnd ? null : shared;
}
