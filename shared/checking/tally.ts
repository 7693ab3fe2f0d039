import { type AnswerChain, firstFalseBlock } from './digest-chain.ts';
import { METHODS } from './rung.ts';
import type { Verdict } from './verdict.ts';

/** What one completed check says of an answer. Cosines are shown, and decide nothing. */
export type Finding =
  | {
      readonly rung: 'exact';
      /** First block that differs; null when the two answers are the same to the byte. */
      readonly falseBlock: number | null;
      /** Head of the checker's own chain: equal heads are equal answers. */
      readonly head: string;
      readonly cosine: number | null;
    }
  /** By a tab that read it with the same weights, or another quantization of them, in its own arithmetic. */
  | {
      readonly rung: 'statistical' | 'cross-class';
      /** Statistics above their limit; null when nothing could be read. */
      readonly failed: readonly string[] | null;
      /** Whether the answer was shown to its end. */
      readonly isShown: boolean;
      readonly cosine: null;
    }
  /** By another variant of the model, which cannot write the same bytes. */
  | { readonly rung: 'similarity'; readonly cosine: number | null };

type ExactFinding = Extract<Finding, { rung: 'exact' }>;
type ReadFinding = Extract<Finding, { rung: 'statistical' | 'cross-class' }>;

/** Two chains of one exact class, the same prompt and sampling: equal means the same answer to the byte. */
export function exactFinding(claimed: AnswerChain, recomputed: AnswerChain, similarity: number | null): ExactFinding {
  const falseBlock = firstFalseBlock(claimed, recomputed);
  return { rung: 'exact', falseBlock, head: recomputed.head, cosine: shownCosine(similarity) };
}

export function similarityFinding(similarity: number | null): Finding {
  return { rung: 'similarity', cosine: shownCosine(similarity) };
}

/** Four digits: enough for a reader, and the same text on every machine although float32 sums may differ in the last bits. */
function shownCosine(similarity: number | null): number | null {
  return similarity === null ? null : Math.round(similarity * 10_000) / 10_000;
}

interface Sides {
  readonly exact: readonly ExactFinding[];
  readonly agree: readonly ExactFinding[];
  /** The largest group of those that found one and the same other answer. */
  readonly against: readonly ExactFinding[];
}

function sidesOf(findings: readonly Finding[]): Sides {
  const exact = findings.filter((finding) => finding.rung === 'exact');
  const groups = new Map<string, ExactFinding[]>();
  for (const finding of exact) {
    if (finding.falseBlock === null) continue;
    groups.set(finding.head, [...(groups.get(finding.head) ?? []), finding]);
  }
  const [against] = [...groups.values()].sort((a, b) => b.length - a.length);
  return { exact, agree: exact.filter(({ falseBlock }) => falseBlock === null), against: against ?? [] };
}

/** Of those that read the answer: whom it passed, and whom it failed. */
function readingsOf(findings: readonly Finding[]): { readonly passed: ReadFinding[]; readonly failed: ReadFinding[] } {
  const read = findings.filter(
    (finding): finding is ReadFinding => finding.rung === 'statistical' || finding.rung === 'cross-class',
  );
  return {
    passed: read.filter(({ failed }) => failed?.length === 0),
    failed: read.filter(({ failed }) => failed !== null && failed.length > 0),
  };
}

/** Readings by which one side must lead once they contradict each other: one of the readers may lie. */
export const READ_LEAD = 2;

/**
 * Whether one check more is wanted: there is none yet; or nobody disagrees, and fewer agree than were `wanted`; or somebody does, and the answer, itself
 * one voice, neither falls behind nor leads by two. With a lead of one, a tab and a single friend would outvote the first honest checker that they meet.
 * Where tabs only read the answer, it has no voice, and one side must lead by two. Similarity says no more the second time.
 */
export function wantsMore(findings: readonly Finding[], wanted: number): boolean {
  const { exact, agree, against } = sidesOf(findings);
  if (exact.length === 0) {
    const { passed, failed } = readingsOf(findings);
    if (failed.length > 0) return Math.abs(passed.length - failed.length) < READ_LEAD;
    return passed.length > 0 ? passed.length < wanted : findings.length === 0;
  }
  if (agree.length === exact.length) return agree.length < wanted;
  const lead = agree.length + 1 - against.length;
  return lead === 0 || lead === 1;
}

/** The verdict of the completed checks, at least one. A majority decides; a tie is `disputed`. */
export function verdictOf(claimed: AnswerChain, findings: readonly Finding[]): Verdict {
  const { exact, agree, against } = sidesOf(findings);
  const blocks = claimed.blocks.length + 1;
  if (exact.length === 0) return verdictWithoutProof(blocks, findings);
  const voices = { agree: agree.length, differ: exact.length - agree.length };
  const isValid = agree.length + 1 > against.length;
  const value = isValid ? 'valid' : against.length > agree.length + 1 ? 'invalid' : 'disputed';
  const first = (isValid ? agree : against)[0];
  return {
    value,
    method: METHODS.exact,
    blocks,
    falseBlock: first?.falseBlock ?? null,
    ...voices,
    cosine: first?.cosine ?? null,
  };
}

function verdictWithoutProof(blocks: number, findings: readonly Finding[]): Verdict {
  const { passed, failed } = readingsOf(findings);
  const rung = (passed[0] ?? failed[0] ?? findings[0])?.rung ?? 'similarity';
  const decides = rung === 'statistical' && passed.length + failed.length > 0;
  return {
    value: !decides ? 'inconclusive' : passed.length > failed.length ? 'valid' : 'disputed',
    method: METHODS[rung],
    blocks,
    falseBlock: null,
    agree: passed.length,
    differ: failed.length,
    cosine: rung === 'similarity' ? (findings[0]?.cosine ?? null) : null,
  };
}
