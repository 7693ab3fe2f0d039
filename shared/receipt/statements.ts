import * as v from 'valibot';
import { type Bytes, EMPTY, fromBase64Url, sha256, toBase64Url, utf8 } from '../bytes.ts';
import { type AnswerChain, answerChain, finishReason } from '../checking/digest-chain.ts';
import { forcedFigures } from '../checking/forced-decode.ts';
import { nextTokenGuess } from '../checking/next-token-commits.ts';
import { MAX_GUESSES } from '../limits.ts';
import { base64Url, bytes16, classId, count, key32, taskTail } from '../protocol/fields.ts';

/** What the tabs sign of an answer and its check. Persisted inside receipts: fields may be added, never repurposed. */

const traffic = v.object({ frames: count, bytes: count });

/** The answering tab: this is what I wrote, before anyone is drawn to check it. */
export const answerCommit = v.object({
  v: v.literal(1),
  task: taskTail,
  /** SHA-256 of the lease's payload. */
  lease: key32,
  class: classId,
  /** Salted digest of the prompt. */
  prompt: key32,
  chain: answerChain,
  finish: finishReason,
  tokens: v.object({ prompt: count, completion: count }),
  /** Sentence embedding of the answer, float32 little endian; null for private answers, and for vectors. */
  embedding: v.nullable(base64Url(8192)),
  /** How the frames left the tab. */
  sent: v.object({ relay: traffic, direct: traffic }),
});
export type AnswerCommit = v.InferOutput<typeof answerCommit>;

/** The checking tab, before it is shown the first answer. */
export const checkCommit = v.object({
  v: v.literal(1),
  task: taskTail,
  lease: key32,
  class: classId,
  /** Of a checker that writes: SHA-256 over the two leaves of {@link checkReveal}. Of one that reads: the leaf of its first guess. */
  commitment: key32,
  /** X25519 key for the first answer, used once. */
  evidenceKey: key32,
});
export type CheckCommit = v.InferOutput<typeof checkCommit>;

/** A tab that wrote the answer again, after it was shown the first one: the opening of its commitment. */
const writtenReveal = v.object({
  v: v.literal(2),
  form: v.literal('written'),
  task: taskTail,
  lease: key32,
  chain: answerChain,
  chainNonce: bytes16,
  tokens: v.object({ prompt: count, completion: count }),
  /** Digest that hides the embedding of the checker's own answer; opened below except for private answers. */
  embeddingLeaf: key32,
  embedding: v.nullable(v.object({ vector: base64Url(8192), nonce: bytes16 })),
  /** What the checker saw of the first answer; null when it was not shown in time. */
  shown: v.nullable(
    v.object({
      /** Whether the text that it was shown has the chain that the first tab committed to. */
      authentic: v.boolean(),
      /** Sentence embedding of that text; null for private answers. */
      vector: v.nullable(base64Url(8192)),
    }),
  ),
});
export type WrittenReveal = v.InferOutput<typeof writtenReveal>;

/** A tab that read the answer, chunk by chunk: its blind guesses, opened, and what a forced decode of the whole came to. */
const readReveal = v.object({
  v: v.literal(2),
  form: v.literal('read'),
  task: taskTail,
  lease: key32,
  /** Digests of the guesses, each sent before the chunk that it is about was shown. */
  leaves: v.pipe(v.array(key32), v.minLength(1), v.maxLength(MAX_GUESSES)),
  /** Null for private answers: a guess that comes true is a part of the answer. */
  guesses: v.nullable(v.pipe(v.array(nextTokenGuess), v.maxLength(MAX_GUESSES))),
  /** Whether the text that it was shown has the chain that the first tab committed to; null when it was not shown to the end in time. */
  authentic: v.nullable(v.boolean()),
  /** Null when there was nothing to read, or its engine cannot read this text. */
  figures: v.nullable(forcedFigures),
});
export type ReadReveal = v.InferOutput<typeof readReveal>;

export const checkReveal = v.variant('form', [writtenReveal, readReveal]);
export type CheckReveal = v.InferOutput<typeof checkReveal>;

/** Who commits, and to what: without the checker's key in it, a commitment could be copied and later opened by a copier. */
export interface CommitmentScope {
  readonly task: string;
  readonly lease: string;
  readonly checker: string;
}

function scopeText(scope: CommitmentScope): string {
  return `${scope.task}\n${scope.lease}\n${scope.checker}\n`;
}

export async function chainLeaf(scope: CommitmentScope, nonce: string, chain: AnswerChain): Promise<string> {
  const text = JSON.stringify([chain.blocks, chain.head, chain.bytes]);
  return toBase64Url(await sha256(utf8(`shoal/chain-leaf/v1\n${scopeText(scope)}`), fromBase64Url(nonce), utf8(text)));
}

export async function embeddingLeaf(scope: CommitmentScope, nonce: string, vector: Bytes): Promise<string> {
  return toBase64Url(await sha256(utf8(`shoal/embedding-leaf/v1\n${scopeText(scope)}`), fromBase64Url(nonce), vector));
}

export async function commitmentOf(chain: string, embedding: string): Promise<string> {
  return toBase64Url(await sha256(utf8('shoal/commitment/v1\n'), fromBase64Url(chain), fromBase64Url(embedding)));
}

export function vectorToText(vector: Float32Array): string {
  const bytes = new Uint8Array(vector.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [i, x] of vector.entries()) view.setFloat32(i * 4, x, true);
  return toBase64Url(bytes);
}

/** The empty vector when the text is not a list of float32. */
export function vectorFromText(text: string): Float32Array {
  let bytes: Bytes = EMPTY;
  try {
    bytes = fromBase64Url(text);
  } catch {
    return new Float32Array(0);
  }
  if (bytes.byteLength % 4 !== 0) return new Float32Array(0);
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.byteLength / 4 }, (_, i) => view.getFloat32(i * 4, true));
}
