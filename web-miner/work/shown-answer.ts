import { type Bytes, concatBytes, EMPTY, fromBase64Url, fromUtf8, utf8 } from '../../shared/bytes.ts';
import { chunkCuts } from '../../shared/checking/next-token-commits.ts';
import { ShoalError } from '../../shared/errors.ts';
import { hpkeOpen, hpkeSeal } from '../../shared/sealing/hpke.ts';

/** The first answer on its way to a checker, whole or in chunks: enc (32 bytes) ‖ ciphertext of (u8: whether anything follows ‖ UTF-8). */

/** What a sealed text is bound to. */
export interface ShownScope {
  readonly task: string;
  /** Number of the check's lease. */
  readonly check: number;
  /** Number of the chunk; null: the whole answer. */
  readonly chunk: number | null;
}

export interface Shown {
  readonly text: string;
  /** Whether this is the end of the answer. */
  readonly isLast: boolean;
}

const ENC_BYTES = 32;

function shownInfo({ task, check, chunk }: ShownScope): Bytes {
  return utf8(`shoal/shown/v2\n${task}\n${check}\n${chunk ?? 'whole'}`);
}

/** Seals the answer, or one chunk of it, to the key that the checker made for it. Throws `invalid_value` for a chunk that the answer does not have. */
export async function sealShown(evidenceKey: string, scope: ShownScope, answer: string): Promise<Bytes> {
  const { text, isLast } = partOf(answer, scope.chunk);
  const plaintext = concatBytes(new Uint8Array([isLast ? 0 : 1]), utf8(text));
  const { enc, ciphertext } = await hpkeSeal(fromBase64Url(evidenceKey), shownInfo(scope), EMPTY, plaintext);
  return concatBytes(enc, ciphertext);
}

/** Throws what is not a text for this check. */
export async function openShown(keys: CryptoKeyPair, scope: ShownScope, sealed: Bytes): Promise<Shown> {
  const [enc, ciphertext] = [sealed.slice(0, ENC_BYTES), sealed.slice(ENC_BYTES)];
  const { plaintext } = await hpkeOpen(keys, enc, shownInfo(scope), EMPTY, ciphertext);
  return { text: fromUtf8(plaintext.slice(1)), isLast: plaintext[0] === 0 };
}

/** An empty answer has one chunk. */
function partOf(answer: string, chunk: number | null): Shown {
  if (chunk === null) return { text: answer, isLast: true };
  const cuts = chunkCuts(answer);
  const from = cuts[chunk] ?? (chunk === 0 ? 0 : null);
  if (from === null) throw new ShoalError('invalid_value', 'The answer has no such chunk.');
  const to = cuts[chunk + 1];
  return { text: answer.slice(from, to), isLast: to === undefined };
}
